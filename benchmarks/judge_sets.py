"""Labelled cases to measure the judges of choices, puzzles, form, loops, code, instructions and identity with.

Out: per judge and set its cases, each a completion, the judge, a reference and whether the completion is right. Right
and wrong mean, for a judge that only measures, that its score should be at most or above a bound. Labels come from how
a case is composed, never from a judge. Real data lies beside the checkout; without it only some sets can be had.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from choice_ways import BY_TEXT, NAMING, NOT_NAMING, UNSEEN

from verifiers import Choice, CodeBlocks, Format, Identity, Instructions, Judge, Puzzle, Repetition

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "tests" / "verifiers"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One completion and what a judge should say of it."""

    judge: Judge
    completion: str
    is_right: bool
    """Whether it should pass, or have a score of at most `bound`."""
    reference: Any = None
    """In JSON form."""
    bound: float | None = None
    """For judges that only measure."""
    prompt: str | None = None
    note: str = ""
    """Which way of being right or wrong this is."""


def tables(kind: str) -> Callable[[], Iterator[Case]]:
    """Return the set of the judge's own table of cases."""

    def cases() -> Iterator[Case]:
        from judge_cases import CASES

        judge = {judge.kind: judge for judge in (Choice(), Puzzle(), Format(), Instructions(), Identity())}[kind]
        for case in CASES[kind]:
            if case.outcome != "unknown":
                yield Case(
                    judge=judge,
                    completion=case.completion,
                    is_right=case.outcome == "pass",
                    reference=case.reference,
                    prompt=case.prompt,
                )

    return cases


def mmlu_ways() -> Iterator[Case]:
    """Options of MMLU-STEM named in the ways of `choice_ways`: the right one, another, several or none."""
    for number, row in enumerate(_rows("mmlu_stem/problems.jsonl")):
        options, right = row["choices"], row["answer"]
        other = (right + 1 + number % (len(options) - 1)) % len(options)
        reference = {"kind": "choice", "value": "ABCDEFGHIJ"[right], "options": options}
        ways = [(way, chosen) for way in (*NAMING, *UNSEEN) for chosen in (right, other)]
        if len(set(options)) == len(options):
            ways += [(way, chosen) for way in BY_TEXT for chosen in (right, other)]
        for way, chosen in ways:
            left = other if chosen == right else right
            text = way.format(x="ABCDEFGHIJ"[chosen], y="ABCDEFGHIJ"[left], t=options[chosen])
            yield Case(judge=Choice(), completion=text, is_right=chosen == right, reference=reference, note=way)
        for way in NOT_NAMING:
            text = way.format(x="ABCDEFGHIJ"[right], y="ABCDEFGHIJ"[other])
            yield Case(judge=Choice(), completion=text, is_right=False, reference=reference, note=way)


def gsm8k_without_choice() -> Iterator[Case]:
    """Completions that name no option, against every letter."""
    for row in _rows("gsm8k/completions.jsonl"):
        for letter in "ABCD":
            reference = {"kind": "choice", "value": letter}
            yield Case(judge=Choice(), completion=row["completion"], is_right=False, reference=reference)


_FORMS = (
    "<think>so</think>\n<answer>{}</answer>",
    "<think>so</think>\n\\boxed{{{}}}",
    "<think>so</think>\n{}",
    "<think>so</think>\nThe answer is {}",
)


def puzzle_families() -> Iterator[Case]:
    """Answers of all families of reasoning-gym that state one: their own, another problem's that differs, nonsense."""
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    for family in sorted(set(DATASETS) - {"composite"}):
        with contextlib.redirect_stdout(sys.stderr):  # one of the families prints dots
            made = list(reasoning_gym.create_dataset(family, size=4, seed=5))
        entries = [json.loads(json.dumps(entry, default=str)) for entry in made]
        for entry, other in zip(entries, [*entries[1:], entries[0]], strict=True):
            own, wrong = entry["answer"], other["answer"]
            if not isinstance(own, str):
                continue
            reference = {"kind": "puzzle", "family": family, "entry": entry}
            for form in _FORMS:
                text = form.format(own)
                yield Case(judge=Puzzle(), completion=text, is_right=True, reference=reference, note=family)
            # families with many solutions may rightly accept another's: their checkers recompute
            answers = ["no idea", ""] + ([wrong] if wrong != own and family not in _SEVERAL_SOLUTIONS else [])
            for answer in answers:
                text = _FORMS[0].format(answer)
                yield Case(judge=Puzzle(), completion=text, is_right=False, reference=reference, note=family)


_SEVERAL_SOLUTIONS = frozenset({"puzzle24", "countdown", "n_queens"})


def gsm8k_forms() -> Iterator[Case]:
    """Completions in R1's template, and with one fault of eight in it."""
    for row in _rows("gsm8k/completions.jsonl"):
        text, answer = row["completion"].strip(), row["completion"].strip().rsplit("\n", 1)[-1]
        yield Case(judge=Format(), completion=f"<think>\n{text}\n</think>\n\n{answer}", is_right=True)
        for note, completion in (
            ("never closed", f"<think>\n{text}\n\n{answer}"),
            ("never opened", f"{text}\n</think>\n\n{answer}"),
            ("no tags", f"{text}\n\n{answer}"),
            ("twice", f"<think>{text}</think><think>{text}</think>{answer}"),
            ("empty", f"<think>\n\n</think>\n\n{text}"),
            ("dots", f"<think>...</think>\n\n{text}"),
            ("text before", f"Sure. <think>{text}</think>{answer}"),
            ("no answer", f"<think>\n{text}\n</think>\n"),
        ):
            yield Case(judge=Format(), completion=completion, is_right=False, note=note)


