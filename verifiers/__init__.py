"""Is this completion right? Judges of completions, usable alone as a library of rewards.

`verify(completion, reference)` picks the judge by the reference's kind; every judge also works by itself
(`MathAnswer().judge(...)`), in bulk (`JudgePool`), and as a reward function of a GRPO trainer. Importing this package
imports no algebra and no language model.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from verifiers.choice import Choice
from verifiers.format import Format
from verifiers.language import LanguageConsistency
from verifiers.math_answer import MathAnswer
from verifiers.puzzle import Puzzle
from verifiers.reference import Reference, parse_reference, reference_json
from verifiers.repetition import Repetition
from verifiers.verdict import Judge, Messages, Verdict
from verifiers.workers import JudgePool, Task

__all__ = [
    "JUDGES",
    "AnyJudge",
    "Choice",
    "Format",
    "Judge",
    "JudgePool",
    "LanguageConsistency",
    "MathAnswer",
    "Puzzle",
    "Reference",
    "Repetition",
    "Task",
    "Verdict",
    "parse_reference",
    "reference_json",
    "verify",
]

AnyJudge = Annotated[
    MathAnswer | Choice | Puzzle | Format | LanguageConsistency | Repetition,
    Field(discriminator="kind"),
]
"""A judge in a recipe: its `kind` says which."""

JUDGES: dict[str, type[Judge]] = {
    "math_answer": MathAnswer,
    "choice": Choice,
    "puzzle": Puzzle,
    "format": Format,
    "language": LanguageConsistency,
    "repetition": Repetition,
}
"""All judges by their kind."""

_JUDGE_OF: dict[str, type[Judge]] = {"answer": MathAnswer, "choice": Choice, "puzzle": Puzzle}


def verify(completion: str, reference: Any, prompt: Messages | None = None) -> Verdict:
    """Judge a completion by the judge that its reference asks for.

    `reference` is a `Reference` or its JSON form; a bare string is a math answer. A kind that no judge is for yet gives
    an unknown verdict. Raises ValueError if the reference has no valid form.
    """
    parsed = parse_reference(reference)
    judge = _JUDGE_OF.get(parsed.kind)
    if judge is None:
        reason = f"there is no judge for references of kind {parsed.kind} yet"
        return Verdict(by=parsed.kind, version=0, outcome="unknown", cause="permanent", reason=reason)
    return judge(kind=_kind_of(judge)).judge(completion, parsed, prompt)


def _kind_of(judge: type[Judge]) -> str:
    return str(judge.model_fields["kind"].default)
