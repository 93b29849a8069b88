"""Judge the final answer of a mathematical problem against its reference.

In: a completion and an `AnswerReference`. Out: pass if the final answer equals the reference, fail if it does not or if
there is none, unknown if the reference cannot be read or the two cannot be told apart within bounds. How the answer was
found is not judged. What counts as equal is decided in `verifiers/maths/` and told by example in docs/verdicts.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from verifiers.extract import Extracted, narrowed_answers, split_reasoning
from verifiers.reference import AnswerReference, Reference
from verifiers.verdict import Judge, Messages, Verdict
from verifiers.workers import inside_worker, judge_apart

if TYPE_CHECKING:
    from verifiers.maths.equality import Comparison

_WORK = re.compile(r"sum|prod|int|lim|gcd|lcm|hcf|max|min|[∑∏∫]")
_MAX_SHOWN = 60
_MAX_EXTRACTED = 4096


class MathAnswer(Judge):
    """Compare the final answer with the reference, whatever it is: a number, an expression, a set, words.

    Example:
        >>> MathAnswer().judge("<think>1/2 of 1</think> \\\\boxed{0.5}", AnswerReference(value="\\\\frac12")).outcome
        'pass'
    """

    kind: Literal["math_answer"] = "math_answer"
    """Name of the judge."""

    evaluate_work: bool = False
    """Whether work that is stated and not carried out counts as its value: a sum, an integral, a limit, a gcd."""

    version: ClassVar[int] = 2
    deadline_s: ClassVar[float] = 5.0

    def prepare(self) -> None:
        """Import the arithmetic and compare one pair, which fills the tables."""
        from verifiers.maths.compare import compare

        compare("x + \\frac{1}{2}", "\\frac{2x + 1}{2}")

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        if not isinstance(reference, AnswerReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"a math answer needs a reference of kind answer, there is {given}")
        found = narrowed_answers(completion)
        if not found:
            closed = split_reasoning(completion).answer is not None
            return self._decide(passed=False, reason="no final answer" if closed else "the reasoning never ends")
        if (
            self.evaluate_work
            and not inside_worker()
            and any(_WORK.search(text) for text in (reference.value, found[0].text))
        ):
            return judge_apart(self, completion, reference, prompt)
        best: tuple[Comparison, Extracted] | None = None
        for candidate in found:
            compared = self._compared(reference.value, candidate.text, prompt)
            if best is None or compared or (best[0].equal is False and compared.equal is None):
                best = compared, candidate
            if compared:
                break
        assert best is not None
        return self._said(*best, reference)

    def _compared(self, reference: str, answer: str, prompt: Messages | None) -> Comparison:
        """Compare with the reference, or with the answer inside it where it is a sentence or a solution."""
        from verifiers.maths.options import compare_with_options

        found = compare_with_options(reference, answer, prompt, evaluate_work=self.evaluate_work)
        if found.unreadable:
            for stated in narrowed_answers(reference):
                again = compare_with_options(stated.text, answer, prompt, evaluate_work=self.evaluate_work)
                if not again.unreadable:
                    return again
        return found

    def _said(self, compared: Comparison, found: Extracted, reference: AnswerReference) -> Verdict:
        shown, span = found.text, found.span
        if len(shown) > _MAX_EXTRACTED:
            shown, span = shown[:200], (found.start, found.start + 200)
        if compared.equal is None:
            return self._unknown(compared.reason, extracted=shown, span=span)
        sign = "=" if compared.equal else "≠"
        reason = f"{_short(found.text)} {sign} {_short(reference.value)}: {compared.reason}"
        return self._decide(passed=compared.equal, reason=reason, extracted=shown, span=span)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
