"""What a corpus says of itself: the manifest, from which the card is made.

Everything here is computed from the ledger and the recipe; nothing is volatile (no time, no host), so the same ledger
and recipe give the same manifest, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import polars as pl

from factory.funnel import Funnel
from factory.identity import digest, judge_json
from factory.judging import JudgeUse
from factory.ledger import Snapshot
from factory.policy.model_files import model_name
from factory.policy.torch import sampling_identity
from factory.recipe import Recipe
from factory.version import VERSION
from verifiers.measured import error_rates

CODE_VERSION = 1
"""Raised when the same choice is written as other bytes."""
_SLICE_ROWS = 100_000


def entered_digest(chosen: pl.DataFrame) -> str:
    """Hash the ids, verdicts and fates of the choice: 32 hex digits, the same for any order of the rows."""
    columns = ["trace_id", "text_hash", "finish_reason", "num_completion_tokens", "reference_hash", "rule", "reason"]
    columns += ["split", "domain", "language", "source", "licence"]
    columns += sorted(c for c in chosen.columns if c.endswith((".outcome", ".score", ".reason")))
    hasher = hashlib.blake2b(digest_size=16)
    for part in chosen.select(columns).sort("trace_id").iter_slices(_SLICE_ROWS):
        hasher.update(part.write_ndjson().encode())
    return hasher.hexdigest()


def corpus_manifest(
    recipe: Recipe,
    resolved: dict[str, Any],
    snapshot: Snapshot,
    chosen: pl.DataFrame,
    funnels: list[Funnel],
) -> dict[str, Any]:
    """Return the manifest of a corpus, without the list of its files.

    Its fingerprint is the hash of all the rest and of the rows' ids, verdicts and fates: what the manifest or a row
    says cannot change without another fingerprint.
    """
    kept = chosen.filter(pl.col("rule").is_null())
    wanted = recipe.mix.rows if recipe.mix is not None else None
    facts = {
        "name": recipe.name,
        "software": f"trace-factory {VERSION}",
        "description": recipe.description,
        "sections": resolved,
        "num_rows": kept.height,
        "num_problems": kept["problem_id"].n_unique(),
        "num_tokens": int(kept["num_completion_tokens"].sum()),
        "splits": _count(kept, "split"),
        "domains": _count(kept, "domain"),
        "languages": _count(kept, "language"),
        "sources": _sources(snapshot, resolved["source"]["from"], kept),
        "licences": _count(kept, "licence"),
        "models": _policies(snapshot, _fingerprints(resolved["sample"]), kept),
        "judges": _judges(recipe, chosen),
        "tokens": _quantiles(kept),
        "pass_rates": _pass_rates(chosen),
        "funnels": {funnel.title: funnel.as_json() for funnel in funnels},
        "shortfall": {
            str(domain): {"wanted": rows, "got": got}
            for domain, rows in (wanted or {}).items()
            if (got := kept.filter(domain=domain).height) < rows
        },
    }
    fingerprint = digest({"manifest": facts, "code": CODE_VERSION, "entered": entered_digest(chosen)})
    # what is measured of a judge later changes no corpus
    judges = [judge | {"error_rates": error_rates(**_named(judge))} for judge in _judges(recipe, chosen)]
    return {"fingerprint": fingerprint, **facts, "judges": judges}


def _named(judge: dict[str, Any]) -> dict[str, Any]:
    return {"kind": judge["judge"]["kind"], "version": judge["judge"]["version"]}


def _count(kept: pl.DataFrame, column: str) -> dict[str, dict[str, int]]:
    counts = kept.group_by(column).agg(
        rows=pl.len(), problems=pl.col("problem_id").n_unique(), tokens=pl.col("num_completion_tokens").sum()
    )
    return {
        row[column]: {"rows": row["rows"], "problems": row["problems"], "tokens": row["tokens"]}
        for row in counts.sort(column).iter_rows(named=True)
    }


def _sources(snapshot: Snapshot, fingerprints: list[str], kept: pl.DataFrame) -> list[dict[str, Any]]:
    rows = {
        row["source_fingerprint"]: row
        for row in snapshot.scan("sources")
        .filter(pl.col("source_fingerprint").is_in(fingerprints))
        .collect()
        .to_dicts()
    }
    used = {(s, li): n for s, li, n in kept.group_by("source_fingerprint", "licence").len().iter_rows()}
    return [
        {
            "source": rows[f]["source"],
            "revision": rows[f]["revision"],
            "rows_read": rows[f]["num_rows"],
            "bad_rows": rows[f]["num_bad"],
            "config": json.loads(rows[f]["config"]),
            "rows_in_corpus": sum(n for (s, _), n in used.items() if s == f),
            "licences": sorted({li for (s, li) in used if s == f}),
        }
        for f in fingerprints
    ]


def _fingerprints(section: dict[str, Any]) -> list[str]:
    """Return the policies of a section, each before the one that continues its traces."""
    continued_by = section.get("continued_by", {})
    both = [f for policy in section["policies"] for f in (policy, continued_by.get(policy)) if f is not None]
    return list(dict.fromkeys(both))


def _policies(snapshot: Snapshot, fingerprints: list[str], kept: pl.DataFrame) -> list[dict[str, Any]]:
    rows = dict(snapshot.scan("policies").filter(pl.col("fingerprint").is_in(fingerprints)).collect().iter_rows())
    counts = dict(kept.group_by("policy_fingerprint").len().iter_rows())
    return [
        {"fingerprint": f, "rows": counts.get(f, 0), "policy": json.loads(rows[f])} for f in fingerprints if f in rows
    ]


def _judges(recipe: Recipe, chosen: pl.DataFrame) -> list[dict[str, Any]]:
    judges = []
    for use in recipe.verify:
        outcome = f"{use.judge.kind}.outcome"
        rows = chosen if use.domains is None else chosen.filter(pl.col("domain").is_in(list(use.domains)))
        counts = dict(rows.drop_nulls(outcome).group_by(outcome).len().sort(outcome).iter_rows())
        scores = (
            rows[f"{use.judge.kind}.score"].drop_nulls() if not use.judge.decides else pl.Series([], dtype=pl.Float64)
        )
        measured = (
            {} if scores.is_empty() else {name: _round(scores.quantile(q, "lower")) for name, q in _POINTS.items()}
        )
        judges.append(
            {
                "judge": judge_json(use.judge),
                "decides": use.judge.decides,
                "scores": measured,
                "fingerprint": use.fingerprint,
                "outcomes": counts,
                **({} if use.policy is None else {"policy": _asked(use)}),
            }
        )
    return judges


def _asked(use: JudgeUse) -> dict[str, Any]:
    """Return what a reader needs of the policy that a judge asks; where it runs is no part of it."""
    assert use.policy is not None
    model = str(getattr(use.policy, "model", "unknown"))
    name = model if getattr(use.policy, "urls", ()) else model_name(model)
    return {"kind": use.policy.kind, "model": name, "sampling": sampling_identity(use.sampling)}


_POINTS = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}


def _round(value: float | None) -> float:
    return round(value or 0.0, 3)


def _quantiles(kept: pl.DataFrame) -> dict[str, float]:
    if kept.is_empty():
        return {}
    tokens = kept["num_completion_tokens"]
    values = {name: float(tokens.quantile(q, "lower") or 0.0) for name, q in _POINTS.items()}
    return {**values, "mean": round(float(tokens.mean() or 0.0), 1)}  # type: ignore[arg-type]


def _pass_rates(chosen: pl.DataFrame) -> dict[str, dict[str, float | int]]:
    """Share of traces that the verifiers pass, by domain: the policy's own pass rate, before any filter."""
    kinds = ("math_answer", "choice", "puzzle", "model_judge", "all", "any", "cascade")
    outcomes = [f"{kind}.outcome" for kind in kinds if f"{kind}.outcome" in chosen.columns]
    if not outcomes:
        return {}
    verified = chosen.with_columns(_outcome=pl.coalesce(outcomes)).drop_nulls("_outcome")
    rates = verified.group_by("domain").agg(
        traces=pl.len(), passed=(pl.col("_outcome") == "pass").sum(), unknown=(pl.col("_outcome") == "unknown").sum()
    )
    return {
        row["domain"]: {"traces": row["traces"], "pass": row["passed"], "unknown": row["unknown"]}
        for row in rates.sort("domain").iter_rows(named=True)
    }
