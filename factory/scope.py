"""What a recipe is about: its problems, its slots and their verdicts, as narrow frames read from the ledger.

Every step asks here instead of keeping lists of its own, so all of them mean the same rows. Nothing here writes.

    ProblemScope    problems in, dropped with a rule, kept in a seeded order
    SlotScope       the slots a recipe wants, which of them are stored, failed or missing
    verdicts_of     the settled verdict of each (trace, judge, reference)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from factory.identity import order_of, trace_id
from factory.ledger import Snapshot

MAX_ATTEMPTS = 3
"""A transient unknown verdict is tried at most twice more (contracts: verdicts)."""

AGAIN = "again"
"""Class of a failure's later row that takes it back: the slot is sampled once more."""


class ProblemFilter(Protocol):
    """A filter on problems, as the steps use it."""

    @property
    def kind(self) -> str:
        """Return the rule's name."""
        ...

    def drop(self) -> pl.Expr:
        """Return an expression over the problem columns: true where the problem is dropped."""
        ...

    def reason(self) -> pl.Expr:
        """Return an expression for the sentence that says why."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemScope:
    """The problems a recipe is about."""

    kept: pl.DataFrame
    """problem_id, domain, language, source, row, licence, reference_hash, source_fingerprint, prompt, reference,
    reference_kind, order; sorted by `order`, the hash of seed and problem_id."""
    dropped: pl.DataFrame
    """source, row, problem_id, rule, reason: one row per row of a source that is not kept."""
    num_rows: int
    """Rows the sources held, bad ones included. num_rows = kept + dropped."""


def problem_scope(
    snapshot: Snapshot, source_fingerprints: Sequence[str], filters: Sequence[ProblemFilter], seed: int
) -> ProblemScope:
    """Read the problems of the given sources (each must have been read) and drop what the filters drop."""
    place = pl.DataFrame(
        {"source_fingerprint": list(source_fingerprints), "place": range(len(source_fingerprints))},
        schema={"source_fingerprint": pl.String, "place": pl.Int64},
    )
    sources = (
        snapshot.scan("sources")
        .collect()
        .unique("source_fingerprint", keep="first")
        .join(place, on="source_fingerprint")
    )
    origins = (
        snapshot.scan("origins")
        .join(place.lazy(), on="source_fingerprint")
        .unique(subset=["source_fingerprint", "position"], keep="first", maintain_order=True)
        .sort("place", "position")
        .collect()
    )
    bad = [
        {"source": row["source"], "row": bad, "problem_id": None, "rule": "bad_row", "reason": bad}
        for row in sources.sort("place").iter_rows(named=True)
        for bad in row["bad_rows"] + ["(not listed)"] * (row["num_bad"] - len(row["bad_rows"]))
    ]
    schema = {"source": pl.String, "row": pl.String, "problem_id": pl.String, "rule": pl.String, "reason": pl.String}
    dropped = [pl.DataFrame(bad, schema=schema)]

    # A prompt counts once; if its references differ none of them is trusted.
    known = pl.col("reference_hash").filter(pl.col("reference_hash") != "")
    origins = origins.with_columns(
        repeated=pl.int_range(pl.len()).over("problem_id") > 0,
        num_references=known.n_unique().over("problem_id"),
        # The first row counts, but a reference that only a later one has is not lost.
        reference_hash=known.first().over("problem_id").fill_null(""),
    )
    dropped.append(
        origins.filter(pl.col("num_references") > 1).select(
            "source",
            "row",
            "problem_id",
            rule=pl.lit("conflicting_references"),
            reason=pl.format("the same prompt comes with {} different references", "num_references"),
        )
    )
    origins = origins.filter(pl.col("num_references") <= 1)
    dropped.append(
        origins.filter("repeated").select(
            "source",
            "row",
            "problem_id",
            rule=pl.lit("repeated"),
            reason=pl.lit("the same prompt stands in an earlier row"),
        )
    )
    origins = origins.filter(~pl.col("repeated"))

    ids = origins.lazy().select("problem_id")
    prompts = snapshot.scan("problems").select("problem_id", "prompt")
    problems = prompts.join(ids, on="problem_id", how="semi").unique("problem_id")
    references = (
        snapshot.scan("references")
        .join(ids, on="problem_id", how="semi", maintain_order="left")
        .group_by("problem_id", "reference_hash", maintain_order=True)
        .agg(
            pl.col("reference").drop_nulls().first(),
            reference_kind=pl.col("kind").first(),
            reference_status=pl.col("status").last(),
        )
    )
    frame = (
        origins.lazy()
        .select(
            "problem_id",
            "domain",
            "language",
            "source",
            "row",
            "licence",
            "reference_hash",
            "source_fingerprint",
            "position",
            "place",
        )
        .join(problems, on="problem_id")
        .join(references, on=["problem_id", "reference_hash"], how="left")
        .collect()
    )
    assert frame.height == origins.height, "an origin without its problem: the source step writes problems first"
    frame = frame.with_columns(order=pl.Series([order_of(seed, i) for i in frame["problem_id"]], dtype=pl.String)).sort(
        "place", "position"
    )

    quarantined = (pl.col("reference_status") == "quarantined").fill_null(value=False)
    rules: list[tuple[str, pl.Expr, pl.Expr]] = [
        ("quarantined_reference", quarantined, pl.lit("its reference is suspect and set aside")),
        *((f.kind, f.drop(), f.reason()) for f in filters),
    ]
    for rule, drop, reason in rules:
        marked = frame.with_columns(_drop=drop.fill_null(value=False), _reason=reason)
        dropped.append(
            marked.filter("_drop").select("source", "row", "problem_id", rule=pl.lit(rule), reason=pl.col("_reason"))
        )
        frame = marked.filter(~pl.col("_drop")).drop("_drop", "_reason")

    return ProblemScope(
        kept=frame.drop("position", "place", "reference_status").sort("order"),
        dropped=pl.concat(dropped),
        num_rows=int(sources["num_rows"].sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotScope:
    """The slots a recipe wants: every kept problem, every policy, every index of the group."""

    stored: pl.DataFrame
    """trace_id, text_hash, problem_id, policy_fingerprint, index, finish_reason, num_completion_tokens; one row per
    wanted slot that has a trace. Where a trace that was cut off has been continued, the row is the continuation's."""
    failed: pl.DataFrame
    """trace_id, problem_id, policy_fingerprint, index, class, attempts, message; wanted slots that are set aside
    without a completion."""
    num_superseded: int
    """Traces stored for a wanted slot that another commit had filled before."""
    missing: pl.DataFrame
    """problem_id, policy_fingerprint, index, wave, order; wanted slots still to sample, in the order to sample them."""
    cut_off: pl.DataFrame
    """trace_id, text_hash, problem_id, policy_fingerprint, index, num_completion_tokens, child, child_fingerprint,
    state: traces that hit their token limit and are to be continued. The state of the child, the trace that goes on, is
    stored, failed or missing."""

    @property
    def num_requested(self) -> int:
        """Slots wanted: stored + failed + missing."""
        return self.stored.height + self.failed.height + self.missing.height

    @property
    def num_to_continue(self) -> int:
        """Traces that were cut off and are still to be continued."""
        return self.cut_off.filter(state="missing").height


