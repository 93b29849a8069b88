"""Labelled answers to measure judges of mathematics with.

Out: cases, each a completion, the reference it is held against, and whether it is right. Sets: `tables` (the tables of
cases beside the tests), `gsm8k` (recorded completions with their labels), `math_self` (references of MATH against
themselves, boxed and at the end of their solution), `math_others` (against another problem's reference), `math_near`
(against a mutation of themselves). Labels of mutations come from `math_values`, never from a judge. Real data lies
beside the checkout; without it only `tables` can be had.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from math_values import surely_differ

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
TABLES = ROOT / "tests" / "verifiers" / "math_cases"
WHOLE = {"reward_hacks", "extraction"}
"""Tables whose answers are whole completions."""

Mutation = Callable[[str, Random], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One answer and what a judge should say of it."""

    set: str
    """Name of the set."""
    category: str
    """Part of the set that is reported by itself."""
    reference: str
    """What the answer is held against."""
    completion: str
    """The answer, in the completion it stands in."""
    outcome: str
    """`pass`, `fail`, or `unknown` where nothing can be said of the answer."""
    prompt: str | None = None
    """What was asked, where it matters."""


def load(names: list[str], *, size: int, seed: int) -> list[Case]:
    """Return the cases of the named sets, at most `size` of each (0: all), chosen by the seed."""
    found: list[Case] = []
    for name in names:
        cases = SETS[name](seed)
        if size and len(cases) > size:
            cases = Random(f"{name} {seed}").sample(cases, size)
        found += cases
    return found


def tables(_seed: int = 0) -> list[Case]:
    """Return all rows of the tables of cases."""
    return [case for path in sorted(TABLES.glob("*.tsv")) for case in _table(path)]


def gsm8k(_seed: int = 0) -> list[Case]:
    """Return the 2,640 completions of four models on GSM8K."""
    answers = {row["id"]: row["answer"] for row in rows("gsm8k/problems.jsonl")}
    return [
        Case(
            set="gsm8k",
            category=row["model"],
            reference=str(answers[row["problem_id"]]),
            completion=row["completion"],
            outcome="pass" if row["is_correct"] else "fail",
        )
        for row in rows("gsm8k/completions.jsonl")
    ]


def math_self(_seed: int = 0) -> list[Case]:
    """Return every reference of MATH against itself: boxed, and in its solution where that has one box."""
    found = []
    for row in rows("math/problems.jsonl"):
        reference = last_box(row["solution"])
        found.append(_case("math_self", "boxed", reference, boxed(reference)))
        if row["solution"].count("\\boxed") == 1:
            found.append(_case("math_self", "in its solution", reference, row["solution"]))
    return found


def math_others(seed: int = 0) -> list[Case]:
    """Return every reference of MATH against another problem's, where the two surely have different values."""
    references = math_references()
    random = Random(f"others {seed}")
    found = []
    for reference in references:
        other = random.choice(references)
        differ = surely_differ(reference, other)
        if differ or (differ is None and _squeezed(reference) != _squeezed(other)):
            found.append(_case("math_others", "another's reference", reference, boxed(other), outcome="fail"))
    return found


def math_near(seed: int = 0) -> list[Case]:
    """Return every mutation of every reference of MATH that surely changes its value."""
    found = []
    for number, reference in enumerate(math_references()):
        for name, mutation in MUTATIONS.items():
            wrong = mutation(reference, Random(f"{name} {number} {seed}"))
            if wrong is not None and wrong != reference and _is_wrong(name, reference, wrong):
                found.append(_case("math_near", name, reference, boxed(wrong), outcome="fail"))
    return found


def math_references() -> list[str]:
    """Return the references of MATH in their order."""
    return [last_box(row["solution"]) for row in rows("math/problems.jsonl")]


