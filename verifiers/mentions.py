"""Read which option of a multiple-choice problem a statement names.

In: a statement in one spelling (no emphasis, no commands around letters), how many options there are. Out: the option
that it stands for, or a phrase that says why it stands for none. A letter is only counted where it is said of an
option: an article, a variable, a unit is none. Denied options do not count ("neither A nor B but C"), what is taken
back neither ("B. Wait, no: C"), what an explanation mentions neither ("B, because A is too small"); two that stand side
by side are several. Texts of options are not looked for here.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from verifiers.mention_patterns import (
    ANSWER_LEAD,
    ARTICLE,
    ARTICLE_OF_NAME,
    CHECKING,
    CHINESE_DIGITS,
    CONCLUSION_LEAD,
    DENIAL,
    EXPLANATION,
    JOINT,
    LETTER,
    OPTION_LEAD,
    ORDINAL,
    ORDINAL_WORDS,
    QUESTION,
    RETRACTION,
    RIGHT,
    RUN_OF_LETTERS,
    STOP,
    VARIABLE_AFTER,
    VARIABLE_BEFORE,
    WRONG,
)

LETTERS = string.ascii_uppercase
MAX_CHARS = 2000
"""Longer statements are cut before they are read."""

_SENTENCES_BACK = 3
"""Sentences behind a "wait" in which another option may stand."""

BARE, OPTION, ANSWER = 1, 2, 3
"""How clearly a letter is said to be the answer: it stands there; it is called an option; it is called right."""


class Mention(NamedTuple):
    """One place that names an option."""

    option: int
    start: int
    end: int
    level: int


class Reading(NamedTuple):
    """What a statement says."""

    option: int | None
    """The option it stands for, or None."""
    reason: str
    """Why it stands for none; empty otherwise."""
    level: int
    """How clearly the option is said to be the answer: BARE, OPTION or ANSWER; 0 for none."""
    end: int
    """Where the mention that decided ends in the statement."""


def read_statement(text: str, num_options: int, *, announced: bool) -> Reading:
    """Return which option a statement stands for.

    `announced` says that the statement is the answer by itself (from a box, or after "The answer is"): then a letter at
    its start, also a small one, is an option's.
    """
    text = text[:MAX_CHARS]
    groups = _groups(text, _mentions(text, num_options, announced=announced))
    groups = _undenied(text, groups)
    groups = _not_taken_back(text, groups)
    groups = _without_questions(text, groups)
    groups = _without_explanations(text, groups)
    if not groups:
        return Reading(None, "the final answer names no option", 0, 0)
    level = max(group[0].level for group in groups)
    clearest = [group for group in groups if group[0].level == level]
    named = {mention.option for group in clearest for mention in group}
    if len(named) > 1:
        return Reading(None, "the final answer names several options", 0, 0)
    option = named.pop()
    if option >= num_options:
        return Reading(None, f"there is no option {LETTERS[option]}", 0, 0)
    return Reading(option, "", level, clearest[0][-1].end)


def taken_back(text: str, num_options: int) -> Reading | None:
    """Return what a text that follows an answer puts in its place: ". Wait, no, it is C."; None if nothing."""
    found: Reading | None = None
    text = text[:MAX_CHARS]
    for match in RETRACTION.finditer(text):
        sentences = STOP.split(text[match.end() :].lstrip(" ,.:!;—-\n"), maxsplit=_SENTENCES_BACK)[:_SENTENCES_BACK]
        for number, sentence in enumerate(sentences):
            if CHECKING.search(sentence):
                break
            reading = read_statement(sentence, num_options, announced=number == 0)
            is_all = number == 0 and not sentence[reading.end :].strip(" ).!\"'")
            if reading.option is not None and (reading.level == ANSWER or is_all):
                found = reading
                break
    return found


def _mentions(text: str, num_options: int, *, announced: bool) -> list[Mention]:
    found = [
        mention
        for match in LETTER.finditer(text)
        if (mention := _mention(text, match, num_options, announced=announced)) is not None
    ]
    for match in RUN_OF_LETTERS.finditer(text):
        places = [LETTERS.index(letter) for letter in match["letters"]]
        if sorted(set(places)) == places and places[-1] < num_options:
            level = _lead(text, match.start())
            if level or (announced and not text[: match.start()].strip(" ([")):
                found += [Mention(place, *match.span(), max(level, OPTION)) for place in places]
    for match in ORDINAL.finditer(text):
        option = _ordinal(match, num_options)
        if option is not None:
            found.append(Mention(option, *match.span(), max(OPTION, _level(text, *match.span()))))
    return sorted(found, key=lambda mention: mention.start)


def _mention(text: str, match: re.Match[str], num_options: int, *, announced: bool) -> Mention | None:
    """Return what a single letter says, or None where it is none of an option."""
    letter, (start, end) = match["letter"], match.span()
    option = LETTERS.index(letter.upper())
    before, after = text[max(0, start - 80) : start], text[end : end + 40]
    opens = not text[:start].strip(" ([\"'") if start < 8 else False
    is_wrapped = before.endswith(("(", "[")) and after.startswith((")", "]"))
    is_label = before.strip() == "" or before.endswith("\n")
    is_label = is_label and bool(re.match(r"[).:、．]|\s-\s|,", after)) and (is_wrapped or not after.startswith(":="))
    level = _level(text, start, end)
    ends = not after.strip() or bool(re.match(r"[)\]\"'”’]{0,2}\s?(?:[.,;!。，；]|\Z|\n|[\u4e00-\u9fff])", after))
    if letter.islower():
        is_all = opens and not after.strip(" )].\"'!")
        is_option = is_wrapped or is_label or is_all or ((level > BARE or (opens and announced)) and ends)
        return Mention(option, start, end, max(level, OPTION)) if is_option and option < max(num_options, 1) else None
    if level == BARE and not (is_wrapped or is_label) and option >= num_options:
        return None
    if level > BARE or is_wrapped or is_label:
        if _is_article(letter, before, after) and not (is_wrapped or is_label) and not RIGHT.match(after):
            return None
        if VARIABLE_AFTER.match(after) and not is_wrapped and level < ANSWER:
            return None
        return Mention(option, start, end, max(level, OPTION))
    if letter == "I" and not ends:
        return None
    if _is_article(letter, before, after) or (letter == "A" and _starts(before) and ARTICLE_OF_NAME.match(after)):
        return None
    if VARIABLE_BEFORE.search(before) or VARIABLE_AFTER.match(after):
        return None
    return Mention(option, start, end, OPTION if announced and opens else BARE)


def _is_article(letter: str, before: str, after: str) -> bool:
    """Tell whether a capital is a word: the pronoun, or the article where a sentence starts."""
    return (letter == "I" or (letter == "A" and _starts(before))) and ARTICLE.match(after) is not None


def _starts(before: str) -> bool:
    return not before.strip(" ([\"'“‘") or before.rstrip(" \"'“‘")[-1] in ".!?:\n"


def _level(text: str, start: int, end: int) -> int:
    if RIGHT.match(text, end):
        return ANSWER
    return _lead(text, start) or BARE


def _lead(text: str, start: int) -> int:
    """Return how clearly the words before a letter make it the answer; 0 where they do not."""
    lead = text[max(0, start - 80) : start].rstrip("([\"'“‘ ")
    lead += " " if start and text[start - 1] == " " else ""
    if ANSWER_LEAD.search(lead):
        return ANSWER
    return OPTION if OPTION_LEAD.search(lead) or CONCLUSION_LEAD.search(lead) else 0


def _ordinal(match: re.Match[str], num_options: int) -> int | None:
    if match["word"]:
        word = match["word"].lower()
        place = num_options if word == "last" else ORDINAL_WORDS.index(word) + 1
    else:
        said = match["number"] or match["place"]
        place = CHINESE_DIGITS.index(said) + 1 if said in CHINESE_DIGITS else int(said)
    return place - 1 if 0 < place <= num_options else None


def _groups(text: str, mentions: list[Mention]) -> list[list[Mention]]:
    """Join mentions that stand side by side; all of a group are as clear as the clearest."""
    groups: list[list[Mention]] = []
    joints: list[str] = []
    for mention in mentions:
        last = groups[-1][-1] if groups else None
        if last is not None and mention.start < last.end:
            groups[-1].append(mention)  # letters of one run
            continue
        joint = JOINT.match(text[last.end : mention.start]) if last and mention.start - last.end < 60 else None
        if last is None or joint is None or not (joint["joint"].strip() or last.option == mention.option):
            groups.append([mention])
            joints = []
            continue
        only_comma = joint["joint"].strip() in ",;"
        if only_comma and not joints and (RIGHT.match(text, mention.end) or WRONG.match(text, mention.end)):
            groups.append([mention])  # "B, A is too small"
            continue
        groups[-1].append(mention)
        joints.append(joint["joint"])
    return [[mention._replace(level=max(of.level for of in group)) for mention in group] for group in groups]


def _undenied(text: str, groups: list[list[Mention]]) -> list[list[Mention]]:
    """Leave out what is denied: by the words before a group, or by those behind it."""
    kept = []
    for group in groups:
        before = text[max(0, group[0].start - 80) : group[0].start]
        if WRONG.match(text, group[-1].end):
            # "B, A and C are wrong" denies two of three
            first = group[0]
            is_apart = len(group) > 2 and text[first.end : group[1].start].strip(" )") == ","
            if is_apart and not DENIAL.search(before):
                kept.append([first])
        elif DENIAL.search(before):
            joined = text[group[0].end : group[-1].start]
            if len(group) > 1 and not re.search(r"\b(?:or|and|nor)\b|[和或与及、/]", joined, re.IGNORECASE):
                kept.append(group[1:])  # "not A, B"
        else:
            kept.append(group)
    return kept


def _not_taken_back(text: str, groups: list[list[Mention]]) -> list[list[Mention]]:
    """Leave out what stands before the last "wait, no" that an option follows."""
    for match in reversed(list(RETRACTION.finditer(text))):
        later = [group for group in groups if group[0].start >= match.end()]
        if later and len(later) < len(groups) and not CHECKING.search(text[match.end() : later[0][0].start]):
            return later
    return groups


def _without_questions(text: str, groups: list[list[Mention]]) -> list[list[Mention]]:
    """Leave out what is asked, if anything is said."""
    asked = [match.span() for match in QUESTION.finditer(text)] if "?" in text or "？" in text else []
    said = [group for group in groups if not any(start <= group[0].start < end for start, end in asked)]
    return said or groups


def _without_explanations(text: str, groups: list[list[Mention]]) -> list[list[Mention]]:
    """Leave out what is only mentioned after an explanation of the first option has begun."""
    if len(groups) < 2:
        return groups
    cut = EXPLANATION.search(text, groups[0][-1].end)
    if cut is None:
        return groups
    return [group for group in groups if group[0].start < cut.start() or group[0].level == ANSWER]
