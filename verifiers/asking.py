"""Asking a model: the callable that judges are bound to, and what comes of it.

In: conversations, and a callable `complete(list[Messages]) -> list[str]`. Out: one `Reply` each. Nothing here knows how
a model is run or what it is asked; a judge that is bound to a callable asks it through `Gathered`, from any number of
threads, one call at a time with all that waits meanwhile.

    Complete    the callable
    Reply       the text a model wrote, or why there is none
    Usage       what was asked so far: questions, tokens, cost
    Gathered    a callable that many threads may call, made of one that takes lists
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from verifiers.together import Together
from verifiers.verdict import JudgeUnusable, Messages

_MOST_AT_ONCE = 256
"""Conversations in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model answered."""

    text: str | None
    """What it wrote; None if it wrote nothing that could be had."""
    fault: str = ""
    """Why there is no text, for a reader."""
    is_permanent: bool = False
    """Whether asking again is of no use: the conversation is too long, or refused."""
    num_prompt_tokens: int = 0
    """Tokens of the conversation; 0 where it is not known."""
    num_completion_tokens: int = 0
    """Tokens written; 0 where it is not known."""
    cost: float | None = None
    """What it cost; None where no price is known."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """What was asked of a model so far."""

    num_asked: int = 0
    """Conversations answered or given up."""
    num_faults: int = 0
    """Those without a reply."""
    num_prompt_tokens: int = 0
    """Tokens of all conversations."""
    num_completion_tokens: int = 0
    """Tokens of all replies."""
    cost: float = 0.0
    """What the replies cost, where prices are known."""

    def count(self, reply: Reply) -> None:
        """Add one reply."""
        self.num_asked += 1
        self.num_faults += reply.text is None
        self.num_prompt_tokens += reply.num_prompt_tokens
        self.num_completion_tokens += reply.num_completion_tokens
        self.cost += reply.cost or 0.0


Complete = Callable[[list[Messages]], Sequence[str | Reply]]
"""Answers conversations, all at once and in their order: with texts, or replies where tokens or faults are known."""


class Asks(Protocol):
    """What a bound judge holds: takes conversations from any thread, returns their replies, and counts."""

    usage: Usage

    def __call__(self, asked: list[Messages]) -> list[Reply]:
        """Return one reply per conversation. Raises JudgeUnusable if the model is gone."""
        ...


class Gathered:
    """A callable that takes lists, for many threads: one of them at a time calls it, with all that waits.

    What it raises makes the replies of that call faults, which may be gone the next time; JudgeUnusable and ImportError
    are passed on.
    """

    def __init__(
        self,
        complete: Complete,
        *,
        most_at_once: int = _MOST_AT_ONCE,
        price_per_million: tuple[float, float] | None = None,
    ) -> None:
        """Wrap `complete`. `price_per_million` is what a million tokens of conversations and of replies cost."""
        self.usage = Usage()
        self._complete, self._most, self._price = complete, most_at_once, price_per_million
        self._together: Together[Messages, Reply] = Together(self._replies, most=most_at_once)

    def __call__(self, asked: list[Messages]) -> list[Reply]:
        """Return one reply per conversation."""
        return self._together(asked)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the callable: the copy counts anew."""
        return _gathered, (self._complete, self._most, self._price)

    def _replies(self, asked: list[Messages]) -> list[Reply]:
        try:
            said = self._complete(asked)
        except (JudgeUnusable, ImportError):
            raise
        except Exception as error:  # noqa: BLE001 - a network, a server: no verdict on any text
            fault = f"asking raised {type(error).__name__}: {str(error)[:200]}"
            said = [Reply(text=None, fault=fault)] * len(asked)
        if len(said) != len(asked):
            raise JudgeUnusable(f"the callable returned {len(said)} replies to {len(asked)} conversations")
        if wrong := {type(given).__name__ for given in said if not isinstance(given, (str, Reply))}:
            raise JudgeUnusable(f"the callable returned {', '.join(sorted(wrong))}, not texts")
        replies = [self._priced(Reply(text=given) if isinstance(given, str) else given) for given in said]
        for reply in replies:
            self.usage.count(reply)
        return replies

    def _priced(self, reply: Reply) -> Reply:
        if self._price is None or reply.cost is not None:
            return reply
        cost = (reply.num_prompt_tokens * self._price[0] + reply.num_completion_tokens * self._price[1]) / 1e6
        return replace(reply, cost=cost)


def _gathered(complete: Complete, most: int, price: tuple[float, float] | None) -> Gathered:
    return Gathered(complete, most_at_once=most, price_per_million=price)
