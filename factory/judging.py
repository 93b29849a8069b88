"""From traces and judges to verdict rows: the one way in which everything here is judged.

    JudgeUse    one judge in a recipe, and the problems it applies to
    Item        one (trace, judge) to judge, with all that the judge needs
    judge_items yields (item, verdict) from a pool of killable workers

A judge that uses a reference applies where the problem has one of a kind it reads (a composed judge: of a kind that any
of its judges reads); the others apply everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import model_validator

from factory.config import Config
from factory.identity import judge_fingerprint
from factory.ledger.journal import Row
from factory.records import Domain, Messages
from verifiers import AnyJudge, JudgePool, Reference, Verdict, parse_reference
from verifiers.compose import reads_reference
from verifiers.verdict import Judge
from verifiers.workers import Task


class JudgeUse(Config):
    """A judge as a recipe uses it: the judge's own fields, and `domains`."""

    judge: AnyJudge
    """The judge."""
    domains: tuple[Domain, ...] | None = None
    """Domains it judges; all of them unless it is said."""

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if isinstance(data, dict) and "judge" not in data:
            rest = {k: v for k, v in data.items() if k != "domains"}
            return {"judge": rest, **({"domains": data["domains"]} if "domains" in data else {})}
        return data

    @property
    def fingerprint(self) -> str:
        """Identity of the judge; the domains are no part of it."""
        return judge_fingerprint(self.judge)

    def applies_to(self, domain: str, reference_kind: str | None) -> bool:
        """Tell whether a problem of this domain and kind of reference is judged."""
        if self.domains is not None and domain not in self.domains:
            return False
        return reads_reference(self.judge, reference_kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One judgement to make."""

    judge: Judge
    """Who judges."""
    judge_fingerprint: str
    """Its identity."""
    trace_id: str
    """What is judged."""
    text_hash: str
    """Content of the slot."""
    completion: str
    """Its text."""
    reference: str | None
    """The reference as JSON; None for judges that use none."""
    reference_hash: str
    """Its hash, or the empty string."""
    prompt: Messages
    """What was asked."""


def judge_items(pool: JudgePool | None, items: Iterable[Item]) -> Iterator[tuple[Item, Verdict]]:
    """Judge items, pulled lazily, and yield each with its verdict as they finish.

    Without a pool the judges run here, one after the other: for debugging, and for judges known to be cheap.
    """
    pending: dict[int, Item] = {}

    def tasks() -> Iterator[Task]:
        for number, item in enumerate(items):
            pending[number] = item
            yield Task(
                judge=item.judge,
                completion=item.completion,
                reference=None if item.reference is None else _reference(item.reference),
                prompt=item.prompt,
            )

    if pool is None:
        for number, task in enumerate(tasks()):
            yield pending.pop(number), task.judge.judge(task.completion, task.reference, task.prompt)
        return
    for number, verdict in pool.map_unordered(tasks()):
        yield pending.pop(number), verdict


def verdict_row(item: Item, verdict: Verdict) -> Row:
    """Return the row of the table `verdicts`."""
    return {
        "trace_id": item.trace_id,
        "text_hash": item.text_hash,
        "judge_fingerprint": item.judge_fingerprint,
        "reference_hash": item.reference_hash,
        "by": verdict.by,
        "outcome": verdict.outcome,
        "cause": verdict.cause,
        "score": verdict.score,
        "extracted": verdict.extracted,
        "span": None if verdict.span is None else list(verdict.span),
        "reason": verdict.reason,
        "version": verdict.version,
    }


@lru_cache(maxsize=4096)
def _reference(text: str) -> Reference:
    return parse_reference(json.loads(text))
