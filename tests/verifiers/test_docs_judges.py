"""Every line of every table in docs/judges holds."""

import json
import re
from pathlib import Path

import pytest

from verifiers import JUDGES, verify

PAGES = Path(__file__).resolve().parents[2] / "docs" / "judges"
CELL = re.compile(r"`(.*)`")


def tables(page):
    """Yield the rows of a page under its columns; `section` is the heading above, `page` the page's judge."""
    columns, section = None, page
    for line in (PAGES / f"{page}.md").read_text(encoding="utf-8").split("\n"):
        if line.startswith("## "):
            section, columns = line[3:], None
        elif not line.startswith("|"):
            columns = None
        elif columns is None:
            columns = [cell.strip() for cell in line.strip("|").split("|")]
        elif not line.startswith("|---"):
            cells = [cell.strip() for cell in line[1:-1].split(" | ")]
            quoted = [match[1] if (match := CELL.fullmatch(cell)) else cell for cell in cells]
            yield {"section": section} | dict(zip(columns, (cell.replace("⏎", "\n") for cell in quoted), strict=True))


def rows(*pages, column):
    found = [(page, row) for page in pages for row in tables(page) if column in row]
    return pytest.mark.parametrize("row", [row | {"page": page} for page, row in found])


@rows("choice", column="reference")
def test_choice(row):
    value, *options = re.split(r" of | / ", row["reference"])
    verdict = verify(row["completion"], {"kind": "choice", "value": value, "options": options})
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("puzzle", column="family")
def test_puzzle(row):
    pytest.importorskip("reasoning_gym")
    metadata = {"solution": [[1, 2], [3, 4]]} if row["family"] == "rotate_matrix" else {}
    entry = {"question": "", "answer": row["own answer"], "metadata": metadata}
    verdict = verify(row["completion"], {"kind": "puzzle", "family": row["family"], "entry": entry})
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("format", "identity", column="verdict")
def test_decisions(row):
    judge = JUDGES[row["page"]].model_validate({"kind": row["page"], **json.loads(row["configuration"])})
    verdict = judge.judge(row["completion"])
    assert verdict.outcome == row["verdict"], verdict.reason


@rows("repetition", "readability", column="score")
def test_measures(row):
    kind = row["section"] if row["section"] in JUDGES else row["page"]
    judge = JUDGES[kind].model_validate({"kind": kind, **json.loads(row["configuration"])})
    verdict = judge.judge(row["completion"])
    assert verdict.score == float(row["score"]), verdict.reason


@rows("instructions", column="parameters")
def test_instructions(row):
    given = {"id": row["instruction"], **json.loads(row["parameters"])}
    verdict = verify(row["answer"], {"kind": "instructions", "instructions": [given]})
    assert verdict.outcome == row["verdict"], verdict.reason


def test_the_pages_have_lines():
    least = {"choice": 30, "puzzle": 10, "format": 15, "repetition": 12, "readability": 14, "instructions": 50}
    least["identity"] = 20
    assert [page for page, number in least.items() if sum(1 for _ in tables(page)) < number] == []
