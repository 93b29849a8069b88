"""Judge the answer to a multiple-choice problem.

In: a completion and a `ChoiceReference`. Out: pass if the final answer names the right option by its letter or its
text, fail if it names another, several or none; unknown if the reference does not say which option is right.
"""

from __future__ import annotations

import re
import string
from typing import ClassVar, Literal

from verifiers.extract import final_answer, split_reasoning
from verifiers.maths.spelling import clean
from verifiers.reference import ChoiceReference, Reference
from verifiers.verdict import Judge, Messages, Verdict

_LETTERS = string.ascii_uppercase
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*\{([^{}]*)\}|[{}`*]")
_LETTER_FIRST = re.compile(
    r"(?:(?:option|choice|answer|选项|选择|选|答案)\s{0,3}(?:is|为|是)?\s{0,3}[:：]?\s{0,3})?"
    r"[(\[]?(?P<letter>[A-Z])(?:[)\].:、,，]|(?=\s|$|[\u4e00-\u9fff]))\s{0,8}(?P<rest>.*)",
    re.DOTALL,
)
_LETTER_LATER = re.compile(
    r"(?:(?:option|choice|answer)\s(?:is\s)?|选项|选择|故选|应选|选|答案)\s{0,3}(?:为|是)?\s{0,3}:?\s{0,3}[(\[]?(?P<letter>[A-Z])(?![A-Za-z])(?P<rest>.*)",
    re.DOTALL,
)
_ARTICLE = re.compile(r"[AI] +[a-z]")
_OTHER_LETTER = re.compile(r"(?<![A-Za-z'’])[A-Z](?![A-Za-z'’])")
_MAX_CHARS = 2000


class Choice(Judge):
    """Compare the chosen option with the right one, by letter or by text."""

    kind: Literal["choice"] = "choice"
    """Name of the judge."""

    version: ClassVar[int] = 2

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del prompt
        if not isinstance(reference, ChoiceReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"a choice needs a reference of kind choice, there is {given}")
        right = _right_option(reference)
        if right is None:
            return self._unknown(f"the reference {reference.value[:60]!r} is neither a letter nor one of the options")
        found = final_answer(completion)
        if found is None:
            closed = split_reasoning(completion).answer is not None
            return self._decide(passed=False, reason="no final answer" if closed else "the reasoning never ends")
        options = tuple(_plain(option) for option in reference.options)
        chosen = _chosen(_plain(found.text[:_MAX_CHARS]), options)
        shown, span = found.text[:_MAX_CHARS], (found.start, min(found.end, found.start + _MAX_CHARS))
        if isinstance(chosen, str):
            return self._decide(passed=False, reason=chosen, extracted=shown, span=span)
        reason = f"chose {_LETTERS[chosen]}, right is {_LETTERS[right]}"
        return self._decide(passed=chosen == right, reason=reason, extracted=shown, span=span)


def _right_option(reference: ChoiceReference) -> int | None:
    value, options = _plain(reference.value), [_plain(option) for option in reference.options]
    letter = value.strip("().").upper()
    if len(letter) == 1 and letter in _LETTERS and (not options or _LETTERS.index(letter) < len(options)):
        return _LETTERS.index(letter)
    same = [place for place, option in enumerate(options) if _same(option, value)]
    return same[0] if len(same) == 1 else None


def _chosen(text: str, options: tuple[str, ...]) -> int | str:
    """Return which option the text names, or a phrase that says why it names none."""
    same = [place for place, option in enumerate(options) if _same(option, text)]
    if len(same) == 1:
        return same[0]
    match = None if _ARTICLE.match(text) else _LETTER_FIRST.match(text)
    match = match or _LETTER_LATER.search(text)
    if match is None and len(text.strip("(). ")) == 1:
        match = _LETTER_FIRST.match(text.upper())
    if match is None:
        return "the final answer names no option"
    place, rest = _LETTERS.index(match["letter"]), match["rest"].strip(" .):、")
    if options and place >= len(options):
        return f"there is no option {match['letter']}"
    if not rest:
        return place
    others = [at for at, option in enumerate(options) if _same(option, rest)]
    if others and place not in others:
        return f"the final answer says {match['letter']} but gives the text of {_LETTERS[others[0]]}"
    if others:
        return place
    letters = {letter for letter in _OTHER_LETTER.findall(rest) if letter != match["letter"]}
    if any(not options or _LETTERS.index(letter) < len(options) for letter in letters - {"I"}):
        return "the final answer names several options"
    return place


def _plain(text: str) -> str:
    for _ in range(2):
        text = _WRAPPED.sub(lambda found: found[1] or "", clean(text))
    return " ".join(text.split()).rstrip(".")


def _same(option: str, text: str) -> bool:
    return bool(option) and option.casefold() == text.casefold()
