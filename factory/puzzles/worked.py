"""Worked solutions: what the embedded policy is trained to write.

In: an entry of one of `SOLVED`, a language, a random generator and the rates of deliberate faults. Out: a completion
`reasoning</think>answer with \\boxed{}`, without the opening `<think>` that the chat template prefills.

Numbers are worked on column by column from the right, as at school: with each column written out, all that a small
model has to know are sums and products of single digits. The faults (`Noise`) are deliberate: a corpus made from this
policy then gives every judge and filter something to find. None of the text comes from a person or another model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from pydantic import Field

from factory.config import Config
from factory.puzzles.families import Entry
from factory.puzzles.wording import ANIMALS_ZH

Language = Literal["en", "zh"]
_MANY = 60
"""Repeats of a step in a solution that never ends: more than a trainer's length limit holds."""
_OTHER: dict[Language, Language] = {"en": "zh", "zh": "en"}

LEGS: dict[str, int] = {
    **dict.fromkeys(("snake", "sea slug", "jellyfish", "flatworm", "leech"), 0),
    **dict.fromkeys(("chicken", "bird", "human", "duck"), 2),
    **dict.fromkeys(
        ("dog", "cat", "cow", "horse", "lion", "elephant", "giraffe", "tiger", "deer", "sheep"),
        4,
    ),
    "starfish": 5,
    **dict.fromkeys(
        ("insect", "ant", "butterfly", "beetle", "bee", "wasp", "grasshopper", "cricket", "cockroach"),
        6,
    ),
    **dict.fromkeys(("praying mantis", "firefly"), 6),
    **dict.fromkeys(("spider", "scorpion"), 8),
    **dict.fromkeys(("crab", "lobster", "shrimp"), 10),
    "woodlouse": 14,
}
"""Legs per animal, as reasoning-gym counts them: an entry's metadata has the animals but not their legs."""


class Noise(Config):
    """How often a worked solution has which fault. Each is a share of the solutions, drawn independently."""

    slip: float = Field(default=0.0, ge=0.0, le=1.0)
    """One result has a wrong digit, and the rest is worked from it."""
    mixed: float = Field(default=0.0, ge=0.0, le=1.0)
    """Part of the reasoning is in the other language: one sentence more, or some of the steps."""
    stutter: float = Field(default=0.0, ge=0.0, le=1.0)
    """One step is written several times, then the work goes on."""
    endless: float = Field(default=0.0, ge=0.0, le=1.0)
    """One step is written again and again and the solution never ends."""
    second_look: float = Field(default=0.0, ge=0.0, le=1.0)
    """All the steps are worked through once more before the answer."""
    unclosed: float = Field(default=0.0, ge=0.0, le=1.0)
    """`</think>` is missing."""
    unboxed: float = Field(default=0.0, ge=0.0, le=1.0)
    """The answer is not in \\boxed{}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A worked solution."""

    text: str
    """The completion, after the `<think>` that the template prefills."""
    ends: bool
    """False if it never comes to an end: the text is then cut at the length limit and has no end token."""
    answer: str
    """What it arrives at, which a slip makes wrong."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One line of work, wordless: what is put into the line's wording."""

    wording: str
    parts: dict[str, Any]


_WORDS: dict[str, dict[Language, tuple[str, ...]]] = {
    "columns": {
        "en": ("{task}: {columns}, so {result}.",),
        "zh": ("{task}：{columns}，得{result}。",),
    },
    "fact": {
        "en": ("Then {task}={result}.",),
        "zh": ("得{task}={result}。",),
    },
    "legs": {
        "en": ("{animal}: {task}={result}.",),
        "zh": ("{animal_zh}：{task}={result}。",),
    },
    "chain_sum": {
        "en": ("I will add and subtract from left to right.", "Let me go through the terms one by one."),
        "zh": ("我从左到右依次计算。", "我们一项一项地算。"),
    },
    "products": {
        "en": ("I multiply digit by digit and add up the parts.", "Let me split the second factor into its digits."),
        "zh": ("我逐位相乘，再把各部分加起来。", "先把第二个因数按位拆开。"),
    },
    "gcd": {
        "en": (
            "I use the Euclidean algorithm until the remainder is 0.",
            "Let me take remainders until nothing is left.",
        ),
        "zh": ("我用辗转相除法，直到余数为 0。", "不断取余数，直到没有剩余。"),
    },
    "leg_counting": {
        "en": ("I count the legs of each animal and keep a total.", "Let me multiply and add as I go."),
        "zh": ("我数出每种动物的腿，边数边加。", "先乘后加，逐个累计。"),
    },
    "aside": {
        "en": ("Let me be careful with the carries here.", "So far this looks right, I go on."),
        "zh": ("这里要注意进位。", "到目前为止没有问题，继续算。"),
    },
    "again": {
        "en": ("Wait, let me check this again.",),
        "zh": ("等一下，我再检查一遍。",),
    },
    "answer": {
        "en": ("The answer is {answer}.", "So the final answer is {answer}."),
        "zh": ("答案是 {answer}。", "所以最终答案是 {answer}。"),
    },
}
"""What is written → its wordings in each language."""


