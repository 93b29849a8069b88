"""Every line of every table of examples in docs/judges/language.md holds."""

import re
from fractions import Fraction
from pathlib import Path

import pytest

from verifiers import LanguageConsistency

PAGE = Path(__file__).resolve().parents[2] / "docs" / "judges" / "language.md"
ROW = re.compile(r"\| `(?P<target>[a-z]{2})` \| `(?P<text>.+?)` \| (?P<share>\d+/\d+|unknown) \|")
ROWS = [match.group("target", "text", "share") for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("target", "text", "share"), ROWS)
def test_line_of_the_page(target, text, share):
    verdict = LanguageConsistency(language=target).judge(text.replace("⏎", "\n"))
    if share == "unknown":
        assert verdict.outcome == "unknown", verdict
        return
    native, words = share.split("/")
    assert verdict.score == pytest.approx(float(Fraction(int(native), int(words)))), verdict.reason
    assert verdict.reason.startswith(f"{native} of {words} word")


def test_the_page_has_lines():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(ROWS) > 30
    assert len(ROWS) == sum(bool(re.match(r"\| `[a-z]{2}` \|", line)) for line in lines)


def test_the_example_of_the_page():
    code = re.search(r"```python\n(.*?)# (\(.*?\))\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(code[1].replace("verdict.score,", "found = verdict.score,"), names)
    assert names["found"] == eval(code[2])
