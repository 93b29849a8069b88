"""Judge the final answer of a mathematical problem against its reference.

In: a completion and an `AnswerReference`. Out: pass if the final answer equals the reference, fail if it does not or if
there is none, unknown if the reference cannot be read or the two cannot be told apart within bounds. How the answer was
found is not judged. Most answers are compared as text and exact numbers; algebra runs in a killable worker.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar, Literal

from verifiers.extract import Extracted, final_answer, last_match, split_reasoning
from verifiers.math_compare import Comparison, compare_plainly, compare_symbolically
from verifiers.math_text import MAX_CHARS
from verifiers.reference import AnswerReference, Reference
from verifiers.verdict import Judge, Messages, Verdict
from verifiers.workers import inside_worker, judge_apart

_DELIMITED = re.compile(r"\$\$?(?!\s)([^$\n]{1,400}?)(?<!\s)\$\$?(?!\d)|\\\((.{1,400}?)\\\)|\\\[(.{1,400}?)\\\]")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_LAST_SENTENCE = re.compile(r"(?:[^.!?。！？]|[.!?](?!\s|$))+")
_WORD = re.compile(r"[a-zA-Z]{2}|[\u4e00-\u9fff]")


class MathAnswer(Judge):
    """Compare the final answer with the reference: exact numbers first, then algebra.

    Example:
        >>> MathAnswer().judge("<think>1/2 of 1</think> \\\\boxed{0.5}", AnswerReference(value="\\\\frac12")).outcome
        'pass'
    """

    kind: Literal["math_answer"] = "math_answer"
    """Name of the judge."""

    version: ClassVar[int] = 1
    deadline_s: ClassVar[float] = 5.0

    def prepare(self) -> None:
        """Import sympy and math-verify and read one expression, which fills the parser's tables."""
        compare_symbolically("x + \\frac{1}{2}", "\\frac{2x + 1}{2}")

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        if not isinstance(reference, AnswerReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"a math answer needs a reference of kind answer, there is {given}")
        if len(reference.value) > MAX_CHARS:
            return self._unknown(f"the reference has {len(reference.value)} characters, at most {MAX_CHARS} are read")
        found = final_answer(completion)
        if found is None:
            closed = split_reasoning(completion).answer is not None
            return self._decide(passed=False, reason="no final answer" if closed else "the reasoning never ends")
        found = _narrowed(found)
        if len(found.text) > MAX_CHARS:
            reason = f"the final answer has {len(found.text)} characters, at most {MAX_CHARS} are read"
            return self._decide(
                passed=False, reason=reason, extracted=found.text[:200], span=(found.start, found.start + 200)
            )
        compared = compare_plainly(reference.value, found.text)
        if compared is None and not inside_worker():
            return judge_apart(self, completion, reference, prompt)
        return self._said(compared or compare_symbolically(reference.value, found.text), found, reference)

    def _said(self, compared: Comparison, found: Extracted, reference: AnswerReference) -> Verdict:
        if compared.equal is None:
            return self._unknown(compared.reason, extracted=found.text, span=found.span)
        sign = "=" if compared.equal else "≠"
        reason = f"{_short(found.text)} {sign} {_short(reference.value)}: {compared.reason}"
        return self._decide(passed=compared.equal, reason=reason, extracted=found.text, span=found.span)


def _narrowed(found: Extracted) -> Extracted:
    """Cut prose around a formula: keep the last delimited one, bold text, or what follows `=` in the last sentence."""
    if found.how in ("box", "tag"):
        return found
    found = _cut(found, max(0, len(found.text) - MAX_CHARS), len(found.text))
    for pattern in (_DELIMITED, _BOLD):
        last = last_match(pattern, found.text)
        if last:
            return _cut(found, *last.span(last.lastindex or 0))
    if found.how == "last line":
        last = last_match(_LAST_SENTENCE, found.text)
        found = _cut(found, *last.span()) if last else found
    head, equals, tail = found.text.rpartition("=")
    if equals and tail.strip() and _WORD.search(head.rpartition("=")[0] or head):
        return _cut(found, len(head) + 1, len(found.text))
    return found


def _cut(found: Extracted, start: int, end: int) -> Extracted:
    """Return a part of what was found, without the blanks around it."""
    text = found.text[start:end]
    start += len(text) - len(text.lstrip())
    text = text.strip()
    return replace(found, text=text, start=found.start + start, end=found.start + start + len(text))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
