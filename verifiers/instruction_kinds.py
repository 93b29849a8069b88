"""The instructions that can be checked by rule: the 25 kinds of IFEval (Zhou et al. 2023, arXiv 2311.07911).

In: the text of an answer and the parameters of one instruction, under the names that the dataset google/IFEval gives
them. Out: whether it is followed, and what was found. `CHECKS` is the register. Every check takes time linear in the
text; keywords are texts, not patterns. Where the text of an instruction and IFEval's own code differ, the text counts:

- a horizontal rule or an emphasized line is no bullet point, a bullet in front of a word no highlight;
- a postscript starts a word and says something, "My answer is yes." is given once or always the same;
- a sentence ends at its mark, not at abbreviations, initials and the numbers of a list; an ideograph is one word;
- a language that cannot be told is unknown instead of right, a text without letters is in no language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple

from verifiers.instruction_text import (
    Given,
    UnreadableInstruction,
    count_sentences,
    count_words,
    language_in,
    number,
    relation_of,
    string_of,
    strings_of,
)


class Check(NamedTuple):
    """What one check says."""

    followed: bool | None
    """Whether the instruction is followed; None where it cannot be told."""
    found: str
    """What was found, as a phrase."""


def existence(text: str, given: Given) -> Check:
    """`keywords`: each of them occurs, in any case, also inside a word."""
    folded = text.casefold()
    missing = [word for word in strings_of(given, "keywords") if word.casefold() not in folded]
    return Check(not missing, f"{missing[0]!r} does not occur" if missing else "all keywords occur")


def frequency(text: str, given: Given) -> Check:
    """`keyword` occurs at least or less than `frequency` times, as `relation` says."""
    keyword = string_of(given, "keyword")
    count = text.casefold().count(keyword.casefold())
    return _compared(count, given, "frequency", "relation", f"times {keyword!r}")


def forbidden_words(text: str, given: Given) -> Check:
    """None of `forbidden_words` occurs as a word of its own."""
    for word in strings_of(given, "forbidden_words"):
        left, right = (r"(?<!\w)" if word[0].isascii() else ""), (r"(?!\w)" if word[-1].isascii() else "")
        if re.search(left + re.escape(word) + right, text, re.IGNORECASE):
            return Check(False, f"{word!r} occurs")
    return Check(True, "no forbidden word occurs")


def letter_frequency(text: str, given: Given) -> Check:
    """`letter` occurs at least or less than `let_frequency` times, in any case, as `let_relation` says."""
    letter = string_of(given, "letter")
    return _compared(text.lower().count(letter.lower()), given, "let_frequency", "let_relation", f"times {letter!r}")


def response_language(text: str, given: Given) -> Check:
    """The answer is in `language` (BCP 47), told by CLD2, code and formulas left out by it."""
    wanted = string_of(given, "language").lower().split("-")[0]
    if not _LETTER.search(text):
        return Check(False, "it has no letters")
    told = language_in(text)
    if told is None:
        return Check(None, "its language cannot be told")
    return Check(_SAME_LANGUAGE.get(told, told) == _SAME_LANGUAGE.get(wanted, wanted), f"it is in {told}")


def number_sentences(text: str, given: Given) -> Check:
    """At least or less than `num_sentences` sentences, as `relation` says."""
    return _compared(count_sentences(text), given, "num_sentences", "relation", "sentences")


def number_paragraphs(text: str, given: Given) -> Check:
    """Exactly `num_paragraphs` paragraphs with `***` between them; an empty one only at the start or the end."""
    wanted = number(given, "num_paragraphs")
    parts = [part.strip() for part in text.split("***")]
    inner = parts[1:-1] if len(parts) > 1 else parts
    if not all(inner):
        return Check(False, "a paragraph is empty")
    count = sum(map(bool, parts))
    return Check(count == wanted, f"{count} paragraphs, {wanted} are asked for")


def number_words(text: str, given: Given) -> Check:
    """At least or less than `num_words` words, as `relation` says."""
    return _compared(count_words(text), given, "num_words", "relation", "words")


def nth_paragraph_first_word(text: str, given: Given) -> Check:
    """Exactly `num_paragraphs` paragraphs, with empty lines between; the `nth_paragraph` starts with `first_word`."""
    wanted, nth = number(given, "num_paragraphs"), number(given, "nth_paragraph")
    first_word = string_of(given, "first_word").casefold()
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    if len(paragraphs) != wanted:
        return Check(False, f"{len(paragraphs)} paragraphs, {wanted} are asked for")
    if not 1 <= nth <= wanted:
        raise UnreadableInstruction(f"`nth_paragraph` is {nth} of {wanted}")
    word = _FIRST_WORD.match(paragraphs[nth - 1])
    found = word[1] if word else ""
    return Check(found.casefold() == first_word, f"paragraph {nth} starts with {found[:40]!r}")


def number_placeholders(text: str, given: Given) -> Check:
    """At least `num_placeholders` placeholders like [address]."""
    return _at_least(len(_PLACEHOLDER.findall(text)), number(given, "num_placeholders"), "placeholders")


def postscript(text: str, given: Given) -> Check:
    """A postscript that starts with `postscript_marker`, in any case, with or without blanks between its letters."""
    marker = string_of(given, "postscript_marker")
    letters = r"\s?".join(re.escape(letter) for letter in marker if not letter.isspace())
    found = re.search(rf"(?<!\w){letters}[\s*_:]{{0,8}}\S", text, re.IGNORECASE)
    return Check(found is not None, f"{marker} is there" if found else f"there is no {marker}")


def number_bullet_lists(text: str, given: Given) -> Check:
    """Exactly `num_bullets` bullet points of Markdown, lines that start with `*` or `-`."""
    count, wanted = len(_BULLET.findall(text)), number(given, "num_bullets")
    return Check(count == wanted, f"{count} bullet points, {wanted} are asked for")


def constrained_response(text: str, _given: Given) -> Check:
    """Say "My answer is yes.", "My answer is no." or "My answer is maybe."."""
    said = set(_CONSTRAINED.findall(text))
    return Check(len(said) == 1, f"it says {', '.join(sorted(said))}" if said else "it says none of the three")


def number_highlighted_sections(text: str, given: Given) -> Check:
    """At least `num_highlights` parts emphasized with `*` of Markdown."""
    return _at_least(len(_HIGHLIGHT.findall(text)), number(given, "num_highlights"), "highlighted parts")


def multiple_sections(text: str, given: Given) -> Check:
    """At least `num_sections` sections, each marked with `section_spliter` and a number."""
    splitter = string_of(given, "section_spliter")
    count = len(re.findall(rf"(?<!\w){re.escape(splitter)}\s?\d+", text))
    return _at_least(count, number(given, "num_sections"), f"sections marked {splitter} 1, 2, …")


def json_format(text: str, _given: Given) -> Check:
    """The whole answer is JSON, perhaps in a fence of Markdown."""
    fence = _JSON_FENCE.match(text)
    body = text[fence.end() :].strip() if fence else text.strip()
    try:
        json.loads(body.removesuffix("```") if fence else body, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        return Check(False, f"it is no JSON ({str(error)[:60]})")
    return Check(True, "it is JSON")


def title(text: str, _given: Given) -> Check:
    """A title stands in double angular brackets, <<like this>>, on one line."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end and line[start + 2 : end].strip("<> \t"):
            return Check(True, f"the title is {line[start + 2 : end].strip('<> ')[:40]!r}")
    return Check(False, "there is no title in double angular brackets")


