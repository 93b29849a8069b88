"""Take the program out of a completion.

In: a completion and a language. Out: the last fenced block of that language in the answer part, and where it stands;
else the last block that names no language; else the whole answer. What stands in the reasoning is never a program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from verifiers.extract import split_reasoning

LABELS = {
    "python": ("python", "py", "python3", "py3"),
    "cpp": ("cpp", "c++", "cc", "cxx", "c++17", "c++20"),
    "c": ("c",),
    "javascript": ("javascript", "js", "node", "nodejs"),
    "java": ("java",),
    "go": ("go", "golang"),
    "rust": ("rust", "rs"),
}
"""What each language is called, in references and behind the fence of a block."""
_FENCE = re.compile(
    r"^(?P<lead>[^\n`~]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<label>[\w+#-]*)(?P<rest>[^\n`]*)$", re.MULTILINE
)
_FIRST_LINE = re.compile(r"^([ \t]*)\S", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program and where it stands."""

    text: str
    """The source as it stands there."""
    start: int
    """Index of its first character in the completion."""
    indent: int = 0
    """How far its fence is indented, in a list say."""

    @property
    def source(self) -> str:
        """The source as it is run: without the indentation of its fence, if its first line has that too."""
        first = _FIRST_LINE.search(self.text) if self.indent else None
        width = min(self.indent, len(first[1])) if first else 0
        return re.sub(rf"^[ \t]{{1,{width}}}", "", self.text, flags=re.MULTILINE) if width else self.text


def language_named(name: str) -> str | None:
    """Return the language that a reference or a fence means; None for one that is not known."""
    return next((language for language, labels in LABELS.items() if name.lower() in labels), None)


def program_of(completion: str, language: str) -> Program | None:
    """Find the program in a completion; None if the reasoning never closes or nothing follows it."""
    parts = split_reasoning(completion)
    if parts.answer is None or not parts.answer.strip():
        return None
    ours: tuple[int, int, int] | None = None
    unnamed: tuple[int, int, int] | None = None
    for label, start, end, indent in _blocks(parts.answer):
        if language_named(label) == language:
            ours = start, end, indent
        elif not label:
            unnamed = start, end, indent
    start, end, indent = ours or unnamed or (0, len(parts.answer), 0)
    return Program(text=parts.answer[start:end], start=parts.answer_start + start, indent=indent)


def _blocks(text: str) -> list[tuple[str, int, int, int]]:
    """Return the fenced blocks: label, start and end of the content, indentation; one that never closes goes on.

    Words may stand before an opening fence: `Here it is: ```python`. A closing one is indented about as far as the
    opening one, or less: what is indented more belongs to the text inside.
    """
    blocks: list[tuple[str, int, int, int]] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        starts_line, is_bare = not fence["lead"].strip(), not (fence["label"] or fence["rest"].strip())
        if opened is None:
            opened = fence if starts_line or is_bare or language_named(fence["label"]) else None
        elif starts_line and is_bare and _closes(fence, opened):
            blocks.append(_block(opened, fence.start()))
            opened = None
    if opened is not None and (opened["label"] or text[opened.end() :].strip()):
        blocks.append(_block(opened, len(text)))
    return blocks


def _closes(fence: re.Match[str], opened: re.Match[str]) -> bool:
    return fence["marks"].startswith(opened["marks"]) and len(fence["lead"]) <= len(opened["lead"]) + 3


def _block(opened: re.Match[str], end: int) -> tuple[str, int, int, int]:
    return opened["label"], min(opened.end() + 1, end), end, len(opened["lead"])
