"""The path on the real embedded policy: sampled, judged in workers, resumed to the same bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from factory import pipeline
from factory.ledger import Ledger, files
from factory.recipe import load

pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("reasoning_gym", reason="the extra `puzzles` is not installed")

RECIPE: dict[str, Any] = {
    "name": "small",
    "seed": 5,
    "source": {
        "from": [
            {
                "kind": "puzzles",
                "family": "chain_sum",
                "size": 6,
                "seed": 1,
                "languages": ["en", "zh"],
                "domain": "math",
            },
            {"kind": "puzzles", "family": "leg_counting", "size": 4, "seed": 2, "config": {"max_animals": 3}},
        ]
    },
    "sample": {
        "policy": {"kind": "torch", "model": "builtin:micro", "batch_size": 8, "threads": 1},
        "group_size": 2,
        "max_tokens": 96,
    },
    "verify": [
        {"kind": "math_answer", "domains": ["math"]},
        {"kind": "puzzle", "domains": ["logic"]},
        {"kind": "format"},
        {"kind": "language"},
        {"kind": "repetition"},
    ],
    "filter": [{"kind": "truncated"}, {"kind": "rejected", "by": ["math_answer", "puzzle", "format"]}],
    "mix": {"per_problem": 1},
    "publish": {"licence": "apache-2.0"},
}


def run(folder: Path, *overrides: str, **options: Any) -> Any:
    path = folder / "small.yaml"
    path.write_text(json.dumps(RECIPE))
    options = {"ledger": folder / "ledger", "out": folder / "corpora", "num_workers": 1, **options}
    return pipeline.run(load(path, overrides), **options)


def traces(folder: Path) -> pl.DataFrame:
    return Ledger.open(folder / "ledger").snapshot().scan("traces").collect()


def test_from_puzzles_to_a_corpus_and_nothing_old_leaks_into_a_new_temperature(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert first.num_done["sample"] == 20
    assert first.num_done["verify"] == 12 + 8 + 3 * 20
    stored = traces(tmp_path)
    assert stored["completion"].str.starts_with("<think>").all()  # the template's prefill is put back
    assert stored["num_completion_tokens"].is_between(1, 96).all()
    assert set(run(tmp_path).num_done.values()) == {0}
    more = run(tmp_path, "sample.group_size=4")
    assert more.num_done["sample"] == 20
    assert traces(tmp_path)[:20].sort("trace_id").equals(stored.sort("trace_id"))

    colder = run(tmp_path, "sample.temperature=0.5")
    assert colder.num_done["sample"] == 20
    fingerprints = {p["fingerprint"] for p in colder.corpus.manifest["models"]}
    assert fingerprints.isdisjoint({p["fingerprint"] for p in first.corpus.manifest["models"]})
    for part in ("default", "rejected"):
        if any(f["config"] == part for f in colder.corpus.manifest["files"]):
            ids = colder.corpus.scan(part).collect()["trace_id"]
            assert not set(ids) & set(stored["trace_id"])


def test_auto_says_what_it_took_and_stays_with_it(tmp_path: Path) -> None:
    said: list[str] = []

    class Listener(pipeline.Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    overrides = ("sample.policy={kind: auto, model: 'builtin:micro'}", "sample.group_size=1")
    run(tmp_path, *overrides, reporter=Listener(), until="sample")
    assert "sample   policy auto: torch" in said
    pins = Ledger.open(tmp_path / "ledger").snapshot().scan("pins").collect()
    assert pins["value"].to_list() == ["torch"]
    said.clear()
    assert run(tmp_path, *overrides, reporter=Listener(), until="sample").num_done["sample"] == 0
    assert not [line for line in said if "auto" in line]


class Killed(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("unit", [0, 1, 2])
def test_killed_between_units_it_resumes_to_the_same_text(tmp_path: Path, unit: int) -> None:
    whole = run(tmp_path, until="sample", ledger=tmp_path / "whole", num_workers=1)
    assert whole.num_done["sample"] == 20
    expected = Ledger.open(tmp_path / "whole").snapshot().scan("traces").collect().sort("trace_id")
    seen = 0

    def kill(name: str) -> None:
        nonlocal seen
        if name == "append:traces":
            seen += 1
            if seen > unit:
                raise Killed

    with files.failpoints(kill), pytest.raises(Killed):
        run(tmp_path, until="sample")
    assert run(tmp_path, until="sample").num_done["sample"] == 20 - 8 * unit
    assert traces(tmp_path).sort("trace_id").equals(expected)
    shutil.rmtree(tmp_path / "whole")
