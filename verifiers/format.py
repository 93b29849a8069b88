"""Judge the form of a completion: R1's template, one closed reasoning part and then an answer.

In: a completion. Out: pass or fail; what the answer says is not looked at, nor whether it is right.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from verifiers.extract import CLOSE, OPEN, find_answer, split_reasoning
from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_TAG_OPEN, _TAG_CLOSE = "<answer>", "</answer>"


class Format(Judge):
    """Check that a completion opens with `<think>`, closes it once, and then answers (R1 v2, 2.2.2 and table 1)."""

    kind: Literal["format"] = "format"
    """Name of the judge."""
    require_boxed: bool = False
    """Whether the answer must hold a balanced `\\\\boxed{}`."""
    require_answer_tags: bool = False
    """Whether the answer must be exactly one `<answer>…</answer>`, as in R1-Zero's template."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        fault = self._fault(completion)
        return self._decide(passed=fault is None, reason=fault or "one reasoning part, then an answer")

    def _fault(self, completion: str) -> str | None:
        opened, closed = completion.count(OPEN), completion.count(CLOSE)
        if (opened, closed) != (1, 1):
            return f"{opened} {OPEN} and {closed} {CLOSE}, where one each is asked for"
        if not completion.lstrip().startswith(OPEN):
            return f"text before {OPEN}"
        parts = split_reasoning(completion)
        if parts.answer is None:
            return f"{CLOSE} stands before {OPEN}"
        if not (parts.reasoning or "").strip():
            return "the reasoning is empty"
        answer = parts.answer.strip()
        if not answer:
            return "nothing follows the reasoning"
        return self._fault_of_answer(answer)

    def _fault_of_answer(self, answer: str) -> str | None:
        if self.require_answer_tags:
            opened, closed = answer.count(_TAG_OPEN), answer.count(_TAG_CLOSE)
            if (opened, closed) != (1, 1):
                return f"{opened} {_TAG_OPEN} and {closed} {_TAG_CLOSE}, where one each is asked for"
            if not (answer.startswith(_TAG_OPEN) and answer.endswith(_TAG_CLOSE)):
                return f"text outside of {_TAG_OPEN}"
            if not answer[len(_TAG_OPEN) : -len(_TAG_CLOSE)].strip():
                return "the answer is empty"
        if self.require_boxed:
            found = find_answer(answer)
            if found is None or found.how != "box":
                return "the answer has no balanced \\boxed{}"
        return None
