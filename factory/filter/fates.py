"""The step `filter`: which traces pass, and of each other one the first rule that it failed and why.

Nothing is judged here and nothing is written: fates are expressions over stored columns and verdicts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from factory.filter.filter import TraceFilter
from factory.judging import JudgeUse
from factory.ledger import Snapshot
from factory.scope import ProblemScope, SlotScope, verdicts_of


def trace_frame(
    snapshot: Snapshot,
    uses: Sequence[JudgeUse],
    problems: ProblemScope,
    slots: SlotScope,
    wanted_verdicts: pl.DataFrame,
) -> pl.DataFrame:
    """Join the stored traces of a recipe with their problems and verdicts: one narrow row per trace.

    A judge of kind K gives the columns `K.outcome`, `K.score`, `K.reason`; they are null where it does not apply, and
    `unknown` where its verdict is not there yet.
    """
    about = problems.kept.select(
        "problem_id", "domain", "language", "source", "source_fingerprint", "licence", "order", "reference_hash"
    )
    frame = slots.stored.join(about, on="problem_id").with_columns(model=_model(snapshot, slots))
    verdicts = verdicts_of(snapshot, [use.fingerprint for use in uses]).select(*_KEY, "outcome", "score", "reason")
    given = wanted_verdicts.lazy().join(verdicts, on=_KEY, how="left").collect()
    for kind in dict.fromkeys(use.judge.kind for use in uses):
        of_kind = given.filter(by=kind).select(
            "trace_id",
            pl.col("outcome").fill_null("unknown").alias(f"{kind}.outcome"),
            pl.col("score").alias(f"{kind}.score"),
            pl.col("reason").fill_null("not judged yet").alias(f"{kind}.reason"),
        )
        frame = frame.join(of_kind, on="trace_id", how="left")
    return frame.sort("order", "policy_fingerprint", "index")


def fates(frame: pl.DataFrame, filters: Sequence[TraceFilter]) -> pl.DataFrame:
    """Add `rule` and `reason` (null where the trace passes all) and `failed_rules` (all rules failed, in order)."""
    named = [(f.kind, f.drop().fill_null(value=False), f.reason()) for f in filters]
    if not named:
        return frame.with_columns(
            rule=pl.lit(None, pl.String), reason=pl.lit(None, pl.String), failed_rules=pl.lit([], pl.List(pl.String))
        )
    return frame.with_columns(
        rule=pl.coalesce(pl.when(drop).then(pl.lit(kind)) for kind, drop, _ in named),
        reason=pl.coalesce(pl.when(drop).then(reason) for _, drop, reason in named),
        failed_rules=pl.concat_list(pl.when(drop).then(pl.lit(kind)) for kind, drop, _ in named).list.drop_nulls(),
    )


def _model(snapshot: Snapshot, slots: SlotScope) -> pl.Expr:
    """Name the model of each trace, as its policy's description states it."""
    ids = slots.stored["policy_fingerprint"].unique().to_list()
    rows = snapshot.scan("policies").filter(pl.col("fingerprint").is_in(ids)).collect()
    models = {fingerprint: json.loads(config).get("model") for fingerprint, config in rows.iter_rows()}
    column = pl.col("policy_fingerprint")
    return column.replace_strict(list(models), list(models.values()), default=None, return_dtype=pl.String)


_ABOUT = ["domain", "language", "source", "source_fingerprint", "licence"]
_KEY = ["trace_id", "text_hash", "judge_fingerprint", "reference_hash"]
