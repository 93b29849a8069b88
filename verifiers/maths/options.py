"""Compare answers to problems with lettered options: a letter and the value it stands for are the same answer.

In: text of a reference and of an answer, and the prompt, which may list options ("(A) 5 (B) 7"). Out: a `Comparison`.
Without options in the prompt a letter equals a letter only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from verifiers.maths.compare import compare
from verifiers.maths.equality import Comparison
from verifiers.maths.spelling import MAX_CHARS, clean, plain_words

_LETTERS = "ABCDEFGHIJ"
_OPTION = re.compile(
    r"(?:(?<=\s)|(?<=^)|(?<=[(\[{}$,;。]))\(?(?:\\(?:text|textbf|mathrm|mathbf)\s*\{)?\(?(?P<letter>[A-J])\)?"
    r"(?:[).:、．:]|(?<=\)))\s*\}?\)?[.:]?\s*(?:\\[ ,;]|~)*"
)
_LEAD = (
    r"(?:(?:the\s+)?(?:correct\s+|right\s+)?(?:option|choice|answer|选项|选择|选|答案|故选|应选)"
    r"\s*(?:is|为|是)?\s*[:：]?\s*)?"
)
_LETTER = re.compile(_LEAD + r"[(\[]?\s*(?P<letter>[A-Ja-j])\s*[)\].:、,]?\s*", re.IGNORECASE)
_LETTER_AND_REST = re.compile(
    _LEAD + r"(?:\(\s*(?P<a>[A-J])\s*\)|(?P<b>[A-J])\s*[).:、])\s*(?P<rest>\S.*)", re.IGNORECASE | re.DOTALL
)
_SEVERAL = re.compile(r"[A-J](?:\s*(?:,|and|、|和|&)?\s*[A-J]){1,9}")
_RETRACTED = re.compile(
    r"\b(?:wrong|incorrect|false|maybe|perhaps|unsure)\b|\bor\s+\(?[a-jA-J]\b|\bnot\s*$|不对|错误|或", re.IGNORECASE
)
_CIRCLES = frozenset("①②③④⑤⑥⑦⑧⑨⑩")
_CIRCLED = re.compile(r"[①-⑩][①-⑩、,，和 ]*")
_MAX_PROMPT = 20_000


def compare_with_options(
    reference: str, answer: str, prompt: Sequence[Mapping[str, Any]] | None, *, evaluate_work: bool = False
) -> Comparison:
    """Compare an answer with a reference; letters stand for the options of the prompt, if it has any."""
    if len(reference) > MAX_CHARS or len(answer) > MAX_CHARS:
        return compare(reference, answer)
    if _CIRCLED.fullmatch(reference) and _CIRCLED.fullmatch(answer):
        same = sorted(set(reference) & _CIRCLES) == sorted(set(answer) & _CIRCLES)
        return Comparison(same, "compared as numbered statements")
    wanted, given = _letters(reference), _letters(answer)
    options = _options_of(prompt) if (wanted or given or _looks_lettered(reference) or _looks_lettered(answer)) else {}
    if (wanted is None) != (given is None):  # AC against A, C
        letters, text = (given or wanted or ""), (reference if wanted is None else answer).strip()
        if len(letters) > 1 and text == "".join(sorted(letters)):
            return Comparison(True, "compared as options")
    if wanted is not None:
        return _letter_wanted(wanted, answer, options)
    split = _letter_and_rest(answer)
    if split is not None:
        letter, rest = split
        return _lettered(reference, letter, rest, options)
    if given is not None and options and all(letter in options for letter in given):
        if len(given) > 1:
            return Comparison(False, f"{len(given)} options, the reference is one")
        found = compare(reference, options[given])
        return Comparison(found.equal, f"option {given} is {options[given][:40]}: {found.reason}")
    return compare(reference, answer, evaluate_work=evaluate_work)


def _letter_wanted(wanted: str, answer: str, options: dict[str, str]) -> Comparison:
    """Compare with a reference that is a letter, or several."""
    given = _letters(answer)
    if given is not None:
        return Comparison(sorted(given) == sorted(wanted), "compared as options")
    split = _letter_and_rest(answer)
    if split is not None:
        letter, rest = split
        if letter != wanted:
            return Comparison(False, f"option {letter}")
        others = {name for name, text in options.items() if name != wanted and _same_text(text, rest)}
        if others and not _same_text(options.get(wanted, ""), rest):
            return Comparison(False, f"option {letter} with the value of {min(others)}")
        stray = set(re.findall(r"(?<![A-Za-z\\])[A-J](?![A-Za-z'])", plain_words(clean(rest)))) - {wanted, "I"}
        if options:
            same_value = wanted in options and compare(options[wanted], rest).equal is not False
            return Comparison(
                same_value, "the option and its value" if same_value else f"option {letter} with another value"
            )
        is_sound = not stray and not _RETRACTED.search(rest) and re.search(r"\w", rest) is not None
        return Comparison(is_sound, "compared as options")
    if wanted in options:
        found = compare(options[wanted], answer)
        return Comparison(found.equal, f"option {wanted} is {options[wanted][:40]}: {found.reason}")
    named = re.fullmatch(r"\s*[a-zA-Z]\w{0,12}\s*=\s*\(?([A-J])\)?\s*", plain_words(clean(answer)))
    return Comparison(named is not None and named[1] == wanted, "compared as options")


def _lettered(reference: str, letter: str, rest: str, options: dict[str, str]) -> Comparison:
    """Compare a reference that is a value with an answer that gives a letter and a value."""
    if options and letter not in options:
        return Comparison(False, f"there is no option {letter}")
    found = compare(reference, rest)
    if found and letter in options and not compare(options[letter], rest):
        return Comparison(False, f"option {letter} is {options[letter][:40]}, the answer gives it another value")
    return found


def _letters(text: str) -> str | None:
    """Return the letter or letters that a text consists of; None if it is anything else."""
    bare = plain_words(clean(text)).strip(" .*`")
    match = _LETTER.fullmatch(bare)
    if match and (match["letter"].isupper() or len(bare) > 1):
        return match["letter"].upper()
    bare = re.sub(r"\s+and\s+", ",", bare)
    if len(bare) <= 30 and _SEVERAL.fullmatch(bare) and re.search(r"[,、和&]", bare):
        return "".join(re.findall(r"[A-J]", bare))
    return None


def _letter_and_rest(text: str) -> tuple[str, str] | None:
    bare = clean(text)
    bare = re.sub(r"^\\text\s*\{\s*(\(?[A-J]\)?[.:]?)\s*\}", r"\1 ", bare)
    match = _LETTER_AND_REST.fullmatch(bare)
    if match is None:
        return None
    return (match["a"] or match["b"]).upper(), match["rest"]


def _looks_lettered(text: str) -> bool:
    return _letter_and_rest(text) is not None


def _same_text(option: str, text: str) -> bool:
    return bool(option) and compare(option, text).equal is True


def _options_of(prompt: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """Read the options that the last question lists; none unless they are A, B, C ... in order."""
    for message in reversed(prompt or ()):
        content = message.get("content")
        if message.get("role") == "user" and isinstance(content, str):
            return dict(_options_in(content[-_MAX_PROMPT:]))
    return {}


@lru_cache(maxsize=512)
def _options_in(text: str) -> tuple[tuple[str, str], ...]:
    marks = list(_OPTION.finditer(text))
    for first in range(len(marks) - 1, -1, -1):
        if marks[first]["letter"] != "A":
            continue
        run = [marks[first]]
        for mark in marks[first + 1 :]:
            if mark["letter"] == _LETTERS[len(run)] if len(run) < len(_LETTERS) else False:
                run.append(mark)
        if len(run) >= 2:
            ends = [mark.start() for mark in run[1:]] + [_end_of(text, run[-1].end())]
            return tuple(
                (mark["letter"], _trimmed(text[mark.end() : end])) for mark, end in zip(run, ends, strict=True)
            )
    return ()


def _end_of(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _trimmed(option: str) -> str:
    option = option.strip().rstrip(",;").strip()
    option = re.sub(r"(?:\\(?:qquad|quad|hspace\{[^}]*\})|\\\\)+\s*$", "", option).strip()
    if option.count("$") % 2:
        option = option.strip("$").strip()
    return option
