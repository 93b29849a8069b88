"""What all tests share."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """The folder of real problems and completions beside the checkout; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@dataclass
class Workplace:
    """A small recipe on recorded completions, its files and its ledger, in a folder of its own."""

    folder: Path
    sections: dict[str, Any] = field(default_factory=dict)

    @property
    def recipe_file(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    @property
    def corpora(self) -> Path:
        return self.folder / "corpora"

    def write(self, **changes: Any) -> Path:
        """Write the recipe (JSON is YAML), with sections replaced."""
        self.sections |= changes
        self.recipe_file.write_text(json.dumps(self.sections, ensure_ascii=False))
        return self.recipe_file

    def problems(self) -> list[dict[str, Any]]:
        return problems(12)

    def completions(self) -> list[dict[str, Any]]:
        return completions(12, 4)

    def write_lines(self, name: str, rows: list[dict[str, Any]]) -> None:
        (self.folder / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def run(self, *overrides: str, **options: Any) -> Any:
        """Run the recipe, judging in this process."""
        from factory import pipeline
        from factory.recipe import load

        options = {"ledger": self.ledger, "out": self.corpora, "num_workers": 0, **options}
        return pipeline.run(load(self.recipe_file, overrides), **options)


OPTIONS = ["one", "two", "three", "four"]


def problems(count: int) -> list[dict[str, Any]]:
    return [
        {"key": f"p{i}", "question": f"Which word is number {i}?", "right": "ABCD"[i % 4], "options": OPTIONS}
        for i in range(count)
    ]


def completions(count: int, each: int) -> list[dict[str, Any]]:
    """Right for every second one, now and then without an end or in a loop."""
    rows = []
    for i in range(count):
        for j in range(each):
            letter = "ABCD"[(i + (j % 2)) % 4]
            thought = "It is this word, I am rather sure of it. " * (9 if (i + j) % 7 == 0 else 1)
            rows.append(
                {
                    "problem": f"p{i}",
                    "text": f"<think>{thought}</think>\n\nThe answer is \\boxed{{{letter}}}.",
                    "ended": "length" if (i + j) % 5 == 4 else "stop",
                    "tokens": 20 + 3 * j + i,
                }
            )
    return rows


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """Twelve problems, four recorded completions each."""
    place = Workplace(tmp_path)
    place.write_lines("problems.jsonl", problems(12))
    place.write_lines("completions.jsonl", completions(12, 4))
    place.write(
        name="tiny",
        seed=3,
        source={
            "from": [
                {
                    "kind": "local",
                    "path": "problems.jsonl",
                    "columns": {"prompt": "question", "reference": "right", "options": "options", "id": "key"},
                    "domain": "stem",
                    "language": "en",
                    "licence": "mit",
                }
            ]
        },
        sample={
            "policy": {
                "kind": "recorded",
                "path": "completions.jsonl",
                "columns": {
                    "problem": "problem",
                    "completion": "text",
                    "finish_reason": "ended",
                    "num_tokens": "tokens",
                },
                "model": "somebody",
            }
        },
        verify=[{"kind": "choice"}, {"kind": "format"}, {"kind": "repetition"}],
        filter=[
            {"kind": "truncated"},
            {"kind": "rejected", "by": ["choice", "format"]},
            {"kind": "repetition", "max_repeats": 3},
        ],
        mix={"per_problem": 1, "pick": "shortest", "validation": 0.4},
        publish={"licence": "apache-2.0"},
    )
    return place
