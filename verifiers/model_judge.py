"""Judge by asking a language model: for what no rule can compare.

In: a completion, a reference (a final answer, an option, a puzzle's answer, or the criteria of a rubric), the prompt.
Out: pass or fail by the majority of `votes` replies; for a rubric the weighted share of criteria met as the score, and
pass where nothing is wanting. Unknown where the model does not answer (transient), or its replies cannot be read though
it was asked again, or no majority agrees (permanent). Only what follows `</think>` is shown to the model, and an answer
that says nothing fails without a question.

It runs no model: `bound` gives it the callable that does. What protects the task from the text it is about is
`judge_prompts.py`; pairs of answers are compared by `preference.py`. It replaces no rule: models can be talked into a
pass. `{kind: cascade, of: [{kind: math_answer}, {kind: model_judge}]}` asks only what the rule leaves open, as R1 did
(R1 v2, B.3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from verifiers import judge_prompts
from verifiers.degenerate import says_nothing
from verifiers.extract import split_reasoning
from verifiers.judge_prompts import Asked
from verifiers.model_bound import Heard, ModelBound, question_of
from verifiers.reference import (
    AnswerReference,
    ChoiceReference,
    Criterion,
    PuzzleReference,
    Reference,
    RubricReference,
)
from verifiers.verdict import Judge, Messages, Verdict

_MAX_SHOWN = 200
"""Characters of the answer's end that a verdict shows."""
_MAX_CRITERIA = 50
_MAX_ANALYSIS = 300


class ModelJudge(ModelBound, Judge):
    """Ask a language model whether an answer says what the reference says, or which criteria of a rubric it meets.

    Example:
        >>> judge = ModelJudge(model="qwen3-32b, temperature 0").bound(complete)
        >>> judge.judge("<think>…</think>It is Paris.", AnswerReference(value="Paris, France")).outcome
        'pass'
    """

    kind: Literal["model_judge"] = "model_judge"
    """Name of the judge."""
    votes: int = Field(default=1, ge=1, le=31)
    """How often the model is asked; more than half of the votes decide. An odd number leaves no tie."""

    version: ClassVar[int] = 1
    runs_here: ClassVar[bool] = True

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        expected = None if reference is None else _expected(reference)
        if reference is None or expected is None:
            given = "no reference" if reference is None else f"a reference of kind {reference.kind} that says none"
            return self._unknown(
                f"a judging model needs an answer or criteria to hold the text against, there is {given}"
            )
        parts = split_reasoning(completion)
        if parts.answer is None:
            return self._decide(passed=False, reason="the reasoning never ends")
        if (fault := says_nothing(parts.answer, expected)) is not None:
            return self._decide(passed=False, reason=fault)
        shown = judge_prompts.shortened(parts.answer.strip(), self.max_chars)
        if isinstance(reference, RubricReference):
            return self._by_rubric(reference, shown, completion, prompt)

        def ask(salt: str) -> Asked:
            question = question_of(prompt)
            return judge_prompts.correctness(question, expected, shown, note=self.note, salt=salt)

        heard = self.heard([ask] * self.votes, _correctness)
        num_right = sum(heard.values)
        num_wrong = len(heard.values) - num_right
        place = _ending(completion)
        for decided, num in ((True, num_right), (False, num_wrong)):
            if 2 * num > self.votes:
                word = "correct" if decided else "incorrect"
                analysis = heard.analyses[heard.values.index(decided)][:_MAX_ANALYSIS]
                reason = f"{num} of {self.votes} say {word}{heard.lacking()}: {analysis}"
                return self._decide(passed=decided, reason=reason, extracted=completion[slice(*place)], span=place)
        return self._undecided(f"{num_right} of {self.votes} say correct, {num_wrong} incorrect", heard, completion)

    def _by_rubric(self, reference: RubricReference, shown: str, completion: str, prompt: Messages | None) -> Verdict:
        criteria = [c if isinstance(c, Criterion) else Criterion(text=c) for c in reference.criteria]
        best = sum(max(criterion.weight, 0.0) for criterion in criteria)
        if len(criteria) > _MAX_CRITERIA or best <= 0:
            return self._unknown(f"a rubric has 1 to {_MAX_CRITERIA} criteria, and some of positive weight")
        texts = [criterion.text for criterion in criteria]

        def ask(salt: str) -> Asked:
            question = question_of(prompt)
            return judge_prompts.rubric(question, texts, reference.value, shown, note=self.note, salt=salt)

        heard = self.heard([ask] * self.votes, _which_of(len(texts)))
        votes = [sum(met[place] for met in heard.values) for place in range(len(texts))]
        open_ = [num for num in votes if 2 * num <= self.votes and 2 * (len(heard.values) - num) <= self.votes]
        if open_:
            return self._undecided(f"{len(open_)} of {len(texts)} criteria have no majority", heard, completion)
        met = [2 * num > self.votes for num in votes]
        reached = sum(criterion.weight for criterion, is_met in zip(criteria, met, strict=True) if is_met)
        passed = all(is_met == (criterion.weight > 0) for criterion, is_met in zip(criteria, met, strict=True))
        wanting = [
            f"{'lacks' if criterion.weight > 0 else 'has'} {criterion.text[:60]!r}"
            for criterion, is_met in zip(criteria, met, strict=True)
            if is_met != (criterion.weight > 0)
        ]
        place = _ending(completion)
        return self._verdict(
            outcome="pass" if passed else "fail",
            score=min(1.0, max(0.0, reached / best)),
            reason=f"{reached:g} of {best:g} points{': ' if wanting else ''}{', '.join(wanting)[:_MAX_ANALYSIS]}",
            extracted=completion[slice(*place)],
            span=place,
        )

    def _undecided(self, counts: str, heard: Heard[Any], completion: str) -> Verdict:
        place = _ending(completion)
        return self._unknown(
            f"no majority: {counts}{heard.lacking()}",
            cause=heard.cause,
            extracted=completion[slice(*place)],
            span=place,
        )


def _expected(reference: Reference) -> str | None:
    """Return what an answer is compared with; None where the reference says nothing that a model could compare."""
    match reference:
        case AnswerReference():
            return reference.value
        case ChoiceReference():
            place = ord(reference.value.upper()) - ord("A") if len(reference.value) == 1 else -1
            text = reference.options[place] if 0 <= place < len(reference.options) else ""
            return f"{reference.value}: {text}" if text else reference.value
        case PuzzleReference():
            answer = reference.entry.get("answer")
            return answer if isinstance(answer, str) and answer.strip() else None
        case RubricReference():
            return reference.value if reference.criteria else None
        case _:
            return None


def _correctness(said: dict[str, Any]) -> bool | None:
    word = said.get("correctness")
    return {"correct": True, "incorrect": False}.get(word.strip().lower()) if isinstance(word, str) else None


def _which_of(count: int) -> Callable[[dict[str, Any]], Sequence[bool] | None]:
    """Return the reader of a rubric's verdict: every criterion once, true or false."""

    def read(said: dict[str, Any]) -> Sequence[bool] | None:
        met = said.get("met")
        if not isinstance(met, dict) or set(met) != {str(number) for number in range(1, count + 1)}:
            return None
        values = [met[str(number)] for number in range(1, count + 1)]
        return values if all(isinstance(value, bool) for value in values) else None

    return read


def _ending(completion: str) -> tuple[int, int]:
    """Return the place of the answer's end, which a verdict shows."""
    end = len(completion.rstrip())
    start = max(split_reasoning(completion).answer_start, end - _MAX_SHOWN)
    return start + len(completion[start:end]) - len(completion[start:end].lstrip()), end
