"""Judge the answer to a multiple-choice problem.

In: a completion and a `ChoiceReference`. Out: pass if the final answer names the right option by its letter, its place
or its text, fail if it names another, several or none; unknown if the reference does not say which option is right. The
last word counts ("The answer is B. Wait, no: C"), and reasons given for it do not. Whether the option follows from the
reasoning is not looked at.
"""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar, Literal

from verifiers.extract import Extracted, final_answer, narrowed_answers, split_reasoning
from verifiers.maths.spelling import clean
from verifiers.mentions import ANSWER, LETTERS, MAX_CHARS, Reading, read_statement, taken_back
from verifiers.reference import ChoiceReference, Reference
from verifiers.verdict import Judge, Messages, Verdict

_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit|styled|boldsymbol|bm|mbox)\s*\{([^{}]*)\}|[{}`*$]")
_LABEL = re.compile(r"\s*[(\[]?(?P<letter>[A-Za-z])(?:[)\].:、．]|\s-\s)\s*(?P<text>.+)", re.DOTALL)
_DENIAL = re.compile(
    r"(?:\b(?:not|isn['’]t|never|nor|neither|except|excluding|instead of|rather than|other than|unlike)"
    r"(?: (?:the|an?|by|to|in|of))*|不是|并非|而非|而不是)\s{0,2}\Z",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[^\W\d_]{3}|[\u4e00-\u9fff]{2}")
_SENTENCE = re.compile(r"(?:[^.!?。！？\n]|[.](?!\s|$))+[.!?。！？]?")
_WITHOUT_OPTIONS = 10
"""So many letters are taken for options where the reference does not list them."""
_WINDOW = 20_000
_MAX_SENTENCES = 200


class Choice(Judge):
    """Compare the chosen option with the right one, by letter, by place or by text."""

    kind: Literal["choice"] = "choice"
    """Name of the judge."""

    version: ClassVar[int] = 3

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del prompt
        if not isinstance(reference, ChoiceReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"a choice needs a reference of kind choice, there is {given}")
        if len(reference.options) > len(LETTERS):
            return self._unknown(f"the reference has {len(reference.options)} options, letters name {len(LETTERS)}")
        options = _option_texts(reference.options)
        right = _right_option(reference.value, options)
        if right is None:
            return self._unknown(f"the reference {reference.value[:60]!r} is neither a letter nor one of the options")
        found = final_answer(completion)
        if found is None:
            closed = split_reasoning(completion).answer is not None
            return self._decide(passed=False, reason="no final answer" if closed else "the reasoning never ends")
        num_options = len(options) or max(_WITHOUT_OPTIONS, right + 1)
        chosen, text, span = _chosen(completion, found, options, num_options)
        if isinstance(chosen, str):
            return self._decide(passed=False, reason=chosen, extracted=text, span=span)
        reason = f"chose {LETTERS[chosen]}, right is {LETTERS[right]}"
        return self._decide(passed=chosen == right, reason=reason, extracted=text, span=span)


def _option_texts(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options in one spelling, without letters in front of them if all have theirs."""
    plain = tuple(_plain(option) for option in options)
    labels = [_LABEL.fullmatch(option) for option in plain]
    if len(plain) > 1 and all(label and label["letter"].upper() == LETTERS[n] for n, label in enumerate(labels)):
        return tuple(label["text"] for label in labels if label)
    return plain


def _right_option(value: str, options: tuple[str, ...]) -> int | None:
    plain = _plain(value)
    letter = plain.strip("()[].:、 ").upper()
    if len(letter) == 1 and letter in LETTERS and (not options or LETTERS.index(letter) < len(options)):
        return LETTERS.index(letter)
    same = [place for place, option in enumerate(options) if _same(option, plain)]
    if len(same) == 1:
        return same[0]
    label = _LABEL.fullmatch(plain)
    place = LETTERS.index(label["letter"].upper()) if label else len(options)
    return place if label and place < len(options) and _same(options[place], label["text"]) else None


def _chosen(
    completion: str, found: Extracted, options: tuple[str, ...], num_options: int
) -> tuple[int | str, str, tuple[int, int]]:
    """Return the option that the completion stands for, or why it stands for none; the text that says so; its place."""
    parts = split_reasoning(completion)
    end_of_answer = parts.answer_start + len(parts.answer or "")
    tail = completion[found.end : min(end_of_answer, found.end + MAX_CHARS)]
    changed = taken_back(_plain(tail), num_options) if tail.strip() else None
    if changed and changed.option is not None:
        start = found.end + len(tail) - len(tail.lstrip())
        span = (start, start + len(tail.strip()))
        return changed.option, completion[slice(*span)], span
    shown, span = found.text[:MAX_CHARS], (found.start, min(found.end, found.start + MAX_CHARS))
    option: int | str | None = _continued(completion[found.start : found.start + MAX_CHARS], shown, options)
    if option is None:
        option = _named(_plain(shown), found, options, num_options)
    if isinstance(option, int) or option.startswith("the final answer says"):
        return option, shown, span
    if "several" not in option and found.how in ("last line", "fence"):
        earlier = _earlier(completion, parts.answer_start, end_of_answer, num_options)
        if earlier is not None:
            return earlier
    if "no option" in option:
        equal = _equal_option(completion, options)
        if equal is not None:
            return equal, shown, span
    return option, shown, span


def _named(text: str, found: Extracted, options: tuple[str, ...], num_options: int) -> int | str:
    """Return which option a statement names, or a phrase that says why it names none."""
    same = [place for place, option in enumerate(options) if _same(option, text)]
    if len(same) == 1 and len(text) > 1:
        return same[0]
    labelled = _labelled(text, found, options, num_options)
    if labelled is not None:
        return labelled
    reading = read_statement(text, num_options, announced=found.how != "last line")
    if reading.option is None:
        by_text = _by_text(text, options) if "no option" in reading.reason else None
        return reading.reason if by_text is None else by_text
    return _consistent(text, reading, options)


def _continued(text: str, shown: str, options: tuple[str, ...]) -> int | None:
    """Return the option whose text goes on behind the statement that was found: "E. O. Wilson" ends none."""
    folded = text.casefold()
    longer = [
        n for n, option in enumerate(options) if len(option) > len(shown) and folded.startswith(option.casefold())
    ]
    return longer[0] if len(longer) == 1 else None


def _labelled(text: str, found: Extracted, options: tuple[str, ...], num_options: int) -> int | None:
    """Return the option whose letter and whole text end the statement; its text may name letters: "C) both A and B"."""
    folded = text.casefold()
    for place, option in enumerate(options):
        if option and folded.endswith(option.casefold()):
            lead = text[: len(text) - len(option)].rstrip(" .:,、-([")
            if read_statement(lead, num_options, announced=found.how != "last line").option == place:
                return place
    return None


def _consistent(text: str, reading: Reading, options: tuple[str, ...]) -> int | str:
    """Return the option, or a phrase if the text beside its letter is another option's."""
    assert reading.option is not None
    rest = text[reading.end :].strip(" .):,、-]\"'")
    others = [place for place, option in enumerate(options) if _same(option, rest)]
    if others and reading.option not in others:
        letter, other = LETTERS[reading.option], LETTERS[others[0]]
        return f"the final answer says {letter} but gives the text of {other}"
    return reading.option


def _by_text(text: str, options: tuple[str, ...]) -> int | str | None:
    """Return the one option whose words stand in the statement, not denied and not inside a longer option's."""
    folded, places = text.casefold(), []
    for option, words in enumerate(options):
        if not _WORDS.search(words):
            continue
        start = folded.find(words.casefold())
        end = start + len(words)
        is_apart = (
            start >= 0 and not folded[max(0, start - 1) : start].isalnum() and not folded[end : end + 1].isalnum()
        )
        if start >= 0 and (is_apart or not words.isascii()) and not _DENIAL.search(text[:start]):
            places.append((start, end, option))
    named = {
        option
        for start, end, option in places
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in places)
    }
    if len(named) > 1:
        return "the final answer names several options"
    return named.pop() if named else None


def _earlier(completion: str, start: int, end: int, num_options: int) -> tuple[int, str, tuple[int, int]] | None:
    """Return the last sentence of the answer that calls an option right, or its first line if that is one option."""
    start_of_window = max(start, end - _WINDOW)
    spans = [match.span() for match in _SENTENCE.finditer(completion, start_of_window, end)]
    for first, last in reversed(spans[-_MAX_SENTENCES:]):
        reading = read_statement(_plain(completion[first:last]), num_options, announced=False)
        if reading.level == ANSWER and reading.option is not None:
            lead = len(completion[first:last]) - len(completion[first:last].lstrip())
            return reading.option, completion[first + lead : last].rstrip(), _trimmed(completion, first, last)
    line = re.compile(r"\s*([^\n]{1,200})").match(completion, start, end)
    if line:
        text = _plain(line[1])
        label = _LABEL.match(text) or re.fullmatch(r"[(\[]?(?P<letter>[A-Z])[)\]]?", text)
        if label and LETTERS.index(label["letter"].upper()) < num_options:
            return LETTERS.index(label["letter"].upper()), line[1].strip(), _trimmed(completion, *line.span(1))
    return None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


def _equal_option(completion: str, options: tuple[str, ...]) -> int | None:
    """Return the one option that is mathematically equal to the final answer."""
    from verifiers.maths.compare import compare

    formulas = [(place, option) for place, option in enumerate(options) if re.search(r"\d|\\", option)]
    for candidate in narrowed_answers(completion)[:6] if formulas else []:
        if len(candidate.text) > 400:
            continue
        equal = [place for place, option in formulas if compare(option, candidate.text).equal]
        if equal:
            return equal[0] if len(equal) == 1 else None
    return None


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    for _ in range(2):
        text = _WRAPPED.sub(lambda found: found[1] or "", clean(text))
    return " ".join(text.split()).rstrip(".")


def _same(option: str, text: str) -> bool:
    return bool(option) and option.casefold() == text.casefold()
