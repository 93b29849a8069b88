"""Is this completion right? Judges of completions, usable alone as a library of rewards.

`verify(completion, reference)` picks the judge by the reference's kind; every judge also works by itself
(`MathAnswer().judge(...)`), in bulk (`JudgePool`), and as a reward function of a GRPO trainer. Several make one judge
(`AllOf`, `AnyOf`, `Cascade`) or one reward (`as_reward`). Importing this package imports no algebra and no language
model.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from verifiers.asking import Reply
from verifiers.choice import Choice
from verifiers.code_tests import CodeTests
from verifiers.compose import AllOf, AnyOf, Cascade
from verifiers.format import Format
from verifiers.identity import Identity
from verifiers.instructions import Instructions
from verifiers.language import LanguageConsistency
from verifiers.math_answer import MathAnswer
from verifiers.model_bound import bind
from verifiers.model_judge import ModelJudge
from verifiers.preference import Preference, PreferenceJudge
from verifiers.puzzle import Puzzle
from verifiers.readability import CodeBlocks, LongestParagraph
from verifiers.reference import Reference, parse_reference, reference_json
from verifiers.repetition import Repetition
from verifiers.reward import as_reward
from verifiers.reward_model import RewardModel
from verifiers.verdict import Judge, JudgeUnusable, Messages, Verdict
from verifiers.workers import JudgePool, Task

__all__ = [
    "COMPOSED",
    "JUDGES",
    "AllOf",
    "AnyJudge",
    "AnyOf",
    "Cascade",
    "Choice",
    "CodeBlocks",
    "CodeTests",
    "Format",
    "Identity",
    "Instructions",
    "Judge",
    "JudgePool",
    "JudgeUnusable",
    "LanguageConsistency",
    "LongestParagraph",
    "MathAnswer",
    "ModelJudge",
    "Preference",
    "PreferenceJudge",
    "Puzzle",
    "Reference",
    "Repetition",
    "Reply",
    "RewardModel",
    "Task",
    "Verdict",
    "as_reward",
    "bind",
    "parse_reference",
    "reference_json",
    "verify",
]

AnyJudge = Annotated[
    MathAnswer
    | CodeTests
    | Choice
    | Puzzle
    | Format
    | LanguageConsistency
    | Repetition
    | LongestParagraph
    | CodeBlocks
    | Instructions
    | Identity
    | ModelJudge
    | RewardModel
    | AllOf
    | AnyOf
    | Cascade,
    Field(discriminator="kind"),
]
"""A judge in a recipe: its `kind` says which."""

JUDGES: dict[str, type[Judge]] = {
    "math_answer": MathAnswer,
    "code_tests": CodeTests,
    "choice": Choice,
    "puzzle": Puzzle,
    "format": Format,
    "language": LanguageConsistency,
    "repetition": Repetition,
    "longest_paragraph": LongestParagraph,
    "code_blocks": CodeBlocks,
    "instructions": Instructions,
    "identity": Identity,
    "model_judge": ModelJudge,
    "reward_model": RewardModel,
}
"""The judges that judge by themselves, by their kind."""

COMPOSED: dict[str, type[Judge]] = {"all": AllOf, "any": AnyOf, "cascade": Cascade}
"""The judges that are made of others, by their kind."""

for _composed in COMPOSED.values():
    _composed.model_rebuild()  # their parts may be any judge, which is known only here

_JUDGE_OF: dict[str, type[Judge]] = {
    "answer": MathAnswer,
    "tests": CodeTests,
    "choice": Choice,
    "puzzle": Puzzle,
    "instructions": Instructions,
    "rubric": ModelJudge,
}


def verify(completion: str, reference: Any, prompt: Messages | None = None) -> Verdict:
    """Judge a completion by the judge that its reference asks for.

    `reference` is a `Reference` or its JSON form; a bare string is a math answer. A kind that no judge is for yet gives
    an unknown verdict. Raises ValueError if the reference has no valid form, JudgeUnusable if it is a rubric, which a
    model judges: `ModelJudge(model=…).bound(complete)`.
    """
    parsed = parse_reference(reference)
    judge = _JUDGE_OF.get(parsed.kind)
    if judge is None:
        reason = f"there is no judge for references of kind {parsed.kind} yet"
        return Verdict(by=parsed.kind, version=0, outcome="unknown", cause="permanent", reason=reason)
    return judge(kind=_kind_of(judge)).judge(completion, parsed, prompt)


def _kind_of(judge: type[Judge]) -> str:
    return str(judge.model_fields["kind"].default)
