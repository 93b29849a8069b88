"""The step `mix`: choose rows from what passed, and write them as a corpus.

    MixSection    what a recipe says
    select        the choice: a pure function of the fates, the section and the seed
    write         gather the texts of the chosen rows and write shards and manifest

The same ledger and recipe give the same bytes: every order is a hash of seed and id, never a matter of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from pydantic import Field, PositiveInt

from factory.config import Config
from factory.corpus import DEFAULT_SCHEMA, REJECTED_SCHEMA, SHARD_ROWS, Corpus, Part, write_corpus
from factory.identity import order_of
from factory.ledger import Snapshot
from factory.records import Domain
from factory.stage import Stage


class MixSection(Config):
    """Which of the passing traces make the corpus."""

    per_problem: PositiveInt | None = None
    """Most traces of one problem; all of them unless it is said."""
    pick: Literal["random", "shortest", "longest"] = "random"
    """Which of a problem's traces come first: a seeded choice, or by tokens (then by hash)."""
    rows: dict[Domain, PositiveInt] | None = None
    """Most rows of each domain; a domain that is not named is out of scope. All rows unless it is said."""
    validation: float = Field(default=0.0, ge=0.0, le=0.5)
    """Share of the problems (with all their traces) that goes to the split `validation`."""
    rejected: bool = True
    """Also write the dropped traces with their reasons, as the configuration `rejected`."""


def select(fates: pl.DataFrame, section: MixSection, seed: int) -> pl.DataFrame:
    """Choose rows. Takes the frame of `filter.fates` and returns it with `rule`, `reason` and `failed_rules` completed,
    and with `rank` (in its problem), `shuffle` (the seeded order) and `split`."""
    frame = fates.with_columns(
        shuffle=pl.Series([order_of(seed, i) for i in fates["trace_id"]], dtype=pl.String),
        split=_split(fates, section.validation, seed),
    )
    if section.rows is not None:
        outside = pl.col("rule").is_null() & ~pl.col("domain").is_in(list(section.rows))
        frame = _drop(frame, outside, "out_of_scope", pl.format("the mix takes no rows of domain {}", "domain"))

    by: dict[str, str | pl.Expr] = {
        "random": "shuffle",
        "shortest": "num_completion_tokens",
        "longest": -pl.col("num_completion_tokens"),
    }
    passing = pl.col("rule").is_null()
    frame = frame.sort("problem_id", by[section.pick], "shuffle").with_columns(
        rank=passing.cum_sum().over("problem_id") - 1, num_passing=passing.sum().over("problem_id")
    )
    if section.per_problem is not None:
        reason = pl.format(
            "{} of {} passing traces of its problem are kept", pl.lit(section.per_problem), "num_passing"
        )
        over = pl.col("rule").is_null() & (pl.col("rank") >= section.per_problem)
        frame = _drop(frame, over, "per_problem", pl.format("{}, {} first", reason, pl.lit(section.pick)))
    if section.rows is not None:
        # First one trace of every problem, then the second: a budget cuts depth before it cuts breadth.
        budget = pl.col("domain").replace_strict(section.rows, default=0, return_dtype=pl.Int64)
        frame = frame.sort("rank", "shuffle").with_columns(
            place=pl.col("rule").is_null().cum_sum().over("domain") - 1, budget=budget
        )
        over = pl.col("rule").is_null() & (pl.col("place") >= pl.col("budget"))
        frame = _drop(frame, over, "rows", pl.format("the mix takes {} rows of domain {}", "budget", "domain"))
    return frame.sort("domain", "shuffle")


