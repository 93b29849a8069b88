"""What others rely on: the names that `from factory import …` and `from verifiers import …` promise."""

from __future__ import annotations

import subprocess
import sys
from typing import Any


def test_the_promised_names(workplace: Any) -> None:
    from factory import Corpus, Ledger, Problem, Recipe, Trace, Verdict, run
    from verifiers import Choice, Format, LanguageConsistency, MathAnswer, Puzzle, Repetition, verify

    result = run(Recipe.load(workplace.recipe_file), ledger=workplace.ledger, out=workplace.corpora, num_workers=0)
    corpus = Corpus.open(result.corpus.folder)
    traces = list(Ledger.open(workplace.ledger).snapshot().traces())
    assert len(traces) == 48
    assert all(isinstance(trace, Trace) for trace in traces)
    assert {t.trace_id for t in traces} >= set(corpus.scan().collect()["trace_id"])
    assert isinstance(verify("\\boxed{4}", "4"), Verdict)
    assert Problem.__slots__
    for judge in (MathAnswer(), Choice(), Puzzle(), Format(), LanguageConsistency(), Repetition()):
        assert judge.__name__ == judge.kind


def test_importing_costs_little() -> None:
    code = (
        "import sys, factory; print(sorted(m for m in ('polars', 'pydantic', 'torch', 'duckdb') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
