"""Worked solutions: what the embedded policy is trained to write.

In: an entry of one of `SOLVED`, a language, a random generator and the rates of deliberate faults. Out: a completion
`reasoning</think>answer with \\boxed{}`, without the opening `<think>` that the chat template prefills.

Every result is first written from its last digit to its first, in the order in which carries run: a small model learns
that far sooner than the usual order. The faults (`Noise`) are deliberate: a corpus made from this policy then gives
every judge and filter something to find. None of the text comes from a person or another model.
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
    "op": {
        "en": ("{a}{op}{b}: backwards {reversed}, so {result}.",),
        "zh": ("{a}{op}{b}：倒写{reversed}，得{result}。",),
    },
    "legs": {
        "en": ("{animal}: {count}×{legs}={product}, total {result}.",),
        "zh": ("{animal_zh}：{count}×{legs}={product}，共{result}。",),
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
    slip_at = rng.randrange(3) if rng.random() < noise.slip else None
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
    """Collects steps and does their arithmetic, with one slip at the step `slip_at`."""

    def __init__(self, rng: Random, slip_at: int | None) -> None:
        self.steps: list[_Step] = []
        self._rng = rng
        self._slip_at = slip_at

    def step(self, a: int, op: str, b: int) -> int:
        """Write `a op b` and return its result, a wrong one if the slip is due."""
        result = self._result({"+": a + b, "-": a - b, "×": a * b}[op])
        sign, digits = ("-", str(result)[1:]) if result < 0 else ("", str(result))
        parts = {"a": a, "op": op, "b": b, "reversed": sign + digits[::-1], "result": result}
        self.steps.append(_Step("op", parts))
        return result

    def legs(self, animal: str, count: int, total: int) -> int:
        """Write the legs of `count` animals and return the new total, a wrong one if the slip is due."""
        product = count * LEGS[animal]
        result = self._result(total + product)
        parts = {"animal": animal, "animal_zh": ANIMALS_ZH[animal], "count": count, "legs": LEGS[animal]}
        self.steps.append(_Step("legs", {**parts, "product": product, "result": result}))
        return result

    def _result(self, right: int) -> int:
        if self._slip_at != len(self.steps):
            return right
        digits = str(abs(right))
        at = self._rng.randrange(len(digits))
        # A one-digit result stays above 0: the work that follows may divide by it.
        wrong = self._rng.choice([d for d in "123456789" if d != digits[at]])
        return int(digits[:at] + wrong + digits[at + 1 :]) * (-1 if right < 0 else 1)


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
            times = large // small
            part = small if times <= 1 else work.step(small, "×", times)
            large, small = small, work.step(large, "-", part)
        first = large
    return str(first)


def _leg_counting(metadata: Mapping[str, Any], work: _Work) -> str:
    total = 0
    for animal, count in metadata["animals"].items():
        total = work.legs(animal, count, total)
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