def write(
    stage: Stage, snapshot: Snapshot, chosen: pl.DataFrame, section: MixSection, out: Path, manifest: dict[str, Any]
) -> Corpus:
    """Write the chosen rows as a corpus under `out`, in the total order (domain, seeded hash of the trace)."""
    kept = chosen.filter(pl.col("rule").is_null())
    parts = [
        Part(
            config="default",
            split=split,
            folder="data",
            num_rows=rows.height,
            batches=_gather(snapshot, rows, DEFAULT_SCHEMA),
            schema=DEFAULT_SCHEMA,
        )
        for split in ("train", "validation")
        if not (rows := kept.filter(split=split)).is_empty() or split == "train"
    ]
    dropped = chosen.filter(pl.col("rule").is_not_null())
    if section.rejected and not dropped.is_empty():
        parts.append(
            Part(
                config="rejected",
                split="train",
                folder="rejected",
                num_rows=dropped.height,
                batches=_gather(snapshot, dropped, REJECTED_SCHEMA),
                schema=REJECTED_SCHEMA,
            )
        )
    return write_corpus(out, stage.name, manifest["fingerprint"], parts, manifest)


def _split(frame: pl.DataFrame, validation: float, seed: int) -> pl.Series:
    """Name the split of each row: a problem is in `validation` by the hash of its id, with all its traces."""
    limit = int(validation * 16**8)
    problems = frame["problem_id"].unique()
    splits = ["validation" if int(order_of(seed, f"split {p}")[:8], 16) < limit else "train" for p in problems]
    return frame["problem_id"].replace_strict(problems, pl.Series(splits, dtype=pl.String), return_dtype=pl.String)


def _drop(frame: pl.DataFrame, where: pl.Expr, rule: str, reason: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(
        rule=pl.when(where).then(pl.lit(rule)).otherwise("rule"),
        reason=pl.when(where).then(reason).otherwise("reason"),
        failed_rules=pl.when(where).then(pl.lit([rule])).otherwise("failed_rules"),
    )


def _gather(snapshot: Snapshot, rows: pl.DataFrame, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows with their texts, one shard at a time, in the order given."""
    for shard in rows.iter_slices(SHARD_ROWS):
        chosen = shard.lazy()
        problem = chosen.select("problem_id").unique()
        texts = (
            snapshot.scan("traces")
            .select("trace_id", "completion", "reasoning", "answer")
            # The chosen ones first: the text of all others would be held only to be dropped.
            .join(chosen.select("trace_id"), on="trace_id", how="semi", maintain_order="left")
            .unique("trace_id", keep="first", maintain_order=True)
            .collect()
        )
        prompts = (
            snapshot.scan("problems")
            .select("problem_id", "prompt")
            .join(problem, on="problem_id", how="semi")
            .unique("problem_id")
            .collect()
        )
        references = (
            snapshot.scan("references")
            .join(problem, on="problem_id", how="semi", maintain_order="left")
            .group_by("problem_id", "reference_hash")
            .agg(pl.col("reference").drop_nulls().first())
            .collect()
        )
        frame = (
            shard.join(texts, on="trace_id", maintain_order="left")
            .join(prompts, on="problem_id", maintain_order="left")
            .join(references, on=["problem_id", "reference_hash"], how="left", maintain_order="left")
        )
        assert frame.height == shard.height, "a trace without its text or its problem"
        assistant = pl.struct(role=pl.lit("assistant"), content="completion")
        yield (
            frame.with_columns(
                messages=pl.concat_list("prompt", assistant),
                num_tokens="num_completion_tokens",
                verdicts=_verdicts(frame.columns),
            )
            .select(schema.names)
            .to_arrow()
            .cast(schema)
        )


def _verdicts(columns: list[str]) -> pl.Expr:
    """Return the list of a trace's verdicts, in recipe order."""
    fields = {"by": pl.String, "outcome": pl.String, "score": pl.Float64, "reason": pl.String}
    each = [
        pl.when(pl.col(f"{kind}.outcome").is_not_null()).then(
            pl.struct(pl.lit(kind).alias("by"), *(pl.col(f"{kind}.{name}").alias(name) for name in list(fields)[1:]))
        )
        for kind in (c.removesuffix(".outcome") for c in columns if c.endswith(".outcome"))
    ]
    return pl.concat_list(each).list.drop_nulls() if each else pl.lit([], pl.List(pl.Struct(fields)))
