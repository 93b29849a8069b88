"""`recipes/examples/recorded.yaml` on real data: completions of real models, and Chinese problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from factory import pipeline
from factory.ledger import Ledger
from factory.recipe import load

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "examples" / "recorded.yaml"


def run(folder: Path, *overrides: str) -> Any:
    return pipeline.run(load(RECIPE, overrides), ledger=folder / "ledger", out=folder / "corpora", num_workers=2)


def test_the_example_runs_as_it_is(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.num_done["sample"] == 6
    kept = result.corpus.scan().collect()
    assert kept["answer"].str.contains("32").sum() == 0
    assert result.corpus.scan("rejected").collect().filter(rule="language").height == 1  # English on a Chinese prompt


def test_gsm8k_verdicts_agree_with_the_labels(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "gsm8k"
    result = run(
        tmp_path,
        f"source.from.0.path={folder / 'problems.jsonl'}",
        f"sample.policy.path={folder / 'completions.jsonl'}",
        "source.from.0.licence=mit",
    )
    assert (result.num_done["source"], result.num_done["sample"]) == (660, 2640)
    corpus = pl.concat([result.corpus.scan().collect(), result.corpus.scan("rejected").collect()], how="diagonal")
    assert corpus.height == 2640
    assert corpus["model"].n_unique() == 4
    assert result.corpus.scan().collect().group_by("problem_id").len()["len"].max() <= 2

    labels = pl.read_ndjson(folder / "completions.jsonl").with_columns(pl.col("problem_id").cast(pl.String))
    snapshot = Ledger.open(tmp_path / "ledger").snapshot()
    judged = snapshot.sql("""
        SELECT o.row AS problem_id, json_extract_string(p.config, '$.model') AS model, v.outcome
        FROM verdicts v JOIN traces t USING (trace_id) JOIN origins o ON o.problem_id = t.problem_id
        JOIN policies p ON p.fingerprint = t.policy_fingerprint WHERE v."by" = 'math_answer'
    """)
    joined = labels.join(judged, on=["problem_id", "model"])
    assert joined.height == 2640
    agreement = (joined["is_correct"] == (joined["outcome"] == "pass")).mean()
    assert agreement is not None
    assert agreement >= 0.999


def test_chinese_problems_and_completions(shared_data: Path, tmp_path: Path) -> None:
    problems = [json.loads(line) for line in (shared_data / "cmath" / "problems.jsonl").read_text().splitlines()][:100]
    rows = []
    for problem in problems:
        for number, value in enumerate((problem["answer"], f"{problem['answer']}9")):
            text = f"<think>先看清题目的已知条件，再一步一步地计算。</think>\n\n所以答案是：{value}。"
            model = ("甲", "乙")[number]
            rows.append({"problem_id": problem["id"], "completion": text, "model": model})
    completions = tmp_path / "补全.jsonl"
    completions.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    result = run(
        tmp_path,
        f"source.from.0.path={shared_data / 'cmath' / 'problems.jsonl'}",
        "source.from.0.limit=100",
        f"sample.policy.path={completions}",
    )
    kept = result.corpus.scan().collect()
    assert kept.height == 100
    assert set(kept["model"]) == {"甲"}
    assert set(kept["language"]) == {"zh"}
    rejected = result.corpus.scan("rejected").collect()
    assert set(rejected["rule"]) == {"rejected"}
    assert "甲" in (result.corpus.folder / "README.md").read_text()
