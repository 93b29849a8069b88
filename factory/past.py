"""What a ledger knows of a policy's earlier sampling: how long its traces are and how fast they came.

In: a snapshot and a policy's fingerprint. Out: means and a rate, for a forecast. It reads stored traces and their
timings, and asks nothing of the policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from factory.ledger import Snapshot

MIN_TRACES = 20
"""Stored traces of a domain from which on their mean is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the ledger has of a policy; empty where it has nothing."""

    num_traces: int = 0
    """Traces stored, continuations left out."""
    mean: float = 0.0
    """Their mean completion tokens."""
    by_domain: Mapping[str, float] = field(default_factory=dict)
    """The same by domain, where it has MIN_TRACES."""
    prompt_tokens: float | None = None
    """Mean tokens of their prompts."""
    tokens_per_second: float | None = None
    """Completion tokens by the seconds in which it was busy; None where nothing was timed."""
    busy_s: float = 0.0
    """Those seconds."""
    num_at_once: float = 0.0
    """Requests under way at once on average meanwhile: a run of a few is slower than the engine is."""


def read_past(snapshot: Snapshot, fingerprint: str) -> Past:
    """Read what the ledger has of a policy. What is still being written is the longest, so that early means are low."""
    columns = ("problem_id", "policy_fingerprint", "parent", "num_prompt_tokens", "num_completion_tokens")
    traces = (
        snapshot.slots(*columns)
        .filter(pl.col("policy_fingerprint") == fingerprint, pl.col("parent").is_null())
        .drop("policy_fingerprint", "parent")
        .collect()
    )
    if traces.is_empty():
        return Past()
    domains = snapshot.scan("problems").select("problem_id", "domain").unique("problem_id").lazy()
    counted = traces.lazy().join(domains, on="problem_id", how="left").group_by("domain")
    means = counted.agg(pl.len().alias("num"), mean=pl.col("num_completion_tokens").mean()).collect()
    timed = (
        snapshot.scan("timings")
        .filter(pl.col("judge_fingerprint").is_null(), pl.col("started_at") > 0, pl.col("seconds") > 0)
        .select("trace_id", "started_at", "seconds")
        .unique("trace_id", keep="first")
        .join(traces.lazy().select("trace_id", "num_completion_tokens"), on="trace_id")
        .collect()
    )
    busy = busy_seconds(timed)
    return Past(
        num_traces=traces.height,
        mean=_mean(traces["num_completion_tokens"]),
        by_domain={d: m for d, n, m in means.select("domain", "num", "mean").iter_rows() if d and n >= MIN_TRACES},
        prompt_tokens=_mean(traces["num_prompt_tokens"]),
        tokens_per_second=float(timed["num_completion_tokens"].sum()) / busy if busy > 0 else None,
        busy_s=busy,
        num_at_once=float(timed["seconds"].sum()) / busy if busy > 0 else 0.0,
    )


def busy_seconds(timed: pl.DataFrame) -> float:
    """Return how long at least one request was under way: the union of the intervals of started_at and seconds.

    Not last minus first: a run that was stopped on Friday and went on on Monday did not sample at the weekend.
    """
    if timed.is_empty():
        return 0.0
    ordered = timed.select(start="started_at", end=pl.col("started_at") + pl.col("seconds")).sort("start")
    before = pl.col("end").cum_max().shift(1).fill_null(-math.inf)
    gained = ordered.select((pl.col("end") - pl.max_horizontal("start", before)).clip(lower_bound=0.0).sum())
    return float(gained.item())


def _mean(values: pl.Series) -> float:
    mean = values.mean()
    return float(mean) if isinstance(mean, (int, float)) else 0.0
