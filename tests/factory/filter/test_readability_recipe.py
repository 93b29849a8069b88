"""The filter `readability` and the judge `identity` in a recipe: they need their judges, and drops have reasons."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factory.errors import UsageError
from factory.recipe import load


def test_a_recipe_with_readability_and_identity(workplace: Any) -> None:
    rows = [
        ("p0", "It is this word.", "The answer is \\boxed{A}."),
        ("p1", "First:\n```python\nprint(2)\n```\nIt is this word.", "The answer is \\boxed{B}."),
        ("p2", "As ChatGPT, I know it.", "The answer is \\boxed{C}."),
        ("p3", "word " * 50, "The answer is \\boxed{D}."),
    ]
    completions = [
        {"problem": problem, "text": f"<think>{thought}</think>\n\n{answer}", "ended": "stop", "tokens": 9}
        for problem, thought, answer in rows
    ]
    workplace.write_lines("completions.jsonl", completions)
    workplace.write(
        verify=[{"kind": kind} for kind in ("choice", "identity", "longest_paragraph", "code_blocks")],
        filter=[
            {"kind": "rejected", "by": ["choice", "identity"]},
            {"kind": "readability", "max_paragraph": 40, "max_code_blocks": 0},
        ],
        mix={"per_problem": 1, "pick": "shortest", "validation": 0.0},
    )
    corpus = workplace.run().corpus
    dropped = set(corpus.scan("rejected").select("reason").collect()["reason"])
    assert dropped == {
        "code blocks in its reasoning: 1, more than 0",
        "its longest paragraph counts 50, more than 40",
        "identity: fail, it says to be 'ChatGPT'",
    }
    assert corpus.scan().collect().height == 1


def test_a_bound_needs_its_judge(workplace: Any) -> None:
    with_bound = [{"kind": "readability", "max_code_blocks": 0}]
    workplace.write(verify=[{"kind": "choice"}], filter=with_bound)
    with pytest.raises(UsageError, match="code_blocks"):
        load(workplace.recipe_file, ())
    workplace.write(verify=[{"kind": "choice"}, {"kind": "code_blocks"}], filter=with_bound)
    assert json.loads(workplace.recipe_file.read_text())["filter"] == with_bound
    load(workplace.recipe_file, ())