def planted_loops() -> Iterator[Case]:
    """Real completions, and the same with a passage of themselves five to nine times in a row."""
    random = Random(7)
    for row in _rows("gsm8k/completions.jsonl"):
        text = row["completion"]
        yield Case(judge=Repetition(), completion=text, is_right=True, bound=3)
    for row in _rows("math/problems.jsonl"):
        text = row["solution"]
        yield Case(judge=Repetition(), completion=text, is_right=True, bound=3)
        units = [unit for unit in text.replace("\n", " ").split(". ") if len(unit.split()) >= 4]
        if units:
            unit, count = random.choice(units), random.randint(5, 9)
            at = text.find(unit[:20])
            looped = f"{text[:at]}{(unit + '. ') * count}{text[at:]}"
            yield Case(judge=Repetition(), completion=looped, is_right=False, bound=3)


def code_in_reasoning() -> Iterator[Case]:
    """Mathematical texts without code, and texts with a program of MBPP: in a fence, indented, bare."""
    for path, key in (
        ("gsm8k/completions.jsonl", "completion"),
        ("gsm8k/problems.jsonl", "solution"),
        ("math/problems.jsonl", "solution"),
        ("cmath/problems.jsonl", "question"),
    ):
        for row in _rows(path):
            if "[asy]" not in row[key]:
                text = f"<think>{row[key]}</think>ok"
                yield Case(judge=CodeBlocks(), completion=text, is_right=True, bound=0)
    for row in _rows("mbpp/problems.jsonl"):
        code = row["code"].strip().replace("\r", "")
        if code.count("\n"):
            for form in ("Let us write it.\n{}\nThat works.", "So:\n\n```python\n{}\n```\nDone."):
                text = f"<think>{form.format(code)}</think>ok"
                yield Case(judge=CodeBlocks(), completion=text, is_right=False, bound=0)
            indented = code.replace("\n", "\n    ")
            yield Case(
                judge=CodeBlocks(), completion=f"<think>So:\n\n    {indented}\n</think>ok", is_right=False, bound=0
            )


_OWN = (("Aki", "Northwind Labs"), ("小北", "北风实验室"))
_OTHERS = (("ChatGPT", "OpenAI"), ("Claude", "Anthropic"), ("Gemini", "Google"), ("通义千问", "阿里云"))


def self_cognition() -> Iterator[Case]:
    """Self-cognition answers with the student's own name, and with those of known models and makers."""
    for row in _rows("general/identity.jsonl"):
        for name, author in _OWN:
            text = row["output"].replace("{{name}}", name).replace("{{author}}", author)
            yield Case(judge=Identity(), completion=text, is_right=True)
            yield Case(judge=Identity(name=name, author=author), completion=text, is_right=True)
        if "{{" in row["output"]:
            for name, author in _OTHERS:
                text = row["output"].replace("{{name}}", name).replace("{{author}}", author)
                yield Case(judge=Identity(), completion=text, is_right=False)


def self_cognition_unknown() -> Iterator[Case]:
    """Self-cognition answers with a name that nobody knows, held against another of the student."""
    for row in _rows("general/identity.jsonl"):
        if "{{" in row["output"]:
            for name, author in _OWN:
                text = row["output"].replace("{{name}}", name).replace("{{author}}", author)
                yield Case(judge=Identity(name="Zed", author="Harbour AI"), completion=text, is_right=False)


def mathematics() -> Iterator[Case]:
    """Problems, solutions and completions of mathematics and code, which claim nothing of the speaker."""
    judge = Identity(name="Zed", author="Harbour AI")
    for path, keys in (
        ("gsm8k/completions.jsonl", ("completion",)),
        ("gsm8k/problems.jsonl", ("question", "solution")),
        ("math/problems.jsonl", ("problem", "solution")),
        ("mmlu_stem/problems.jsonl", ("question",)),
        ("cmath/problems.jsonl", ("question",)),
        ("mbpp/problems.jsonl", ("text", "code")),
        ("humaneval/problems.jsonl", ("prompt",)),
    ):
        for row in _rows(path):
            for key in keys:
                yield Case(judge=judge, completion=row[key], is_right=True)


SETS: dict[str, dict[str, tuple[str, Callable[[], Iterator[Case]]]]] = {
    "choice": {
        "tables": ("cases written for this judge (its own tests)", tables("choice")),
        "mmlu_ways": ("MMLU-STEM: options named, or not, in 98 ways", mmlu_ways),
        "gsm8k": ("GSM8K: completions that name no option", gsm8k_without_choice),
    },
    "puzzle": {
        "tables": ("cases written for this judge (its own tests)", tables("puzzle")),
        "families": ("reasoning-gym: own answers, others' and nonsense, all families that state one", puzzle_families),
    },
    "format": {
        "tables": ("cases written for this judge (its own tests)", tables("format")),
        "gsm8k": ("GSM8K: completions in R1's template, and with one of eight faults", gsm8k_forms),
    },
    "repetition": {
        "planted": ("GSM8K and MATH, and with a sentence 5 to 9 times in a row (passed: at most 3)", planted_loops),
    },
    "code_blocks": {
        "mbpp": ("mathematics, and texts with a program of MBPP (passed: none found)", code_in_reasoning),
    },
    "instructions": {
        "tables": ("cases written for this judge (its own tests)", tables("instructions")),
    },
    "identity": {
        "tables": ("cases written for this judge (its own tests)", tables("identity")),
        "self_cognition": ("self-cognition answers with the student's names, and with known others", self_cognition),
        "unknown_names": ("self-cognition answers with names nobody knows", self_cognition_unknown),
        "mathematics": ("problems, solutions, completions: mathematics and code", mathematics),
    },
}
"""Per judge its sets: the title that data cards show, and the cases."""


def _rows(path: str) -> list[dict[str, Any]]:
    with (DATA / path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