def two_responses(text: str, _given: Given) -> Check:
    """Two different answers with ****** between them."""
    parts = [part.strip() for part in text.split("******")]
    inner = parts[1:-1]
    said = [part for part in parts if part]
    if not all(inner) or len(said) != 2:
        return Check(False, f"{len(said)} answers with ****** between them")
    return Check(said[0] != said[1], "two answers" if said[0] != said[1] else "the two answers are the same")


def repeat_prompt(text: str, given: Given) -> Check:
    """The answer starts with `prompt_to_repeat`, word for word, in any case."""
    wanted = string_of(given, "prompt_to_repeat").strip().casefold()
    repeats = text.strip().casefold().startswith(wanted)
    return Check(repeats, f"it {'starts' if repeats else 'does not start'} with the prompt")


def end_checker(text: str, given: Given) -> Check:
    """The answer ends with `end_phrase`, in any case, perhaps inside quotation marks."""
    wanted = string_of(given, "end_phrase").strip().strip('"').casefold()
    tail = text.strip().strip('"').rstrip()[-2 * len(wanted) - 40 :]
    return Check(tail.casefold().endswith(wanted), f"it ends with {tail[-40:]!r}")


def capital_word_frequency(text: str, given: Given) -> Check:
    """At least or less than `capital_frequency` words in capitals, as `capital_relation` says."""
    count = sum(word.isupper() for word in _COMPOUND.findall(text))
    return _compared(count, given, "capital_frequency", "capital_relation", "words in capitals")


