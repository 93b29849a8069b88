"""What a recipe is about: its problems, its slots and their verdicts, as narrow frames read from the ledger.

Every step asks here instead of keeping lists of its own, so all of them mean the same rows. Nothing here writes.

    ProblemScope    problems in, dropped with a rule, kept in a seeded order
    SlotScope       the slots a recipe wants, which of them are stored, failed or missing
    verdicts_of     the settled verdict of each (trace, judge, reference)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from factory.identity import order_of
from factory.ledger import Snapshot

MAX_ATTEMPTS = 3
"""A transient failure is tried at most twice more (contracts: verdicts)."""


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
    wanted slot that has a trace."""
    failed: pl.DataFrame
    """problem_id, policy_fingerprint, index, class, message; wanted slots that have no completion for good."""
    num_superseded: int
    """Traces stored for a wanted slot that another commit had filled before."""
    missing: pl.DataFrame
    """problem_id, policy_fingerprint, index, wave, order; wanted slots still to sample, in the order to sample them."""

    @property
    def num_requested(self) -> int:
        """Slots wanted: stored + failed + missing."""
        return self.stored.height + self.failed.height + self.missing.height


def slot_scope(snapshot: Snapshot, wanted: pl.DataFrame) -> SlotScope:
    """Say which of the wanted slots are stored, failed or missing.

    `wanted` has problem_id, policy_fingerprint, index, wave and order.
    """
    key = ["problem_id", "policy_fingerprint", "index"]
    ids = wanted.lazy().select(key)
    columns = ("text_hash", *key, "finish_reason", "num_completion_tokens", "parent")
    stored = snapshot.slots(*columns).filter(pl.col("parent").is_null()).drop("parent").join(ids, on=key, how="semi")
    failed = (
        snapshot.scan("failures")
        .filter((pl.col("class") != "transient") | (pl.col("attempts") >= MAX_ATTEMPTS))
        .unique("trace_id", keep="last", maintain_order=True)
        .select(*key, "class", "message")
        .join(ids, on=key, how="semi")
    )
    again = snapshot.scan("traces").join(ids, on=key, how="semi").filter(pl.col("parent").is_null()).select(pl.len())
    stored_now, failed_now, num_stored = pl.collect_all([stored, failed, again])
    failed_now = failed_now.join(stored_now, on=key, how="anti")
    missing = wanted.join(stored_now, on=key, how="anti").join(failed_now, on=key, how="anti")
    order = wanted.select(*key, "order")
    return SlotScope(
        stored=stored_now.join(order, on=key).sort("order", "policy_fingerprint", "index").drop("order"),
        failed=failed_now.sort(key),
        num_superseded=num_stored.item() - stored_now.height,
        missing=missing.sort("wave", "policy_fingerprint", "order", "index"),
    )


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