def worked(entry: Entry, language: Language, rng: Random, noise: Noise) -> Solution:
    """Work an entry out in `language`, with the faults that `noise` and `rng` decide on."""
    slip_at = rng.randrange(2) if rng.random() < noise.slip else None
    work = _Work(rng, slip_at)
    answer = SOLVED[entry.family](entry.metadata, work)
    lines = _lines(entry.family, work.steps, language, rng, noise)
    if rng.random() < noise.second_look:
        lines += [_say("again", language, rng), *lines[1:]]
    at = rng.randrange(1, len(lines))
    if rng.random() < noise.endless:
        return Solution(text="\n".join(lines[:at] + [lines[at]] * _MANY), ends=False, answer=answer)
    if rng.random() < noise.stutter:
        lines[at:at] = [lines[at]] * rng.randint(3, 9)
    close = "" if rng.random() < noise.unclosed else "</think>\n\n"
    shown = answer if rng.random() < noise.unboxed else f"\\boxed{{{answer}}}"
    text = "\n".join(lines) + "\n" + close + _say("answer", language, rng, answer=shown)
    return Solution(text=text, ends=True, answer=answer)


class _Work:
    """Collects steps and does their arithmetic, with a slip in the calculation numbered `slip_at`, if there is one."""

    def __init__(self, rng: Random, slip_at: int | None) -> None:
        self.steps: list[_Step] = []
        self._rng = rng
        self._slip_at = slip_at
        self._num_calculations = 0

    def step(self, a: int, op: str, b: int) -> int:
        """Write `a op b` column by column and return its result, a wrong one if the slip is due.

        `op` is `+`, `-` or `×`; a product of two numbers of several digits is written as one fact.
        """
        slip = self._rng if self._slip_at == self._num_calculations else None
        self._num_calculations += 1
        if op == "×":
            task = f"{a}×{b}"
            columns, result = _multiply(a, b, slip)
        else:
            task, columns, result = _add(a, b if op == "+" else -b, f"{a}{op}{b}", slip)
        wording = "columns" if len(columns) > 1 else "fact"
        self.steps.append(_Step(wording, {"task": task, "columns": ",".join(columns), "result": result}))
        return result

    def legs(self, animal: str, count: int) -> int:
        """Write how many legs `count` animals have and return it."""
        result = count * LEGS[animal]
        parts = {"animal": animal, "animal_zh": ANIMALS_ZH[animal], "task": f"{count}×{LEGS[animal]}", "result": result}
        self.steps.append(_Step("legs", parts))
        return result


def _add(a: int, b: int, task: str, slip: Random | None) -> tuple[str, list[str], int]:
    """Add two signed numbers: the task, rewritten for numbers without a sign where it needs to be, columns, result."""
    large, small = max(abs(a), abs(b)), min(abs(a), abs(b))
    sign = -1 if a + b < 0 else 1
    if (a < 0) == (b < 0):
        plain, (columns, result) = f"{abs(a)}+{abs(b)}", _add_columns(abs(a), abs(b), slip)
    else:
        plain, (columns, result) = f"{large}-{small}", _subtract_columns(large, small, slip)
    wanted = plain if sign > 0 else f"-({plain})"
    return (task if task == wanted else f"{task}={wanted}"), columns, sign * result


def _add_columns(a: int, b: int, slip: Random | None) -> tuple[list[str], int]:
    places = max(len(str(a)), len(str(b)))
    slip_at = slip.randrange(places) if slip else None
    columns, result, carry = [], 0, 0
    for place in range(places):
        x, y = _digit(a, place), _digit(b, place)
        total = x + y + carry
        if place == slip_at:
            total += 1 if total == 0 or (slip and slip.random() < 0.5) else -1
        columns.append(f"{x}+{y}" + (f"+{carry}" if carry else "") + f"={total}")
        carry = total // 10 if place + 1 < places else 0
        result += (total - 10 * carry) * 10**place
    return columns, result