_SLOT = ["problem_id", "policy_fingerprint", "index"]
_TRACE = ["text_hash", *_SLOT, "finish_reason", "num_completion_tokens"]


def slot_scope(snapshot: Snapshot, wanted: pl.DataFrame, continuations: Mapping[str, str] | None = None) -> SlotScope:
    """Say which of the wanted slots are stored, failed or missing.

    `wanted` has problem_id, policy_fingerprint, index, wave and order. `continuations` maps a policy's fingerprint to
    that of the policy which continues its traces where they were cut off.
    """
    ids = wanted.lazy().select(_SLOT)
    stored = (
        snapshot.slots(*_TRACE, "parent")
        .filter(pl.col("parent").is_null())
        .drop("parent")
        .join(ids, on=_SLOT, how="semi")
    )
    failed = _failures(snapshot).join(ids, on=_SLOT, how="semi")
    again = snapshot.scan("traces").join(ids, on=_SLOT, how="semi").filter(pl.col("parent").is_null()).select(pl.len())
    stored_now, failed_now, num_stored = pl.collect_all([stored, failed, again])
    # A continuation that failed is no failure of a slot that has its policy and index, but no parent.
    own = [trace_id(p, f, i) == t for t, p, f, i in failed_now.select("trace_id", *_SLOT).iter_rows()]
    failed_now = failed_now.filter(pl.Series(own, dtype=pl.Boolean)).join(stored_now, on=_SLOT, how="anti")
    missing = wanted.join(stored_now, on=_SLOT, how="anti").join(failed_now, on=_SLOT, how="anti")
    order = wanted.select(*_SLOT, "order")
    ordered = stored_now.join(order, on=_SLOT).sort("order", "policy_fingerprint", "index").drop("order")
    num_superseded = num_stored.item() - stored_now.height
    cut_off = _cut_off(snapshot, ordered, continuations or {})
    return SlotScope(
        stored=_with_continuations(snapshot, ordered, cut_off),
        failed=failed_now.sort(_SLOT),
        num_superseded=num_superseded,
        missing=missing.sort("wave", "policy_fingerprint", "order", "index"),
        cut_off=cut_off,
    )


