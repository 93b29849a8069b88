"""Judge the answer to a procedural problem with the checker of its own family (reasoning-gym).

In: a completion and a `PuzzleReference`. Out: pass if the family's checker gives the final answer full marks, fail
otherwise; unknown if the checker breaks, is not installed or does not know the family. Some checkers hand the answer
to an evaluator, so judging always happens in a worker, what is not plain data is kept from Python's `eval` and from
sympy's, and long answers are refused.
"""

from __future__ import annotations

import ast
import importlib
import re
from functools import lru_cache
from typing import Any, ClassVar, Literal

from verifiers.extract import final_answer, split_reasoning
from verifiers.reference import PuzzleReference, Reference
from verifiers.verdict import Judge, Messages, Verdict
from verifiers.workers import inside_worker, judge_apart

_FULL_MARKS = 0.99
_MAX_CHARS = 20_000
_INSTALL = "pip install 'trace-factory[puzzles]'"

# Modules whose checker calls the built-in eval on the answer: there it is replaced by the reader of literals.
_EVALUATING = ("string_insertion", "spiral_matrix", "binary_matrix", "number_sorting", "n_queens")
# Families whose checker hands the answer to sympy's parser, which evaluates: attributes and strings stay outside.
_PARSING = frozenset(
    {"simple_integration", "intermediate_integration", "polynomial_multiplication", "puzzle24", "countdown"}
)
_UNSAFE_FORMULA = re.compile(
    r"__|[\"'`\[\]{};:=@#\\!]|[A-Za-z_]\s*\.|\.\s*[A-Za-z_]|\b(?:lambda|import|for|if|exec|eval|open)\b"
)
_POWER_OF_POWER = re.compile(r"(?:\*\*|\^)[\s(]*-?[\w.]+[\s)]*(?:\*\*|\^)|(?:\*\*|\^)[\s(]*-?\d{4,}|\d{300,}")
_TEXT_COMMAND = re.compile(r"\\(?:text|texttt|mathrm|textbf)\s*\{([^{}]*)\}")


class Puzzle(Judge):
    """Ask the checker of the problem's own family."""

    kind: Literal["puzzle"] = "puzzle"
    """Name of the judge."""

    version: ClassVar[int] = 2

    def prepare(self) -> None:
        """Import reasoning-gym, which takes seconds."""
        _families()

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        if not isinstance(reference, PuzzleReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"a puzzle needs a reference of kind puzzle, there is {given}")
        found = final_answer(completion)
        if found is None:
            closed = split_reasoning(completion).answer is not None
            return self._decide(passed=False, reason="no final answer" if closed else "the reasoning never ends")
        text, span = found.text, found.span
        oracle = reference.entry.get("answer")
        if found.how == "last line" and isinstance(oracle, str) and "\n" in oracle.strip():
            parts = split_reasoning(completion)  # a grid is not its last line
            whole = parts.answer or ""
            start = parts.answer_start + len(whole) - len(whole.lstrip())
            text, span = whole.strip(), (start, start + len(whole.strip()))
        if len(text) > _MAX_CHARS:
            reason = f"the final answer has {len(text)} characters, at most {_MAX_CHARS} are checked"
            return self._decide(passed=False, reason=reason, extracted=text[:200], span=(span[0], span[0] + 200))
        if not inside_worker():
            return judge_apart(self, completion, reference, prompt)
        return self._checked(reference, text, span)

    def _checked(self, reference: PuzzleReference, text: str, span: tuple[int, int]) -> Verdict:
        try:
            families = _families()
        except ImportError as error:
            return self._unknown(f"reasoning-gym cannot be imported ({error}); install it with: {_INSTALL}")
        if reference.family not in families:
            return self._unknown(f"reasoning-gym has no family {reference.family!r}")
        plain = _TEXT_COMMAND.sub(r"\1", text).strip().strip("$").strip()
        if reference.family in _PARSING and (_UNSAFE_FORMULA.search(plain) or _POWER_OF_POWER.search(plain)):
            return self._decide(passed=False, reason="the answer is no plain formula", extracted=text, span=span)
        try:
            score = _score(reference, plain)
        except Exception as error:  # noqa: BLE001 - the checker broke, which says nothing about the answer
            reason = f"the checker of {reference.family} raised {type(error).__name__}: {str(error)[:200]}"
            return self._unknown(reason, extracted=text, span=span)
        if score is None:
            reason = f"the checker of {reference.family} refuses the reference's own answer"
            return self._unknown(reason, extracted=text, span=span)
        reason = f"the checker of {reference.family} gives {score:g}"
        return self._decide(passed=score >= _FULL_MARKS, reason=reason, extracted=text, span=span)


def _score(reference: PuzzleReference, text: str) -> float | None:
    """Return what the checker gives, or None if it does not even accept the reference's own answer.

    Some checkers compare tuples, which JSON turns into lists: an entry that refuses its own answer is tried once more
    with tuples.
    """
    checker, own = _checker(reference.family), reference.entry.get("answer")
    for sequence in (list, tuple):
        score = float(checker.score_answer(text, entry=_copied(reference.entry, sequence)))
        if score >= _FULL_MARKS or not isinstance(own, str):
            return score
        if float(checker.score_answer(own, entry=_copied(reference.entry, sequence))) >= _FULL_MARKS:
            return score
    return None


@lru_cache(maxsize=1)
def _families() -> dict[str, Any]:
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    for category in ("algorithmic", "games"):
        for name in _EVALUATING:
            try:
                module = importlib.import_module(f"{reasoning_gym.__name__}.{category}.{name}")
            except ModuleNotFoundError:
                continue
            module.eval = ast.literal_eval  # type: ignore[attr-defined]  # shadows the built-in in that module
    return dict(DATASETS)


@lru_cache(maxsize=256)
def _checker(family: str) -> Any:
    from reasoning_gym.factory import create_dataset

    return create_dataset(family, size=1, seed=0)


def _copied(value: Any, sequence: type[list[Any]] | type[tuple[Any, ...]]) -> Any:
    """Copy JSON data, so that a checker that writes into its entry changes nothing of ours."""
    if isinstance(value, dict):
        return {key: _copied(item, sequence) for key, item in value.items()}
    if isinstance(value, list):
        return sequence(_copied(item, sequence) for item in value)
    return value
