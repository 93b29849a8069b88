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
_FENCE = re.compile(r"^[ \t]{0,12}(?P<marks>`{3,}|~{3,})[ \t]*(?P<label>[^\s`{]*)[^\n`]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program and where it stands."""

    text: str
    """The source."""
    start: int
    """Index of its first character in the completion."""


def language_named(name: str) -> str | None:
    """Return the language that a reference or a fence means; None for one that is not known."""
    return next((language for language, labels in LABELS.items() if name.lower() in labels), None)


def program_of(completion: str, language: str) -> Program | None:
    """Find the program in a completion; None if the reasoning never closes or nothing follows it."""
    parts = split_reasoning(completion)
    if parts.answer is None or not parts.answer.strip():
        return None
    ours: tuple[int, int] | None = None
    unnamed: tuple[int, int] | None = None
    for label, start, end in _blocks(parts.answer):
        if language_named(label) == language:
            ours = start, end
        elif not label:
            unnamed = start, end
    start, end = ours or unnamed or (0, len(parts.answer))
    return Program(text=parts.answer[start:end], start=parts.answer_start + start)


def _blocks(text: str) -> list[tuple[str, int, int]]:
    """Return the fenced blocks: label, start and end of the content; one that never closes goes to the end."""
    blocks = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif (
            fence["marks"][0] == opened["marks"][0]
            and len(fence["marks"]) >= len(opened["marks"])
            and not fence["label"]
        ):
            blocks.append((opened["label"], min(opened.end() + 1, fence.start()), fence.start()))
            opened = None
    if opened is not None:
        blocks.append((opened["label"], min(opened.end() + 1, len(text)), len(text)))
    return blocks