def _failures(snapshot: Snapshot) -> pl.LazyFrame:
    """Return the slots that are set aside: the last word on each counts."""
    return (
        snapshot.scan("failures")
        .unique("trace_id", keep="last", maintain_order=True)
        .filter(pl.col("class") != AGAIN)
        .select("trace_id", *_SLOT, "class", "attempts", "message")
    )


def _cut_off(snapshot: Snapshot, stored: pl.DataFrame, continuations: Mapping[str, str]) -> pl.DataFrame:
    rows = stored.filter(finish_reason="length").filter(pl.col("policy_fingerprint").is_in(list(continuations)))
    children = [
        trace_id(problem, continuations[policy], index, parent)
        for problem, policy, index, parent in rows.select(*_SLOT, "trace_id").iter_rows()
    ]
    rows = rows.drop("finish_reason").with_columns(
        child=pl.Series(children, dtype=pl.String),
        child_fingerprint=pl.col("policy_fingerprint").replace_strict(
            dict(continuations), default=None, return_dtype=pl.String
        ),
    )
    wanted = rows.lazy().select(trace_id="child")
    have = snapshot.slots().join(wanted, on="trace_id", how="semi")
    lost = _failures(snapshot).join(wanted, on="trace_id", how="semi").select("trace_id")
    have_now, lost_now = pl.collect_all([have, lost])
    state = (
        pl.when(pl.col("child").is_in(have_now["trace_id"].to_list()))
        .then(pl.lit("stored"))
        .when(pl.col("child").is_in(lost_now["trace_id"].to_list()))
        .then(pl.lit("failed"))
        .otherwise(pl.lit("missing"))
    )
    return rows.with_columns(state=state)


def _with_continuations(snapshot: Snapshot, stored: pl.DataFrame, cut_off: pl.DataFrame) -> pl.DataFrame:
    """Put the continuation in the place of each trace that has one."""
    done = cut_off.filter(state="stored").select("trace_id", "child")
    if done.is_empty():
        return stored
    children = snapshot.slots(*_TRACE).join(done.lazy().select(trace_id="child"), on="trace_id", how="semi").collect()
    place = stored.with_row_index("place").select("place", "trace_id").join(done, on="trace_id")
    moved = children.join(place.select("place", trace_id="child"), on="trace_id")
    kept = stored.with_row_index("place").join(done, on="trace_id", how="anti")
    return pl.concat([kept.select(moved.columns), moved]).sort("place").drop("place").select(stored.columns)


def wave_of(place: int) -> int:
    """Return the wave that a place in a group belongs to: 0 for 0…3, 1 for 4…7, 2 for 8…15, 3 for 16…31 and so on.

    A wave is sampled for all problems before the next begins.
    """
    return (place // 4).bit_length()


def verdicts_of(snapshot: Snapshot, judge_fingerprints: Sequence[str]) -> pl.LazyFrame:
    """Return one row per verdict key, with `attempts` and `settled`.

    A pass, a fail or a permanent unknown settles a key; a transient unknown does after three attempts. Where a key has
    several rows the first settling one counts.
    """
    key = ["trace_id", "text_hash", "judge_fingerprint", "reference_hash"]
    transient = (pl.col("cause") == "transient").fill_null(value=False)
    return (
        snapshot.scan("verdicts")
        .filter(pl.col("judge_fingerprint").is_in(list(judge_fingerprints)))
        .with_columns(_transient=transient, attempts=pl.len().over(key))
        .sort("_transient", maintain_order=True)
        .unique(key, keep="first", maintain_order=True)
        .with_columns(settled=~pl.col("_transient") | (pl.col("attempts") >= MAX_ATTEMPTS))
        .drop("_transient")
    )
