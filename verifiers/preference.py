"""Compare two answers to one question by a language model: data for reward models, and duels.

In: a question and two completions. Out: a `Preference`: by how much the first is better on a scale of 1 to 10. Half of
the calls show them in one order and half in the other, and the grades are averaged, so that a liking for a place
cancels out; R1's pairs were judged by four calls in random order, and kept where the mean differs by more than 1, with
answers of similar length (R1 v2; only the final summary was judged). What difference is enough is not decided here, nor
are pairs chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from verifiers import judge_prompts
from verifiers.degenerate import says_nothing
from verifiers.extract import split_reasoning
from verifiers.judge_prompts import Asked
from verifiers.model_bound import ModelBound, question_of
from verifiers.verdict import Cause, Messages, messages_of

_BEST = 10
_MAX_ANALYSIS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """How two answers compare."""

    delta: float | None
    """Mean grade of the first less that of the second, -9 to 9; None where it is not known."""
    grades: tuple[float, float] | None = None
    """Mean grades, of the first and of the second; None where they are not known."""
    bias: float | None = None
    """By how much more the answer that is shown first gets than the other, other things being equal."""
    num_calls: int = 0
    """Replies that were read."""
    reason: str = ""
    """One sentence for a person."""
    cause: Cause | None = None
    """Where delta is None: `transient` if asking again may help."""


class PreferenceJudge(ModelBound):
    """Ask a language model which of two answers is better.

    Example:
        >>> judge = PreferenceJudge(model="qwen3-32b, temperature 0").bound(complete)
        >>> judge.compare("Name a prime.", "<think>…</think>7", "<think>…</think>8").delta
        8.5
    """

    kind: Literal["preference"] = "preference"
    """Name of the judge."""
    calls: int = Field(default=4, ge=2, le=32, multiple_of=2)
    """Calls per pair, half of them in each order."""

    version: ClassVar[int] = 1
    """Raised whenever what is asked, or how replies are read, changes."""

    def compare(self, prompt: Messages | str | None, first: str, second: str) -> Preference:
        """Compare two completions; what stands before `</think>` is not looked at.

        Both orders must be read at least once, else the delta is None. Never raises on any text; raises JudgeUnusable
        if the judge is not bound.
        """
        answers = []
        for name, completion in (("first", first), ("second", second)):
            answer = split_reasoning(completion).answer
            fault = "its reasoning never ends" if answer is None else says_nothing(answer)
            if answer is None or fault is not None:
                return Preference(delta=None, reason=f"the {name} answer cannot be judged: {fault}", cause="permanent")
            answers.append(judge_prompts.shortened(answer.strip(), self.max_chars))
        question = question_of(messages_of(prompt))
        half = self.calls // 2
        there, back = ([partial(self._question, question, *order)] * half for order in (answers, answers[::-1]))
        heard = self.heard([*there, *back], _graded)
        shown_first = [grades for number, grades in zip(heard.numbers, heard.values, strict=True) if number < half]
        shown_second = [
            grades[::-1] for number, grades in zip(heard.numbers, heard.values, strict=True) if number >= half
        ]
        if not shown_first or not shown_second:
            order = "either order" if not heard.values else "one of the orders"
            reason = f"no grades in {order}{heard.lacking()}"
            return Preference(delta=None, num_calls=len(heard.values), reason=reason, cause=heard.cause)
        # the orders count the same, also where one of them lost a call
        means = [
            [_mean([grades[place] for grades in order]) for place in (0, 1)] for order in (shown_first, shown_second)
        ]
        one, two = ((means[0][place] + means[1][place]) / 2 for place in (0, 1))
        bias = ((means[0][0] - means[0][1]) - (means[1][0] - means[1][1])) / 2
        counted = f"{one:g} to {two:g} in {len(heard.values)} calls{heard.lacking()}"
        return Preference(
            delta=one - two,
            grades=(one, two),
            bias=bias,
            num_calls=len(heard.values),
            reason=f"{counted}: {heard.analyses[0][:_MAX_ANALYSIS]}",
        )

    def _question(self, question: str, shown_first: str, shown_second: str, salt: str) -> Asked:
        return judge_prompts.preference(question, shown_first, shown_second, note=self.note, salt=salt)


def _graded(said: dict[str, Any]) -> tuple[float, float] | None:
    """Read two grades from 1 to 10."""
    grades = [said.get("first"), said.get("second")]
    for grade in grades:
        if isinstance(grade, bool) or not isinstance(grade, (int, float)) or not 1 <= grade <= _BEST:
            return None
    return float(grades[0]), float(grades[1])  # type: ignore[arg-type]  # looked at above


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
