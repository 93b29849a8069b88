"""From traces and judges to verdict rows: the one way in which everything here is judged.

    JudgeUse    one judge in a recipe, the problems it applies to, and the policy that it asks if it asks one
    Item        one (trace, judge) to judge, with all that the judge needs
    asking      the judges of some uses, bound to their policies, which are open meanwhile
    judge_items yields (item, verdict) from a pool of killable workers, and of threads for judges that ask a model

A judge that uses a reference applies where the problem has one of a kind it reads (a composed judge: of a kind that any
of its judges reads); the others apply everywhere.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import Field, model_validator

from factory.config import Config
from factory.errors import FactoryError, PolicyError
from factory.identity import judge_fingerprint
from factory.ledger.journal import Row
from factory.policy.completer import Completer
from factory.policy.kinds import AnyPolicy
from factory.policy.model_files import locate, model_name
from factory.policy.protocol import PolicyConfig, PromptForm, Sampling
from factory.records import Domain, Messages
from verifiers import AnyJudge, JudgePool, Reference, RewardModel, Verdict, bind, parse_reference
from verifiers.compose import reads_reference
from verifiers.model_bound import ModelBound, asking_parts
from verifiers.verdict import Judge, JudgeUnusable
from verifiers.workers import Task

_JUDGING = {"temperature": 0.0, "max_tokens": 4096}
"""How a policy is sampled that judges, unless the recipe says otherwise: the likeliest reply, with room to reason."""


class JudgeUse(Config):
    """A judge as a recipe uses it: the judge's own fields, `domains`, and for one that asks a model also `policy`,
    `prompt` and the sampling parameters beside them."""

    judge: AnyJudge
    """The judge."""
    domains: tuple[Domain, ...] | None = None
    """Domains it judges; all of them unless it is said."""
    policy: AnyPolicy | None = None
    """The model that the judge asks. What it is becomes part of the judge's identity when the recipe is run."""
    sampling: Sampling = Sampling(**_JUDGING)
    """How that model is sampled."""
    prompt: PromptForm = Field(default_factory=PromptForm)
    """How a question becomes the text that the model continues."""

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "judge" in data:
            return data
        own = {key: data[key] for key in ("domains", "policy") if key in data}
        if "policy" in data:
            own |= {"prompt": data["prompt"]} if "prompt" in data else {}
            own["sampling"] = _JUDGING | {key: value for key, value in data.items() if key in Sampling.model_fields}
        judge = {k: v for k, v in data.items() if k not in own and k not in own.get("sampling", {})}
        return {"judge": judge, **own}

    @model_validator(mode="after")
    def _has_a_model(self) -> JudgeUse:
        parts = asking_parts(self.judge)
        if self.policy is None:
            if any(not part.is_bound for part in parts):
                raise ValueError(
                    f"{self.judge.kind} asks a model: say which, e.g. policy: {{kind: server, model: …, urls: […]}}"
                )
            return self
        if not parts:
            raise ValueError(f"{self.judge.kind} asks no model: remove `policy`")
        if any(part.model for part in parts):
            raise ValueError("the `policy` says which model answers: remove `model`")
        if not self.policy.needs_group_size:
            raise ValueError(f"a policy of kind {self.policy.kind} answers no questions")
        return self

    @property
    def fingerprint(self) -> str:
        """Identity of the judge; the domains are no part of it. A judge that asks a policy has its own only when it is
        pinned."""
        return judge_fingerprint(self.judge)

    def pinned(self, pin: Callable[[PolicyConfig], PolicyConfig]) -> JudgeUse:
        """Return the use with all models named by what they are: the policy's fingerprint, the files of a reward model.

        `pin` says what a policy stands for. Raises PolicyError if a model is not there.
        """
        judge: Judge = self.judge.mapped(_with_weights)
        if self.policy is None:
            return self if judge is self.judge else self.model_copy(update={"judge": judge})
        (policy,) = pin(self.policy).resolve()
        name = f"policy:{policy.fingerprint(self.sampling, self.prompt)}"
        judge = judge.mapped(
            lambda leaf: leaf.model_copy(update={"model": name}) if isinstance(leaf, ModelBound) else leaf
        )
        return self.model_copy(update={"judge": judge, "policy": policy})

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


@contextlib.contextmanager
def asking(uses: Sequence[JudgeUse]) -> Iterator[dict[str, tuple[Judge, Completer | None]]]:
    """Open the policies that pinned uses ask. Yields by fingerprint the judge, bound, and what it asks.

    Two uses that ask the same policy share it. Raises PolicyError if one cannot be opened, or if its files are not
    those that were pinned.
    """
    with contextlib.ExitStack() as stack:
        open_: dict[str, Completer] = {}
        judges: dict[str, tuple[Judge, Completer | None]] = {}
        for use in uses:
            if use.policy is None:
                judges[use.fingerprint] = use.judge, None
                continue
            (name,) = {part.model for part in asking_parts(use.judge)}
            if name not in open_:
                policy = use.policy.open(use.sampling, use.prompt)
                open_[name] = stack.enter_context(Completer(policy))
                if name != f"policy:{policy.fingerprint}":
                    model = policy.description["model"]
                    raise PolicyError(f"the files of {model!r} have changed since the run began", hint="run it again")
            judges[use.fingerprint] = bind(use.judge, open_[name]), open_[name]
        yield judges


@contextlib.contextmanager
def model_errors() -> Iterator[None]:
    """Raise what is wrong with the model of a judge as an error of the factory: the policy's own where it has one."""
    try:
        yield
    except JudgeUnusable as error:
        if isinstance(error.__cause__, FactoryError):
            raise error.__cause__ from None
        raise PolicyError(str(error)) from error


def judge_items(pool: JudgePool | None, items: Iterable[Item]) -> Iterator[tuple[Item, Verdict]]:
    """Judge items, pulled lazily, and yield each with its verdict as they finish.

    Without a pool the judges run here, one after the other: for debugging, and for judges known to be cheap. Raises
    FactoryError if a judge lacks the model that it asks.
    """
    with model_errors():
        yield from _judged(pool, items)


def _judged(pool: JudgePool | None, items: Iterable[Item]) -> Iterator[tuple[Item, Verdict]]:
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


def _with_weights(leaf: Judge) -> Judge:
    """Name a reward model by its files; where they lie is no part of what it is."""
    if not isinstance(leaf, RewardModel) or leaf.weights or not leaf.model:
        return leaf
    located = locate(leaf.model, revision=leaf.revision, with_weights=False)
    fields = {"model": model_name(leaf.model), "revision": located.commit, "weights": located.weights}
    return leaf.model_copy(update=fields).on(folder="" if located.commit else str(located.folder))
