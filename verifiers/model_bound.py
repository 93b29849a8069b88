"""What judges that ask a language model have in common: which model it is, how it is asked, what is heard.

In: questions as `judge_prompts.py` words them. Out: what the replies say, and what came of those that say nothing. A
judge is bound to the callable that runs the model; its configuration only names the model, so that it can be hashed,
written to a recipe and compared. `model_judge.py` and `preference.py` say what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from verifiers.asking import Asks, Complete, Gathered, Reply, Usage
from verifiers.judge_prompts import Asked, verdict_in
from verifiers.verdict import Cause, Judge, JudgeUnusable, Messages

_T = TypeVar("_T")


def bind(judge: Judge, complete: Complete | Asks, *, price_per_million: tuple[float, float] | None = None) -> Judge:
    """Return a judge with all its parts that ask a model bound to one callable; see `ModelBound.bound`.

    Example:
        >>> bind(Cascade(of=(MathAnswer(), ModelJudge(model="qwen3-32b, temperature 0"))), complete)
    """
    asks = _asks(complete, price_per_million)
    return judge.mapped(lambda leaf: leaf.bound(asks) if isinstance(leaf, ModelBound) else leaf)


def asking_parts(judge: Judge) -> list[ModelBound]:
    """Return the parts of a judge that ask a model through a callable; of a judge that is none of them, none."""
    leaves: Sequence[object] = judge.leaves()
    return [leaf for leaf in leaves if isinstance(leaf, ModelBound)]


@dataclass(slots=True)
class Heard(Generic[_T]):
    """What the replies to some questions say."""

    values: list[_T] = field(default_factory=list)
    """What was read."""
    numbers: list[int] = field(default_factory=list)
    """Which question each is of."""
    analyses: list[str] = field(default_factory=list)
    """The analysis that came with each."""
    faults: list[Reply] = field(default_factory=list)
    """Replies without a text."""
    num_unread: int = 0
    """Questions whose replies could not be read, though they were asked again."""

    @property
    def cause(self) -> Cause:
        """Whether asking again may help: not where a reply cannot be read, which was tried again already."""
        return "transient" if any(not fault.is_permanent for fault in self.faults) else "permanent"

    def lacking(self) -> str:
        """Say what is missing, e.g. `; 1 reply cannot be read; 1 has none: timeout`; empty if nothing is."""
        unread = f"; {self.num_unread} cannot be read" if self.num_unread else ""
        return unread + (f"; {len(self.faults)} without a reply: {self.faults[0].fault}" if self.faults else "")


class ModelBound(BaseModel):
    """The configuration of a judge that asks a model, and its binding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    """Which model answers, with all that decides what it writes: part of the judge's identity. A recipe's `policy` sets
    it."""
    retries: int = Field(default=1, ge=0, le=5)
    """How often a question is asked again whose reply cannot be read."""
    max_chars: int = Field(default=12_000, ge=200, le=1_000_000)
    """Characters of an answer that are shown; a longer one is cut in its middle."""
    note: str = Field(default="", max_length=4000)
    """What else the model should look at, added to its task, e.g. how exact a number must be."""

    _ask: Asks | None = PrivateAttr(default=None)

    def bound(self, complete: Complete | Asks, *, price_per_million: tuple[float, float] | None = None) -> Self:
        """Return this judge with the callable that it asks.

        `complete` takes a list of conversations and returns a list of texts, or of `Reply` where tokens, cost or faults
        are known. It is called by one thread at a time, with all questions that wait. `price_per_million` is what a
        million tokens of conversations and of replies cost. Raises ValueError if the judge does not name its model.
        """
        if not self.model:
            raise ValueError(f"say which model answers: {type(self).__name__}(model='qwen3-32b, temperature 0')")
        copy = self.model_copy()
        copy._ask = _asks(complete, price_per_million)
        return copy

    @property
    def is_bound(self) -> bool:
        """Whether it has a callable to ask."""
        return self._ask is not None

    def check(self) -> None:
        """Raise JudgeUnusable if the judge is not bound."""
        if self._ask is None:
            name = type(self).__name__
            raise JudgeUnusable(f"{name} asks a model and is bound to none: {name}(model=…).bound(complete)")

    @property
    def usage(self) -> Usage:
        """What was asked so far through the callable, by all judges that are bound to it."""
        return Usage() if self._ask is None else self._ask.usage

    def heard(
        self, questions: Sequence[Callable[[str], Asked]], read: Callable[[dict[str, Any]], _T | None]
    ) -> Heard[_T]:
        """Ask questions, those with unreadable replies again. Raises JudgeUnusable if the judge is not bound.

        A question is made from a salt that changes its key, so that the same question asked again is another one.
        """
        self.check()
        assert self._ask is not None
        heard: Heard[_T] = Heard()
        left = list(enumerate(questions))
        for attempt in range(1 + self.retries):
            asked = [question(f"{number}.{attempt}") for number, question in left]
            replies = self._ask([each.messages for each in asked])
            again = []
            for question, each, reply in zip(left, asked, replies, strict=True):
                if reply.text is None:
                    heard.faults.append(reply)
                elif (found := verdict_in(reply.text, each.key, read)) is not None:
                    heard.values.append(found[0])
                    heard.numbers.append(question[0])
                    heard.analyses.append(found[1])
                else:
                    again.append(question)
            left = again
            if not left:
                break
        heard.num_unread = len(left)
        return heard


def question_of(prompt: Messages | None) -> str:
    """Return a prompt as one text: of a conversation every turn, with its role."""
    turns = prompt or ()
    if len(turns) == 1:
        return turns[0]["content"]
    return "\n\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)


def _asks(complete: Complete | Asks, price_per_million: tuple[float, float] | None) -> Asks:
    if isinstance(getattr(complete, "usage", None), Usage):
        return cast(Asks, complete)
    return Gathered(complete, price_per_million=price_per_million)
