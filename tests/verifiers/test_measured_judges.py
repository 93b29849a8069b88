"""The figures of the smaller judges that cards quote belong to the judges as they are."""

import pytest

from verifiers import JUDGES
from verifiers.measured import error_rates

SETS = {
    "choice": {"tables", "mmlu_ways", "gsm8k"},
    "puzzle": {"tables", "families"},
    "format": {"tables", "gsm8k"},
    "repetition": {"planted"},
    "code_blocks": {"mbpp"},
    "instructions": {"tables"},
    "identity": {"tables", "self_cognition", "unknown_names", "mathematics"},
}


def test_programs_are_measured_by_mutants():
    rates = error_rates("code_tests", JUDGES["code_tests"].version)
    assert rates is not None, "code_tests has a new version: run benchmarks/code_mutants.py --mutants 4 --save"
    assert rates["sets"]["mutants"]["wrong"] > 1000


@pytest.mark.parametrize("kind", SETS)
def test_the_rates_are_those_of_the_present_version(kind):
    rates = error_rates(kind, JUDGES[kind].version)
    assert rates is not None, f"{kind} has a new version: run benchmarks/judges.py --judges {kind} --save"
    assert set(rates["sets"]) == SETS[kind]
    assert rates["command"] == "python benchmarks/judges.py"
    for found in rates["sets"].values():
        assert found["misses"] + found["unknowns_of_right"] <= found["right"]
        assert found["false_passes"] + found["unknowns_of_wrong"] <= found["wrong"]
