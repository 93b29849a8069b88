"""The figures that cards quote belong to the judge as it is."""

from verifiers import MathAnswer
from verifiers.measured import error_rates


def test_the_rates_are_those_of_the_present_version():
    rates = error_rates("math_answer", MathAnswer.version)
    assert rates is not None, "math_answer has a new version: run benchmarks/verdicts.py --save"
    assert "benchmarks/verdicts.py" in rates["command"]
    assert {"tables", "gsm8k", "math_self", "math_others", "math_near"} == set(rates["sets"])
    assert all(found["right"] + found["wrong"] > 1000 for found in rates["sets"].values())


def test_another_version_has_none():
    assert error_rates("math_answer", 1) is None
    assert error_rates("no_such_judge", 1) is None
