"""Measure what makes a completion hard to read: long paragraphs, and code in what is no program.

In: a completion. Out: two measures. `longest_paragraph` counts the words of the longest paragraph of reasoning and
answer; an ideograph or a kana is a word. `code_blocks` counts the code blocks of the reasoning, or of the whole text
where there is no reasoning part. DeepSeek-R1's data drops chains of thought with either (R1 v2, B.3.3) and names no
thresholds; how much is too much is a filter's business. Neither judges style: headings, lists and mathematics are not
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from verifiers.extract import split_reasoning
from verifiers.reference import Reference
from verifiers.verdict import Judge, Messages, Verdict

_SHOWN = 200


class LongestParagraph(Judge):
    """Count the words of the longest paragraph. Paragraphs end at blank lines, tags of thinking and code fences."""

    kind: Literal["longest_paragraph"] = "longest_paragraph"
    """Name of the judge."""
    unit: Literal["words", "characters"] = "words"
    """What is counted. Characters are those between the first and the last that is not blank."""
    ends_at: Literal["blank line", "line"] = "blank line"
    """Whether a line break ends a paragraph too: for texts that are shown as they are, not as Markdown."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False

    def reward(self, verdict: Verdict) -> float | None:
        """Return 1 for a paragraph of up to a hundred words (or 600 characters), and less the longer it is."""
        if verdict.score is None:
            return None
        return min(1.0, (100 if self.unit == "words" else 600) / max(verdict.score, 1.0))

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        longest, span = 0, (0, 0)
        for start, end in _paragraphs(completion, by_line=self.ends_at == "line"):
            count = end - start if self.unit == "characters" else sum(1 for _ in _WORD.finditer(completion, start, end))
            if count > longest:
                longest, span = count, (start, end)
        if not longest:
            return self._verdict(outcome="pass", score=0.0, reason="there is no paragraph")
        shown = (span[0], min(span[1], span[0] + _SHOWN))
        return self._verdict(
            outcome="pass",
            score=float(longest),
            reason=f"the longest paragraph has {longest} {self.unit}",
            extracted=completion[slice(*shown)],
            span=shown,
        )


