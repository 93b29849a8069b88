"""Judge the form of a completion: R1's template, one closed reasoning part and then an answer.

In: a completion, and its prompt where a template opens the reasoning there. Out: pass or fail. Reasoning without a
letter, a digit or a symbol is empty, also `<think>\\n\\n</think>` and `<think>...</think>`, which a model writes to
skip it. What the answer says is not looked at, nor whether it is right.
"""

from __future__ import annotations

import unicodedata
from typing import ClassVar, Literal

from verifiers.extract import CLOSE, OPEN, find_answer, split_reasoning
from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_TAG_OPEN, _TAG_CLOSE = "<answer>", "</answer>"


class Format(Judge):
    """Check that a completion opens with `<think>`, closes it once, and then answers (R1 v2, 2.2.2 and table 1).

    Example:
        >>> Format().judge("<think>\\n\\n</think> 4").reason
        'the reasoning is empty'
    """

    kind: Literal["format"] = "format"
    """Name of the judge."""
    require_boxed: bool = False
    """Whether the answer must hold a balanced `\\\\boxed{}`."""
    require_answer_tags: bool = False
    """Whether the answer must be exactly one `<answer>…</answer>`, as in R1-Zero's template."""
    prefilled: bool = False
    """Whether the prompt ends with `<think>`, so that completions start inside the reasoning and open none. A prompt
    whose last message ends so says it too. Traces of the ledger have their tag again: leave it off for them."""

    version: ClassVar[int] = 2
    uses_reference: ClassVar[bool] = False

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference
        is_open = self.prefilled or bool(prompt and prompt[-1]["content"].rstrip().endswith(OPEN))
        fault = self._fault(completion, num_opened=0 if is_open else 1)
        return self._decide(passed=fault is None, reason=fault or "one reasoning part, then an answer")

    def _fault(self, completion: str, *, num_opened: int) -> str | None:
        opened, closed = completion.count(OPEN), completion.count(CLOSE)
        if (opened, closed) != (num_opened, 1):
            asked = (
                "one each is asked for" if num_opened else f"{OPEN} stands in the prompt and {CLOSE} is asked for once"
            )
            return f"{opened} {OPEN} and {closed} {CLOSE}, where {asked}"
        if num_opened and not completion.lstrip().startswith(OPEN):
            return f"text before {OPEN}"
        parts = split_reasoning(completion)
        if parts.answer is None:
            return f"{CLOSE} stands before {OPEN}"
        if not _says_something(parts.reasoning or "", "LNSM"):
            return "the reasoning is empty"
        if not _says_something(parts.answer, "LNSMP"):
            return "nothing follows the reasoning"
        return self._fault_of_answer(parts.answer.strip())

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


def _says_something(text: str, categories: str) -> bool:
    """Tell whether any character is of one of these Unicode categories: L is letters, N numbers, S symbols, …"""
    return any(unicodedata.category(character)[0] in categories for character in text)
