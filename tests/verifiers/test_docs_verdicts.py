"""Every line of every table in docs/verdicts.md holds."""

import re
from pathlib import Path

import pytest

from verifiers import verify

PAGE = Path(__file__).resolve().parents[2] / "docs" / "verdicts.md"
ROW = re.compile(r"\| `(?P<reference>[^`]+)` \| `(?P<answer>[^`]+)` \| (?P<outcome>pass|fail) \|")
ROWS = [match.group("reference", "answer", "outcome") for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("reference", "answer", "outcome"), ROWS)
def test_line_of_the_page(reference, answer, outcome):
    verdict = verify(f"\\boxed{{{answer}}}", reference)
    assert verdict.outcome == outcome, verdict.reason


def test_the_page_has_lines():
    assert len(ROWS) > 75