def _subtract_columns(a: int, b: int, slip: Random | None) -> tuple[list[str], int]:
    """Subtract `b` from `a`, which is not smaller; what is borrowed is taken off the next column's upper digit."""
    places = len(str(a))
    slip_at = slip.randrange(places) if slip else None
    columns, result, borrow = [], 0, 0
    for place in range(places):
        x, y = _digit(a, place) - borrow, _digit(b, place)
        borrow = 1 if x < y else 0
        x += 10 * borrow
        rest = x - y
        if place == slip_at and slip:
            rest = slip.choice([digit for digit in range(1, 10) if digit != rest])
        columns.append(f"{x}-{y}={rest}")
        result += rest * 10**place
    return columns, result


def _multiply(a: int, b: int, slip: Random | None) -> tuple[list[str], int]:
    """Multiply by the one of the two that has one digit other than 0, zeros behind it aside."""
    many, one = (a, b) if len(str(b).rstrip("0")) <= 1 else (b, a)
    if len(str(one).rstrip("0")) > 1:
        return [], many * one
    digit, zeros = int(str(one)[0]), len(str(one)) - 1
    places = len(str(many))
    slip_at = slip.randrange(places) if slip else None
    columns, result, carry = [], 0, 0
    for place in range(places):
        x = _digit(many, place)
        total = x * digit + carry
        if place == slip_at:
            total += 1 if total == 0 or (slip and slip.random() < 0.5) else -1
        columns.append(f"{x}×{digit}" + (f"+{carry}" if carry else "") + f"={total}")
        carry = total // 10 if place + 1 < places else 0
        result += (total - 10 * carry) * 10**place
    return columns, result * 10**zeros


def _digit(number: int, place: int) -> int:
    return int(str(number)[-1 - place]) if place < len(str(number)) else 0


def _chain_sum(metadata: Mapping[str, Any], work: _Work) -> str:
    terms = str(metadata["expression"]).split()
    total = int(terms[0])
    for op, term in zip(terms[1::2], terms[2::2], strict=True):
        total = work.step(total, op, int(term))
    return str(total)


def _products(metadata: Mapping[str, Any], work: _Work) -> str:
    first, *others = (int(factor) for factor in str(metadata["expression"]).split(" * "))
    for other in others:
        digits = [int(d) * 10**place for place, d in enumerate(reversed(str(other))) if d != "0"] or [0]
        total = work.step(first, "×", digits[0])
        for digit in digits[1:]:
            total = work.step(total, "+", work.step(first, "×", digit))
        first = total
    return str(first)


def _gcd(metadata: Mapping[str, Any], work: _Work) -> str:
    first, *others = (int(number) for number in metadata["numbers"])
    for other in others:
        large, small = max(first, other), min(first, other)
        # A slip can make a remainder too large, but a remainder is at most one digit wrong: cut the work off then.
        for _ in range(12):
            if small <= 0:
                break
            times = max(1, large // small)
            part = small if times == 1 else work.step(small, "×", times)
            large, small = small, work.step(large, "-", part)
        first = large
    return str(first)


def _leg_counting(metadata: Mapping[str, Any], work: _Work) -> str:
    total = 0
    for animal, count in metadata["animals"].items():
        legs = work.legs(animal, count)
        if legs:
            total = work.step(total, "+", legs) if total else legs
    return str(total)


SOLVED: dict[str, Callable[[Mapping[str, Any], _Work], str]] = {
    "chain_sum": _chain_sum,
    "gcd": _gcd,
    "leg_counting": _leg_counting,
    "products": _products,
}
"""Family → writes the steps and returns the answer they arrive at."""


def _lines(family: str, steps: list[_Step], language: Language, rng: Random, noise: Noise) -> list[str]:
    """Word the steps, one line each after an opening sentence; some in the other language if the solution is mixed."""
    languages = [language] * (len(steps) + 1)
    aside_at: int | None = None
    if rng.random() < noise.mixed:
        if rng.random() < 0.5:
            aside_at = rng.randint(1, len(languages))
        else:
            start = rng.randrange(len(languages))
            end = rng.randint(start + 1, len(languages))
            languages[start:end] = [_OTHER[language]] * (end - start)
    lines = [_say(family, languages[0], rng)]
    lines += [_say(step.wording, chosen, rng, **step.parts) for step, chosen in zip(steps, languages[1:], strict=True)]
    if aside_at is not None:
        lines.insert(aside_at, _say("aside", _OTHER[language], rng))
    return lines


def _say(wording: str, language: Language, rng: Random, **parts: Any) -> str:
    return rng.choice(_WORDS[wording][language]).format(**parts)
