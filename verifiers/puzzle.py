"""Judge the answer to a procedural problem with the checker of its own family (reasoning-gym).

In: a completion and a `PuzzleReference`. Out: pass if the family's checker gives the final answer full marks, fail
otherwise; unknown if the checker breaks, is not installed or does not know the family. Some checkers hand the answer
to an evaluator, so judging always happens in a worker, what is not plain data is kept from Python's `eval` and from
sympy's, and long answers are refused. A pass that the checker would also give to nonsense is none: then the answer
must be the family's own, word for word. What is not done: a family without a checker in reasoning-gym cannot be judged
(`composite`, whose entries belong to other families).
"""

from __future__ import annotations

import ast
import importlib
import operator
import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, Literal

from verifiers.extract import Extracted, final_answer, split_reasoning
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
_NONSENSE = "¿"
"""No family has such an answer: a checker that likes it likes anything."""
_TIMES = re.compile(r"\\times(?![A-Za-z])|\\cdot(?![A-Za-z])|[*xX·⋅×]")
_DIVIDED = re.compile(r"\\div(?![A-Za-z])|÷")
_RESULT = re.compile(r"\s*=\s*\d{1,9}\s*\Z")
_TEXT_COMMAND = re.compile(r"\\(?:text|texttt|mathrm|textbf)\s*\{([^{}]*)\}")


class Puzzle(Judge):
    """Ask the checker of the problem's own family."""

    kind: Literal["puzzle"] = "puzzle"
    """Name of the judge."""

    version: ClassVar[int] = 3

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
        oracle = reference.entry.get("answer")
        num_lines = len(oracle.strip().split("\n")) if isinstance(oracle, str) else 1
        text, span = _whole_grid(completion, found, num_lines) if num_lines > 1 else (found.text, found.span)
        if isinstance(oracle, str) and oracle.endswith(".") and completion.startswith(".", span[1]):
            text, span = text + ".", (span[0], span[1] + 1)  # the stop of a sentence that is the answer
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
        plain = _spelled(reference.family, _TEXT_COMMAND.sub(r"\1", text).strip().strip("$").strip())
        if reference.family in _PARSING and (_UNSAFE_FORMULA.search(plain) or _POWER_OF_POWER.search(plain)):
            return self._decide(passed=False, reason="the answer is no plain formula", extracted=text, span=span)
        try:
            score = _score(reference, plain)
        except _Unreadable as error:
            reason = f"the checker of {reference.family} cannot read the answer ({error})"
            return self._decide(passed=False, reason=reason, extracted=text, span=span)
        except Exception as error:  # noqa: BLE001 - the checker broke, which says nothing about the answer
            reason = f"the checker of {reference.family} raised {type(error).__name__}: {str(error)[:200]}"
            return self._unknown(reason, extracted=text, span=span)
        if score is None:
            reason = f"the checker of {reference.family} refuses the reference's own answer"
            return self._unknown(reason, extracted=text, span=span)
        reason = f"the checker of {reference.family} gives {score:g}"
        return self._decide(passed=score >= _FULL_MARKS, reason=reason, extracted=text, span=span)


def _spelled(family: str, text: str) -> str:
    """Write signs as the family's checker knows them; an arithmetic answer may state its value: `4*8 - 8 = 24`."""
    if family == "prime_factorization":
        return _TIMES.sub("×", text)
    if family in ("puzzle24", "countdown"):
        return _RESULT.sub("", _DIVIDED.sub("/", _TIMES.sub("*", text)))
    return text


class _Unreadable(Exception):
    """The checker breaks at this answer, but not at the family's own."""


def _score(reference: PuzzleReference, text: str) -> float | None:
    """Return what the checker gives, or None if it does not even accept the reference's own answer.

    Some checkers compare tuples, which JSON turns into lists: an entry that refuses its own answer is tried once more
    with tuples. Raises _Unreadable if the checker raises at this text alone, and what it raises if at its own too.
    """
    checker, own = _checker(reference.family), reference.entry.get("answer")

    def asked(answer: str, sequence: type[list[Any]] | type[tuple[Any, ...]]) -> float:
        return float(checker.score_answer(answer, entry=_copied(reference.entry, sequence)))

    if reference.family == "puzzle24" and _value(text) != 24:
        return 0.0  # its checker takes the whole part: 24.25 would do
    for sequence in (list, tuple):
        fault: Exception | None = None
        try:
            score = asked(text, sequence)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, SyntaxError) as error:
            score, fault = 0.0, error
        if score >= _FULL_MARKS:
            is_blind = _likes_nonsense(asked, sequence)
            return float(str(own).strip().casefold() == text.casefold()) if is_blind else score
        if not isinstance(own, str):
            if fault:
                raise fault
            return score
        if asked(own, sequence) >= _FULL_MARKS:
            if fault:
                raise _Unreadable(f"{type(fault).__name__}: {str(fault)[:100]}")
            return score
    return None


def _likes_nonsense(asked: Callable[[str, Any], float], sequence: type[Any]) -> bool:
    try:
        return asked(_NONSENSE, sequence) >= _FULL_MARKS
    except Exception:  # noqa: BLE001 - what breaks at nonsense does not like it
        return False


_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _value(formula: str) -> Fraction | None:
    """Return the exact value of a sum, difference, product or quotient of numbers; None if it is anything else."""
    try:
        return _value_of(ast.parse(formula.strip(), mode="eval").body) if len(formula) < 200 else None
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value_of(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Fraction(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value_of(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value_of(node.left), _value_of(node.right))
    raise ValueError(type(node).__name__)


def _whole_grid(completion: str, found: Extracted, num_lines: int) -> tuple[str, tuple[int, int]]:
    """Return an answer of several lines where only its first or its last was found: a grid is not one line.

    After "The answer is" it goes on for as many lines as the family's own; otherwise it is the last so many lines of
    the answer.
    """
    if found.how not in ("phrase", "last line", "hashes"):
        return found.text, found.span
    parts = split_reasoning(completion)
    start, whole = parts.answer_start, parts.answer or ""
    if found.how != "last line":
        at = found.start - start
        at -= len(whole[:at]) - len(whole[:at].rstrip("_ "))  # blanks of a board are no emphasis
        start, whole = start + at, whole[at:]
        start, whole = start + len(whole) - len(whole.lstrip(" ")), whole.lstrip(" ")
    lead = len(whole) - len(whole.lstrip("\n"))
    start, lines = start + lead, whole[lead:].rstrip().split("\n")
    if found.how == "last line" and len(lines) > num_lines:
        start += sum(len(line) + 1 for line in lines[:-num_lines])
        lines = lines[-num_lines:]
    text = "\n".join(lines[:num_lines])
    return text, (start, start + len(text))


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
