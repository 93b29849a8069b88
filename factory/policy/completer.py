"""A policy as the callable that judges ask: conversations in, replies out, from any number of threads.

One thread feeds the policy from a queue and hands its completions back as they come, so that an engine is kept full by
judges that each wait for one reply, and no reply waits for the slowest of a batch. The seed of a reply is a hash of the
conversation: the same question gets the same answer wherever the engine allows that.

A failure of one conversation is a reply without a text. When the policy as a whole ends, whoever waits is told so with
`JudgeUnusable`, and the run ends with the policy's own error: nothing is recorded against any text.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Self

from factory.errors import PolicyError
from factory.identity import problem_id, seed_of
from factory.policy.protocol import Policy
from factory.records import Completion, Failure, Slot
from verifiers.asking import Reply, Usage
from verifiers.verdict import JudgeUnusable, Messages

PERMANENT = frozenset({"prompt_too_long", "prompt_form", "refused", "content_filter", "not_recorded"})
"""Failures that asking again does not change."""
_CLOSE_S = 2.0
"""Time that closing leaves to what is in flight before the policy is closed under it."""


class Completer:
    """A policy that answers judges. It takes the policy over and closes it."""

    def __init__(self, policy: Policy) -> None:
        self.usage = Usage()
        self._policy = policy
        self._news = threading.Condition()
        self._waiting: deque[_Question] = deque()
        self._out: dict[str, _Question] = {}
        self._numbers = itertools.count()
        self._error: BaseException | None = None
        self._is_closing = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._serve, name="completer", daemon=True)
        self._thread.start()

    @property
    def policy(self) -> Policy:
        """The policy that answers."""
        return self._policy

    def __call__(self, asked: list[Messages]) -> list[Reply]:
        """Return one reply per conversation. Raises JudgeUnusable if the policy has ended or does meanwhile."""
        if self._process != os.getpid():
            raise JudgeUnusable("the policy is in the process that this one was forked from")
        questions = [_Question(slot=self._slot(messages)) for messages in asked]
        with self._news:
            if self._error is not None or self._is_closing:
                raise JudgeUnusable(self._why()) from self._error
            self._waiting.extend(questions)
            self._news.notify()
        return [question.reply.result() for question in questions]

    def close(self) -> None:
        """Give up what waits and close the policy. Twice is fine."""
        with self._news:
            self._is_closing = True
            self._news.notify()
        self._thread.join(_CLOSE_S)
        self._policy.close()
        self._thread.join(_CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        error: BaseException | None = None
        try:
            with contextlib.closing(self._policy.sample(self._slots())) as results:  # type: ignore[type-var]
                for result in results:
                    self._give_back(result)
                    if self._is_closing:
                        break
        except BaseException as raised:  # noqa: BLE001 - told to whoever waits
            error = raised
        with self._news:
            if not self._is_closing:
                self._error = error or PolicyError("the policy that judges ask has ended")
            lost = [*self._out.values(), *self._waiting]
            self._waiting.clear()
            self._out.clear()
        for question in lost:
            gone = JudgeUnusable(self._why())
            gone.__cause__ = self._error
            question.reply.set_exception(gone)

    def _slots(self) -> Iterator[Slot | None]:
        """Yield what is asked as it comes, None where nothing is while replies are out, and end with closing."""
        while True:
            with self._news:
                while not self._waiting and not self._out and not self._is_closing:
                    self._news.wait()
                if self._is_closing:
                    return
                question = self._waiting.popleft() if self._waiting else None
                if question is not None:
                    self._out[question.slot.trace_id] = question
            yield None if question is None else question.slot

    def _give_back(self, result: Completion | Failure) -> None:
        with self._news:
            question = self._out.pop(result.trace_id)
        reply = _reply(result)
        self.usage.count(reply)
        question.reply.set_result(reply)

    def _slot(self, messages: Messages) -> Slot:
        identity = problem_id(messages)
        return Slot(
            trace_id=f"{identity}-{next(self._numbers)}",  # the same may be asked twice at a time
            problem_id=identity,
            prompt=messages,
            index=0,
            seed=seed_of(identity),
        )

    def _why(self) -> str:
        return "the policy is closed" if self._error is None else f"the policy cannot answer: {self._error}"


@dataclass(slots=True, eq=False)
class _Question:
    """One conversation that waits for its reply."""

    slot: Slot
    reply: Future[Reply] = field(default_factory=Future)


def _reply(result: Completion | Failure) -> Reply:
    if isinstance(result, Failure):
        fault = f"{result.error}: {result.message}"
        return Reply(text=None, fault=fault, is_permanent=result.error in PERMANENT)
    return Reply(
        text=result.text,
        num_prompt_tokens=result.num_prompt_tokens,
        num_completion_tokens=result.num_completion_tokens,
        cost=result.cost,
    )
