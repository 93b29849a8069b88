"""Each filter: what it keeps, what it drops, and the sentence that says why."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from factory.filter.duplicate import Duplicate
from factory.filter.fates import fates
from factory.filter.filter import TraceFilter
from factory.filter.language import Language
from factory.filter.prompt_length import PromptLength
from factory.filter.readability import Readability
from factory.filter.rejected import Rejected
from factory.filter.repetition import Repetition
from factory.filter.truncated import Truncated

TRACE: dict[str, Any] = {
    "finish_reason": "stop",
    "num_completion_tokens": 7,
    "math_answer.outcome": "pass",
    "math_answer.score": 1.0,
    "math_answer.reason": "4 = 4",
    "puzzle.outcome": None,
    "puzzle.score": None,
    "puzzle.reason": None,
    "language.outcome": "pass",
    "language.score": 1.0,
    "language.reason": "",
    "repetition.outcome": "pass",
    "repetition.score": 1.0,
    "repetition.reason": "",
    "longest_paragraph.outcome": "pass",
    "longest_paragraph.score": 80.0,
    "longest_paragraph.reason": "",
    "code_blocks.outcome": "pass",
    "code_blocks.score": 0.0,
    "code_blocks.reason": "",
}

# the filter, what differs from a good trace, the reason (None: kept)
TRACE_CASES: list[tuple[TraceFilter, dict[str, Any], str | None]] = [
    (Truncated(), {}, None),
    (Truncated(), {"finish_reason": "length"}, "ended by length after 7 tokens"),
    (Truncated(), {"finish_reason": "loop"}, "ended by loop after 7 tokens"),
    (Rejected(by=("math_answer",)), {}, None),
    (Rejected(by=("math_answer", "puzzle")), {}, None),
    (
        Rejected(by=("math_answer",)),
        {"math_answer.outcome": "fail", "math_answer.reason": "5 ≠ 4"},
        "math_answer: fail, 5 ≠ 4",
    ),
    (
        Rejected(by=("math_answer",)),
        {"math_answer.outcome": "unknown", "math_answer.reason": "the deadline of 5 s passed"},
        "math_answer: unknown, the deadline of 5 s passed",
    ),
    (
        Rejected(by=("puzzle",)),
        {},
        "no judge applies to it: there is nothing to verify it against",
    ),
    (
        Rejected(by=("math_answer", "puzzle")),
        {"puzzle.outcome": "fail", "puzzle.reason": "score 0"},
        "puzzle: fail, score 0",
    ),
    (Language(min_consistency=0.95), {"language.score": 0.95}, None),
    (Language(min_consistency=0.95), {"language.score": None, "language.outcome": "unknown"}, None),
    (
        Language(min_consistency=0.95),
        {"language.score": 0.8123},
        "81.2 % of its words are in the prompt's language, below 95.0 %",
    ),
    (Repetition(max_repeats=3), {"repetition.score": 3.0}, None),
    (Repetition(max_repeats=3), {"repetition.score": 40.0}, "40 times the same in a row, more than 3"),
    (Readability(max_paragraph=80, max_code_blocks=0), {}, None),
    (Readability(max_paragraph=80), {"code_blocks.score": 7.0}, None),
    (Readability(max_code_blocks=0), {"longest_paragraph.score": 900.0}, None),
    (Readability(max_code_blocks=0), {"code_blocks.score": None}, None),
    (
        Readability(max_paragraph=80, max_code_blocks=0),
        {"longest_paragraph.score": 81.0, "code_blocks.score": 2.0},
        "its longest paragraph counts 81, more than 80",
    ),
    (
        Readability(max_paragraph=80, max_code_blocks=0),
        {"code_blocks.score": 2.0},
        "code blocks in its reasoning: 2, more than 0",
    ),
]


@pytest.mark.parametrize(("filter_", "change", "reason"), TRACE_CASES)
def test_trace_filters(filter_: TraceFilter, change: dict[str, Any], reason: str | None) -> None:
    schema = {k: pl.Float64 if k.endswith(".score") else pl.Int64 if k.startswith("num") else pl.String for k in TRACE}
    frame = pl.DataFrame([{**TRACE, **change}], schema=schema)
    row = fates(frame, [filter_]).row(0, named=True)
    assert row["reason"] == reason
    assert row["rule"] == (None if reason is None else filter_.kind)


def test_the_first_rule_decides_and_all_are_named() -> None:
    bad = {**TRACE, "finish_reason": "length", "repetition.score": 9.0, "language.score": 0.1}
    row = fates(pl.DataFrame([bad]), [Repetition(), Language(), Truncated()]).row(0, named=True)
    assert row["rule"] == "repetition"
    assert row["reason"].startswith("9 times")
    assert row["failed_rules"] == ["repetition", "language", "truncated"]


def test_readability_needs_only_the_judges_whose_bound_is_set() -> None:
    assert Readability(max_paragraph=200).judges() == ("longest_paragraph",)
    assert Readability(max_code_blocks=0).judges() == ("code_blocks",)
    assert Readability(max_paragraph=200, max_code_blocks=0).judges() == ("longest_paragraph", "code_blocks")
    frame = pl.DataFrame([{"code_blocks.score": 3.0}])
    assert fates(frame, [Readability(max_code_blocks=1)])["rule"].to_list() == ["readability"]
    with pytest.raises(ValueError, match="set max_paragraph"):
        Readability()


def test_no_filter_keeps_everything() -> None:
    row = fates(pl.DataFrame([TRACE]), []).row(0, named=True)
    assert (row["rule"], row["failed_rules"]) == (None, [])


def problems(*texts: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "problem_id": [f"p{i}" for i in range(len(texts))],
            "prompt": [[{"role": "user", "content": text}] for text in texts],
        }
    )


def test_duplicates_but_for_case_spacing_and_sentence_marks() -> None:
    frame = problems(
        "What is 3 + 4?", "what is  3 + 4", "What is 3 - 4?", "What is 3.4?", "What is 34?", "计算 3+4。", "计算 3+4"
    )
    filter_ = Duplicate()
    found = frame.with_columns(drop=filter_.drop(), reason=filter_.reason())
    assert found["drop"].to_list() == [False, True, False, False, False, False, True]
    assert found["reason"][1] == "repeats problem p0 but for case and spacing"


def test_prompt_length() -> None:
    filter_ = PromptLength(min_chars=2, max_chars=4)
    found = problems("a", "ab", "漢字漢字", "abcde").with_columns(drop=filter_.drop(), reason=filter_.reason())
    assert found["drop"].to_list() == [True, False, False, True]
    assert found["reason"][3] == "5 characters, outside 2 to 4"
