"""What a judge is and what it says.

In: one completion, the reference it is held against, the prompt it answers. Out: a `Verdict`. A judge measures; it
holds no threshold of a filter, keeps no state and does no I/O (one that asks a model does so through what it is bound
to). `unknown` is not `fail`: a timeout, a crash or an unreadable reference says nothing about the completion.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, get_args

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from verifiers.reference import Reference

Outcome = Literal["pass", "fail", "unknown"]
Cause = Literal["permanent", "transient"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Message(TypedDict):
    """One turn of a conversation, in the form that chat templates and the Hub's `messages` columns use."""

    role: str
    content: str


Messages = Sequence[Message]


class JudgeUnusable(RuntimeError):
    """A judge lacks what it needs to judge any text, a model or a sandbox; the message says what to do. No verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one judge says of one completion."""

    by: str
    """Kind of the judge, e.g. `math_answer`."""
    version: int
    """Version of the judge's behaviour: raised whenever an outcome on its case table changes."""
    outcome: Outcome
    """`pass`, `fail`, or `unknown` where nothing can be said. A judge that only measures says `pass` once it has."""
    reason: str
    """One sentence for a person, with the value that decided."""
    score: float | None = None
    """The measure: 1.0 or 0.0 for a decision, a share or a count for a measurement. None when unknown."""
    cause: Cause | None = None
    """For `unknown` only: `permanent` (will be so again) or `transient` (a deadline, a dead worker: try again)."""
    extracted: str | None = None
    """The part of the completion that was judged, as it stands there."""
    span: tuple[int, int] | None = None
    """Where `extracted` stands: start and end in characters of the completion."""
    parts: tuple[tuple[str, Outcome], ...] = ()
    """Of a composed judge: (kind, outcome) of each part that was asked, in order."""
    seconds: float = 0.0
    """Wall time the judging took. Volatile: it is never part of a corpus."""

    def __post_init__(self) -> None:
        assert (self.cause is not None) == (self.outcome == "unknown"), (self.outcome, self.cause)


