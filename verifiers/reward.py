"""One reward function from several judges, for trainers by reinforcement: TRL, verl, and any that call a function.

In: completions with their references and prompts, in the trainer's own calling convention. Out: one number per
completion, the weighted sum of what the judges give it. All judging runs in a pool of killable workers, which start
with the first call; the function may be called from any thread, forked with its trainer and pickled.

An unknown verdict of a judge that decides says nothing about the completion. TRL adds up its reward functions and
leaves a row out only where *all* of them return None, so the masking is done here, in one function for all judges. verl
has no way to leave a row out: there an unknown must be worth a number, and the row says that it was one. A judge that
only measures (language, repetition) and finds nothing to measure gives 0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from verifiers.reference import Reference, parse_reference
from verifiers.verdict import Judge, Messages, Verdict, messages_of, text_of
from verifiers.workers import JudgePool, Task, usable_cores

_MAX_WORKERS = 8


def as_reward(
    judges: Sequence[Judge],
    *,
    weights: Sequence[float] | None = None,
    unknown: float | Literal["mask"] = "mask",
    column: str = "reference",
    name: str = "reward",
    num_workers: int | None = None,
) -> Reward:
    """Combine judges into one reward function.

    `weights` are 1 each unless they are given; a judge of weight 0 is logged and changes nothing. `unknown` is what a
    completion gets whose verdict of a judge that decides is unknown: `mask` leaves it out (None), a number is its whole
    reward. `column` of the dataset holds the references, and `name` is what the trainer logs. `num_workers` is the
    cores that this process may use, shared with the other ranks of its machine, and at most 8, unless it is given.

    Raises ValueError if weights and judges do not go together.

    Example:
        >>> reward = as_reward([MathAnswer(), Format()], weights=[1.0, 0.1])
        >>> trainer = GRPOTrainer(model=..., reward_funcs=reward, train_dataset=...)  # with a column `reference`
    """
    if isinstance(judges, Judge) or not all(isinstance(judge, Judge) for judge in judges):
        raise ValueError("judges are a list of judge objects, such as [MathAnswer(), Format()]")
    given = [1.0] * len(judges) if weights is None else [float(weight) for weight in weights]
    if not judges:
        raise ValueError("a reward needs at least one judge")
    if len(given) != len(judges):
        raise ValueError(f"there are {len(judges)} judges and {len(given)} weights")
    if not all(math.isfinite(weight) for weight in given):
        raise ValueError(f"a weight that is no finite number: {given}")
    if num_workers is not None and num_workers < 1:
        raise ValueError(f"num_workers is at least 1, not {num_workers}")
    if unknown != "mask" and (isinstance(unknown, bool) or not isinstance(unknown, (int, float))):
        raise ValueError(f"`unknown` is 'mask' or a number, not {unknown!r}")
    return Reward(
        judges=tuple(judges),
        weights=tuple(given),
        unknown=unknown,
        column=column,
        name=name,
        pool=JudgePool(num_workers or _share_of_cores()),
    )


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A reward function made of judges; `as_reward` builds it."""

    judges: tuple[Judge, ...]
    """Who judges."""
    weights: tuple[float, ...]
    """What the reward of each counts."""
    unknown: float | Literal["mask"]
    """The reward of a completion on which a deciding judge says unknown; `mask` is None."""
    column: str
    """Column of the references."""
    name: str
    """What trainers log it as."""
    pool: JudgePool
    """Where the judging runs."""

    @property
    def __name__(self) -> str:
        """Name of the reward function, where trainers look for it."""
        return self.name

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """Score completions as a reward function of TRL's GRPOTrainer: one float each, None where it is masked.

        `completions`, and `prompts` if they are given, are strings or lists of messages; the other columns hold one
        value per completion. Reports each judge's mean reward and the share of unknowns through TRL's `log_metric`.
        Raises TypeError if a judge needs references and the column is missing.
        """
        scored = self._scored(completions, columns.get(self.column), columns.get("prompts"), columns)
        if callable(log_metric := columns.get("log_metric")) and scored:
            for key in scored[0].parts:
                log_metric(f"{self.name}/{key}", sum(row.parts[key] for row in scored) / len(scored))
            log_metric(f"{self.name}/unknown", sum(row.is_unknown for row in scored) / len(scored))
        return [row.total for row in scored]

    def compute_score(
        self, data_source: Any, solution_str: str, ground_truth: Any, extra_info: Any = None, **_: Any
    ) -> dict[str, float]:
        """Score one completion as verl's custom reward function.

        Returns `score`, `acc` (1 if all judges that decide pass), `unknown` (1 if one of them does not know) and the
        reward by each judge. `extra_info["prompt"]` is the prompt, for judges that use it. Raises ValueError if unknown
        is to be masked, which verl cannot do.
        """
        return self.compute_scores([data_source], [solution_str], [ground_truth], [extra_info])[0]

    def compute_scores(
        self,
        data_sources: Sequence[Any],
        solution_strs: Sequence[str],
        ground_truths: Sequence[Any],
        extra_infos: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[dict[str, float]]:
        """Score a batch as verl's batch reward manager asks for it; rows as `compute_score` returns."""
        del data_sources
        if self.unknown == "mask":
            raise ValueError("verl cannot leave a completion out; say what an unknown is worth: as_reward(unknown=0.0)")
        infos = [None] * len(solution_strs) if extra_infos is None else extra_infos
        prompts = [info.get("prompt") if isinstance(info, dict) else None for info in infos]
        rows = self._scored(solution_strs, ground_truths, prompts, {})
        return [
            {"score": float(row.total or 0.0), "acc": float(row.passed), "unknown": float(row.is_unknown), **row.parts}
            for row in rows
        ]

    def _scored(self, completions: Sequence[Any], references: Any, prompts: Any, columns: dict[str, Any]) -> list[_Row]:
        if references is None and any(judge.uses_reference for judge in self.judges):
            known = ", ".join(sorted(columns)) or "none"
            raise TypeError(
                f"a judge needs references: the dataset has no column {self.column!r} (there are: {known}); name "
                f"yours with as_reward(column=...)"
            )
        count = len(completions)
        for name, column in ((self.column, references), ("prompts", prompts)):
            if column is not None and (isinstance(column, str) or len(column) != count):
                size = "one text" if isinstance(column, str) else f"{len(column)} values"
                raise ValueError(f"column {name!r} has {size} for {count} completions")
        read = [None] * count if references is None else [_reference(value) for value in references]
        asked: list[Messages | None] = [None] * count if prompts is None else [messages_of(value) for value in prompts]
        tasks = [
            Task(judge=judge, completion=text, reference=reference, prompt=prompt)
            for text, reference, prompt in zip(map(text_of, completions), read, asked, strict=True)
            for judge in self.judges
        ]
        verdicts = list(self.pool.map(tasks))
        width = len(self.judges)
        return [self._row(verdicts[start : start + width]) for start in range(0, len(verdicts), width)]

    def _row(self, verdicts: list[Verdict]) -> _Row:
        given = [judge.reward(verdict) for judge, verdict in zip(self.judges, verdicts, strict=True)]
        deciding = [
            verdict.outcome
            for judge, verdict, weight in zip(self.judges, verdicts, self.weights, strict=True)
            if judge.decides and weight
        ]
        is_unknown = "unknown" in deciding
        total = sum(weight * (value or 0.0) for weight, value in zip(self.weights, given, strict=True))
        left_out = None if self.unknown == "mask" else float(self.unknown)
        return _Row(
            total=left_out if is_unknown else total,
            passed=all(outcome == "pass" for outcome in deciding),
            is_unknown=is_unknown,
            parts={key: value or 0.0 for key, value in zip(self._keys(), given, strict=True)},
        )

    def _keys(self) -> list[str]:
        """Name the judges: by kind, numbered where one kind is there twice."""
        kinds = [judge.kind for judge in self.judges]
        return [f"{kind}_{n}" if kinds.count(kind) > 1 else kind for n, kind in enumerate(kinds, 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What one completion gets."""

    total: float | None
    """The reward; None where it is left out."""
    passed: bool
    """Whether all judges that decide pass it."""
    is_unknown: bool
    """Whether one of them does not know."""
    parts: dict[str, float]
    """The reward by each judge, without its weight; 0 for unknown."""


def _reference(value: Any) -> Reference | None:
    """Read a reference; one that cannot be read is none, which makes the verdict unknown."""
    if value is None:
        return None
    try:
        return parse_reference(value.item() if hasattr(value, "item") else value)  # verl's columns are numpy's
    except ValueError:
        return None


def _share_of_cores() -> int:
    """Return the workers of one rank: launchers say how many ranks share the machine."""
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "1")
    return max(1, min(_MAX_WORKERS, usable_cores() // max(1, int(ranks) if ranks.isdecimal() else 1)))
