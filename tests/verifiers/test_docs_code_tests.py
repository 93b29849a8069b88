"""Every line of every table in docs/judges/code_tests.md holds."""

import json
import re

import pytest
from test_docs_judges import PAGES, tables

from verifiers import CodeTests, parse_reference
from verifiers.sandbox.languages import toolchain
from verifiers.sandbox.layers import Layers

ROWS = list(tables("code_tests"))
FIVE = {"mode": "stdin", "tests": [{"input": "", "output": "5"}]}


def rows(column, *, without=()):
    found = [row for row in ROWS if column in row and not any(name in row for name in without)]
    assert found, column
    return pytest.mark.parametrize("row", found)


def given(text):
    """Read JSON in which ⏎ stood for a line end."""
    return json.loads(text, strict=False)


def judged(completion, reference, **configuration):
    return CodeTests(**configuration).judge(completion, parse_reference({"kind": "tests"} | reference))


def fenced(program, language="python"):
    return f"```{language}\n{program}\n```"


@rows("what it does")
def test_configurations(row):
    assert judged(fenced("print(5)"), FIVE, **given(row["configuration"])).outcome == "pass"


@rows("completion")
def test_extraction(row):
    verdict = judged(row["completion"].strip(" "), FIVE)
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("reference")
def test_modes_and_languages(row):
    reference = given(row["reference"])
    language = reference.get("language", "python")
    if row["verdict"] != "unknown" and toolchain(language) is None:
        pytest.skip(f"nothing here runs {language}")
    verdict = judged(fenced(row["program"], language), reference)
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("printed")
def test_checkers_of_output(row):
    reference = given(row["checker"]) | {"mode": "stdin", "tests": [{"input": "", "output": row["expected"]}]}
    verdict = judged(fenced(f"print({row['printed']!r}, end='')"), reference)
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("returned")
def test_checkers_of_values(row):
    tests = [{"args": [], "expected": json.loads(row["expected"])}]
    reference = given(row["checker"]) | {"mode": "function", "entry_point": "f", "tests": tests}
    verdict = judged(fenced(f"def f():\n    return {row['returned']}"), reference)
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("limit")
def test_limits(row):
    verdict = judged(fenced(row["program"]), FIVE | given(row["limit"]))
    assert verdict.outcome == "fail"
    assert row["reason"] in verdict.reason


@rows("shared")
def test_what_is_shared(row):
    reference = {"mode": "asserts", "tests": [row["tests"]]}
    verdict = judged(fenced(row["program"]), reference)
    assert verdict.outcome == "pass", verdict.reason
    assert verdict.reason.endswith("isolation: shared") == (row["shared"] == "yes"), verdict.reason
    apart = judged(fenced(row["program"]), reference, shared=False)
    assert apart.outcome == ("unknown" if row["shared"] == "yes" else "pass"), apart.reason


def test_the_example_says_what_it_says(capsys):
    page = (PAGES / "code_tests.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)\n```\n\n", page, re.DOTALL)[1]
    names = {}
    exec(code, names)
    wanted = [line.removeprefix("# ") for line in code.split("\n") if line.startswith("# ")]
    verdict = names["verdict"]
    assert repr((verdict.outcome, verdict.extracted)) == wanted[0]
    times = re.compile(r"\d\.\d\d s and \d+ MB")
    assert times.sub("", repr(verdict.reason)) == times.sub("", wanted[1])


def test_what_the_page_quotes_is_said():
    page = (PAGES / "code_tests.md").read_text(encoding="utf-8").replace("\n", " ")
    said = Layers(namespaces="no", seccomp="no", landlock_abi=0).lacking()
    for quoted in re.findall(r"`(namespaces and seccomp[^`]*|docker run[^`]*|sysctl [^`]*)`", page):
        assert quoted in said


def test_the_page_has_lines():
    assert len(ROWS) > 65