class Judge(BaseModel):
    """A judge: its configuration and its behaviour in one frozen class.

    Example:
        >>> MathAnswer().judge("<think>2+2</think> The answer is \\boxed{4}.", AnswerReference(value="4")).outcome
        'pass'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Name of the judge in recipes; each subclass narrows it to one literal."""

    version: ClassVar[int]
    """Raised whenever an outcome on the judge's case table changes, so that stored verdicts are never mixed."""
    uses_reference: ClassVar[bool] = True
    """False for judges of form (language, repetition): a corrected reference does not make their verdicts stale."""
    decides: ClassVar[bool] = True
    """False for judges that only measure (language, repetition): their `pass` says that there was something to."""
    deadline_s: ClassVar[float] = 10.0
    """Time one judgement may take before its worker is killed and the verdict is `unknown`, transient."""
    runs_here: ClassVar[bool] = False
    """True for judges that hold a model or a connection: pools judge by them in threads, not in worker processes."""

    def judge(self, completion: str, reference: Reference | None = None, prompt: Messages | None = None) -> Verdict:
        """Judge one completion. Never raises on any completion; see the subclass for what the outcome means.

        Raises ImportError if a library that the judge needs is missing or broken, JudgeUnusable if it lacks the model
        that it asks, TypeError if the reference is none (`parse_reference` reads it from JSON data).
        """
        if reference is not None and not hasattr(reference, "kind"):
            raise TypeError(f"a reference is read by parse_reference(...), this is a {type(reference).__name__}")
        started = time.perf_counter()
        try:
            verdict = self._judge(completion, reference, messages_of(prompt) if isinstance(prompt, str) else prompt)
        except (ImportError, JudgeUnusable):
            raise  # a library or a model that is missing says nothing of any text
        except MemoryError as error:
            traceback.clear_frames(error.__traceback__)  # what took the memory must not keep it while we speak
            verdict = self._unknown("judging it took more memory than a worker has", cause="transient")
        except Exception as error:  # noqa: BLE001 - model text may break any parser; that is no verdict on the text
            verdict = self._unknown(f"judging it raised {type(error).__name__}: {str(error)[:200]}")
        return replace(verdict, seconds=time.perf_counter() - started)

    def prepare(self) -> None:
        """Import what judging needs. Pool workers call it before a deadline runs, so that no text pays for imports."""

    def leaves(self) -> tuple[Judge, ...]:
        """Return the judges that this one asks in the end: itself, unless it is composed of others."""
        return (self,)

    def mapped(self, change: Callable[[Judge], Judge]) -> Judge:
        """Return this judge with each of its leaves replaced by what `change` makes of it."""
        return change(self)

    def reward(self, verdict: Verdict) -> float | None:
        """Turn a verdict of this judge into a reward, more for better text; None where it is unknown."""
        return None if verdict.outcome == "unknown" else verdict.score

    @property
    def __name__(self) -> str:
        """Name of the reward function: trainers log rewards under it."""
        return self.kind

    def __call__(
        self,
        completions: Sequence[Any],
        *,
        reference: Sequence[Any] | None = None,
        prompts: Sequence[Any] | None = None,
        **_: Any,
    ) -> list[float | None]:
        """Score completions as a reward function of a GRPO trainer (TRL's calling convention).

        `completions` and `prompts` are strings or lists of messages, `reference` holds one reference (JSON form) per
        completion. Returns one float per completion, None where the verdict is unknown. Raises TypeError if the judge
        needs references and there is no column `reference`: every reward would be None.
        """
        if self.uses_reference and reference is None:
            raise TypeError(f"{self.kind} needs a column `reference` in the dataset, with one reference per completion")
        references = [None] * len(completions) if reference is None else reference
        asked = [None] * len(completions) if prompts is None else prompts
        return [
            self._reward_of(completion, given, prompt)
            for completion, given, prompt in zip(completions, references, asked, strict=True)
        ]

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        """Judge one completion; what subclasses write. May raise: `judge` turns that into unknown."""
        raise NotImplementedError

    def _reward_of(self, completion: Any, reference: Any, prompt: Any) -> float | None:
        from verifiers.reference import parse_reference

        try:
            parsed = None if reference is None else parse_reference(reference)
        except ValueError:
            return None
        return self.reward(self.judge(text_of(completion), parsed, messages_of(prompt)))

    def _decide(
        self, *, passed: bool, reason: str, extracted: str | None = None, span: tuple[int, int] | None = None
    ) -> Verdict:
        outcome: Outcome = "pass" if passed else "fail"
        score = 1.0 if passed else 0.0
        return self._verdict(outcome=outcome, reason=reason, score=score, extracted=extracted, span=span)

    def _unknown(
        self,
        reason: str,
        *,
        cause: Cause = "permanent",
        extracted: str | None = None,
        span: tuple[int, int] | None = None,
    ) -> Verdict:
        return self._verdict(outcome="unknown", reason=reason, cause=cause, extracted=extracted, span=span)

    def _verdict(self, *, outcome: Outcome, reason: str, **fields: Any) -> Verdict:
        return Verdict(by=self.kind, version=self.version, outcome=outcome, reason=reason, **fields)


def text_of(completion: Any) -> str:
    """Return the text of a completion: a string, or the last message of a conversation.

    Reasoning that a chat template has put into a field of its own stands in its tags again: judges of form look for it.
    """
    if isinstance(completion, str):
        return completion
    last = completion[-1] if len(completion) else {}
    content = last.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content)
    reasoning = last.get("reasoning_content")
    return f"<think>{reasoning}</think>{content}" if reasoning else content


def messages_of(prompt: Any) -> Messages | None:
    """Return a prompt, a string or messages, as messages whose content is text."""
    if prompt is None:
        return None
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [{"role": message["role"], "content": text_of([message])} for message in prompt]