def english_capital(text: str, _given: Given) -> Check:
    """English, all letters capitals."""
    return _in_case(text, is_right=text.isupper(), name="capitals")


def english_lowercase(text: str, _given: Given) -> Check:
    """English, no capital letter."""
    return _in_case(text, is_right=text.islower(), name="small letters")


def no_comma(text: str, _given: Given) -> Check:
    """No comma, ASCII or full-width."""
    count = text.count(",") + text.count("，")
    return Check(count == 0, f"commas: {count}")


def quotation(text: str, _given: Given) -> Check:
    """The whole answer stands in double quotation marks."""
    text = text.strip()
    is_quoted = len(text) > 1 and (text[0], text[-1]) in (('"', '"'), ("“", "”"))
    return Check(is_quoted, f"it {'is' if is_quoted else 'is not'} in double quotation marks")


CHECKS: dict[str, Callable[[str, Given], Check]] = {
    "keywords:existence": existence,
    "keywords:frequency": frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_sentences": number_sentences,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:number_words": number_words,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "change_case:capital_word_frequency": capital_word_frequency,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
    "startend:quotation": quotation,
}
"""The checks, by the id of the instruction."""


_COMPOUND = re.compile(r"\w+(?:[-.'’]\w+)*")
_LETTER = re.compile(r"[^\W\d_]")
_FIRST_WORD = re.compile(r"[\s\"'“‘*_#>]{0,8}([^\s.,?!'\"’”;:*]{0,60})")
_PLACEHOLDER = re.compile(r"\[[^\[\]\n]+\]")
_BULLET = re.compile(r"^[ \t]{0,40}[*-][ \t]+\S", re.MULTILINE)
_CONSTRAINED = re.compile(r"My answer is (?:yes|no|maybe)\.")
_HIGHLIGHT = re.compile(r"(?<!\*)\*{1,3}(?![\s*])[^*\n]*[^*\s]\*{1,3}")
_JSON_FENCE = re.compile(r"\s*```(?:json)?\s", re.IGNORECASE)
_SAME_LANGUAGE = {"iw": "he", "nb": "no", "nn": "no", "tl": "fil", "ms": "id"}


def _in_case(text: str, *, is_right: bool, name: str) -> Check:
    if not is_right:
        return Check(False, f"its letters are not all {name}")
    told = language_in(text.lower())
    if told in (None, "en"):
        return Check(True, f"its letters are all {name}")
    return Check(False, f"its letters are all {name}, but it is in {told}")


def _compared(count: int, given: Given, number_key: str, relation_key: str, noun: str) -> Check:
    wanted, relation = number(given, number_key), relation_of(given, relation_key)
    followed = count >= wanted if relation == "at least" else count < wanted
    return Check(followed, f"{count} {noun}, {relation} {wanted} asked for")


def _at_least(count: int, wanted: int, noun: str) -> Check:
    return Check(count >= wanted, f"{count} {noun}, at least {wanted} asked for")


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