def rows(name: str) -> list[dict[str, Any]]:
    """Read a file of real data. Raises FileNotFoundError where the data is not there."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def boxed(answer: str) -> str:
    """Return the answer as models give it."""
    return f"\\boxed{{{answer}}}"


def last_box(solution: str) -> str:
    """Return what stands in the last `\\boxed{}`."""
    start = solution.rindex("\\boxed") + len("\\boxed")
    if solution[start] != "{":
        return solution[start:].partition("$")[0].strip()
    level = 0
    for place in range(start, len(solution)):
        level += (solution[place] == "{") - (solution[place] == "}")
        if level == 0:
            return solution[start + 1 : place]
    raise ValueError(f"no end of the box in {solution[start : start + 60]!r}")


def change_digit(text: str, random: Random) -> str | None:
    """Replace one digit by another one."""
    places = [place for place, mark in enumerate(text) if mark in "0123456789"]
    if not places:
        return None
    place = random.choice(places)
    return text[:place] + random.choice("0123456789".replace(text[place], "")) + text[place + 1 :]


def _flip_sign(text: str, random: Random) -> str | None:
    if text.startswith("-"):
        return text[1:]
    places = [m.start() for m in re.finditer(r"(?<=[(\[{,=])\s*-?(?=[\d\\a-z])", text)]
    if not places:
        return f"-{text}" if re.match(r"[\d\\]", text) else None
    place = random.choice(places)
    return text[:place] + text[place + 1 :] if text[place] == "-" else f"{text[:place]}-{text[place:]}"


def _drop_term(text: str, random: Random) -> str | None:
    levels, level = [], 0
    for place, mark in enumerate(text):
        level += (mark in "([{") - (mark in ")]}")
        if level == 0 and mark in "+-" and place:
            levels.append(place)
    if not levels:
        return None
    number = random.randrange(len(levels))
    end = levels[number + 1] if number + 1 < len(levels) else len(text)
    return (text[: levels[number]] + text[end:]).strip()


def _swap_fraction(text: str, _random: Random) -> str | None:
    swapped = re.sub(r"(\\[dt]?frac)\{([^{}]+)\}\{([^{}]+)\}", r"\1{\3}{\2}", text, count=1)
    swapped = swapped if swapped != text else re.sub(r"(\\[dt]?frac)(\d)(\d)", r"\1\3\2", text, count=1)
    return swapped if swapped != text else re.sub(r"(?<!\d)(\d+)/(\d+)", r"\2/\1", text, count=1)


def _change_end(text: str, random: Random) -> str | None:
    """Open a closed end of an interval, or close an open one; never one at infinity."""
    if not re.search(r"\[|\]|\\infty|\\cup", text) or "," not in text or "begin" in text or "sqrt[" in text:
        return None
    places = [
        m.start()
        for m in re.finditer(r"[(\[](?=[^()\[\],]*,)(?!-?\\infty)|(?<!infty)(?<!infty\\right)[)\]](?!\w)", text)
    ]
    if not places:
        return None
    place = random.choice(places)
    return text[:place] + {"(": "[", "[": "(", ")": "]", "]": ")"}[text[place]] + text[place + 1 :]


def _drop_element(text: str, random: Random) -> str | None:
    inner = re.fullmatch(r"((?:\\left)?(?:\\\{|\(|\[)?)(.*?)((?:\\right)?(?:\\\}|\)|\])?)", text, re.DOTALL)
    if inner is None or re.search(r"\d,(?:\\!)?\d{3}|\\cup|infty|begin", text):
        return None
    parts = inner[2].split(",")
    if len(parts) < 2 or any(part.count("{") != part.count("}") for part in parts):
        return None
    del parts[random.randrange(len(parts))]
    return inner[1] + ",".join(parts) + inner[3]


def _change_operator(text: str, random: Random) -> str | None:
    swaps = {"+": "-", "-": "+", "\\le": "\\ge", "\\ge": "\\le", "<": ">", ">": "<", "\\cdot": "+", "\\cup": "\\cap"}
    found = [m for m in re.finditer(r"\\(?:[lg]e|cdot|cup)(?![a-pr-z])|[<>]|(?<=[\w})])\s*[+-]", text) if m.start()]
    if not found:
        return None
    chosen = random.choice(found)
    operator = chosen[0].strip()
    return text[: chosen.start()] + chosen[0].replace(operator, swaps[operator]) + text[chosen.end() :]


MUTATIONS: dict[str, Mutation] = {
    "one digit changed": change_digit,
    "sign flipped": _flip_sign,
    "term dropped": _drop_term,
    "fraction turned over": _swap_fraction,
    "end of an interval changed": _change_end,
    "element dropped": _drop_element,
    "operator changed": _change_operator,
}
"""Ways to make a wrong answer from a right one; None where there is nothing to change."""


def _is_wrong(name: str, reference: str, mutated: str) -> bool:
    """Say whether a mutation changed the value. What the values do not show is told by the text."""
    if name == "end of an interval changed":
        return True
    if name == "operator changed" and re.search(r"\\[lg]e|[<>]|\\cup", reference):
        return len(re.findall(r"\\[lg]e|[<>]|\\cup", reference)) == 1 and _relations(reference) != _relations(mutated)
    differ = surely_differ(reference, mutated)
    return differ is True or (differ is None and name == "one digit changed")


def _relations(text: str) -> list[str]:
    return re.findall(r"\\[lg]e|[<>]|\\cup", text)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s{}]|\\[a-z]*text|\\left|\\right|\\[,!;$]|\$", "", text).casefold()


def _case(name: str, category: str, reference: str, completion: str, outcome: str = "pass") -> Case:
    return Case(set=name, category=category, reference=reference, completion=completion, outcome=outcome)


def _table(path: Path) -> Iterator[Case]:
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip() and line[0] != "#"]
    for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        if len(row) < 3 or row[0] not in ("pass", "fail", "unknown"):
            continue
        reference, answer, prompt = (
            text.replace("⏎", "\n") for text in (row[1], row[2], row[4] if len(row) > 4 else "")
        )
        yield Case(
            set="tables",
            category=path.stem,
            reference=reference,
            completion=answer if path.stem in WHOLE else boxed(answer),
            outcome=row[0],
            prompt=prompt or None,
        )


SETS: dict[str, Callable[[int], list[Case]]] = {
    "tables": tables,
    "gsm8k": gsm8k,
    "math_self": math_self,
    "math_others": math_others,
    "math_near": math_near,
}
"""All sets by name."""