class CodeBlocks(Judge):
    """Count the code blocks of the reasoning: in fences, also unclosed, in `[asy]` (figures), and without a fence."""

    kind: Literal["code_blocks"] = "code_blocks"
    """Name of the judge."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False

    def reward(self, verdict: Verdict) -> float | None:
        """Return 1 for reasoning without code and less the more blocks it has."""
        return None if verdict.score is None else 1.0 / (1.0 + verdict.score)

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference, prompt
        parts = split_reasoning(completion)
        text, offset = (completion, 0) if parts.reasoning is None else (parts.reasoning, parts.reasoning_start)
        blocks = list(_code_blocks(text))
        where = "the text" if parts.reasoning is None else "the reasoning"
        reason = f"{len(blocks)} code blocks in {where}"
        if not blocks:
            return self._verdict(outcome="pass", score=0.0, reason=reason)
        start, end = blocks[0]
        end = min(end, start + _SHOWN)
        return self._verdict(
            outcome="pass",
            score=float(len(blocks)),
            reason=reason,
            extracted=text[start:end],
            span=(offset + start, offset + end),
        )


_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:['’.,][^\W{_CJK}]+)*")
_FENCE = re.compile(r"[ \t]*(?:(?P<fence>```+|~~~+)[^\n`]*|(?P<asy>\[/?asy\]))")
_TAG = re.compile(r"</?think>")
_LINE = re.compile(r"([^\n]*)(?:\n|\Z)")
# a line that is code whatever stands around it
_CODE = re.compile(
    r"[ \t]*(?:"
    + "|".join(
        (
            r"(?:def|class) \w+ ?[(:]",
            r"(?:async def|elif|except|with|while|for|if|try|else)\b(?:[^.?!]|!=|\.\w){0,80}:\s*(?:#.*)?\Z",
            r"(?:import|from) [\w.]+(?: import [\w*, ]+)?(?: as \w+)?\s*\Z",
            r"return\b(?: [\w\[\](){}.,+*/%'\" <>=-]{1,80})?;?\s*\Z",
            r"(?:print|console\.log|printf|System\.out\.println)\(",
            r"#include\s*[<\"]",
            r"(?:(?:public|private|static|const|unsigned) ){0,3}(?:void|int|float|double|char|bool|string|auto|long)"
            r"(?:\[\])? [*&]?\w+ ?(?:=[^=].{0,100};|;|\([^()]{0,100}\) ?\{?)\s*\Z",
            r"(?:const|let|var) \w+ = [^.?!]{1,100};\s*\Z",
            r"(?:for|while|if) ?\([^()]{1,100}\) ?\{?\s*\Z",
            r"\w+(?:\[[^\]]{1,40}\]|\.\w+)? ?(?:[-+*/%]|//)?= ?[^=\s][^?!]{0,100};\s*\Z",
            r"[a-z_][\w.]{2,40}\([^()]{0,100}\);?\s*(?:#.*)?\Z",
            r"\w+ = (?:[a-z_][\w.]+\(|\[[^\]]{0,100}\]\s*\Z|\{\s*\Z)",
            r"[{}];?\s*\Z",
            r"(?:SELECT|INSERT INTO|UPDATE|CREATE TABLE)\s.{1,200}",
        )
    )
    + ")"
)
_INDENTED = re.compile(r"(?: {4}|\t)\s*\S")
_INSIDE = re.compile(r"(?: {2}|\t)\s*\S")
_MIN_LINES = 2
"""Lines without a fence that make a block: a single one is said in passing."""


def _paragraphs(text: str, *, by_line: bool) -> Iterator[tuple[int, int]]:
    """Yield the places of the paragraphs, without code in fences."""
    start, end, is_fenced = -1, -1, False
    for first, last, is_tag in _lines(text):
        line = text[first:last]
        fence = _FENCE.match(line)
        breaks = is_tag or fence is not None or is_fenced or not line.strip()
        if fence is not None:
            is_fenced = not is_fenced
        if start >= 0 and (breaks or by_line):
            yield start, end
            start = -1
        if not breaks:
            if start < 0:
                start = first + len(line) - len(line.lstrip())
            end = first + len(line.rstrip())
    if start >= 0:
        yield start, end


def _lines(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield the places of the lines; tags of thinking are lines of their own."""
    for match in _LINE.finditer(text):
        at, last = match.span(1)
        for tag in _TAG.finditer(text, at, last):
            yield at, tag.start(), False
            yield tag.start(), tag.end(), True
            at = tag.end()
        if at < last or match.start() == last:
            yield at, last, False


def _code_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of the code blocks."""
    fence_start, mark = -1, ""
    run: list[tuple[int, int]] = []
    num_code = 0
    for first, last, _ in _lines(text):
        line = text[first:last]
        fence = _FENCE.match(line)
        if mark:
            if fence is not None and (fence["fence"] or fence["asy"]).startswith(mark):
                yield fence_start, last
                mark = ""
            continue
        is_code = fence is None and _CODE.match(line[:300]) is not None
        if is_code or (fence is None and (_INSIDE if num_code else _INDENTED).match(line)):
            run.append((first, last))
            num_code += is_code
        elif line.strip() or fence is not None:
            if _is_block(run, num_code):
                yield run[0][0], run[-1][1]
            run, num_code = [], 0
        if fence is not None:
            fence_start, mark = first, "[/asy]" if fence["asy"] else fence["fence"][:3]
    if mark:
        yield fence_start, len(text)
    elif _is_block(run, num_code):
        yield run[0][0], run[-1][1]


def _is_block(run: list[tuple[int, int]], num_code: int) -> bool:
    """Tell whether lines without a fence are code: a quarter of them, and no single line."""
    return len(run) >= _MIN_LINES and num_code > 0 and 4 * num_code >= len(run)
