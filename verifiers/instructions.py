"""Judge whether an answer follows instructions that a rule can check, as IFEval does (Zhou et al. 2023, 2311.07911).

In: a completion and an `InstructionsReference`: ids of IFEval with their parameters. Out: pass if the answer, what
follows the reasoning, follows all of them, fail if it breaks one; unknown if an instruction is not one of the 25 kinds,
its parameters cannot be read or the language asked for cannot be told. An empty answer follows nothing. Whether the
answer is any good is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from verifiers.extract import split_reasoning
from verifiers.instruction_kinds import CHECKS, Check
from verifiers.instruction_text import UnreadableInstruction
from verifiers.reference import Instruction, InstructionsReference, Reference
from verifiers.verdict import Judge, Messages, Verdict


class Instructions(Judge):
    """Check every instruction of the reference.

    Example:
        >>> reference = InstructionsReference(instructions=[{"id": "punctuation:no_comma"}])
        >>> Instructions().judge("Yes, it is.", reference).reason
        '0 of 1 instructions are followed; punctuation:no_comma: commas: 1'
    """

    kind: Literal["instructions"] = "instructions"
    """Name of the judge."""
    loose: bool = False
    """Whether an instruction also counts as followed if it is in the answer without its first line, its last line, its
    asterisks, or several of these (IFEval's loose accuracy)."""
    score: Literal["all", "share"] = "all"
    """What the score is: 1 if all are followed and else 0 (IFEval's prompt-level accuracy), or their share (the mean of
    which, weighted by their number, is its instruction-level accuracy). The outcome is that of all in either case."""

    version: ClassVar[int] = 1

    def prepare(self) -> None:
        """Import CLD2."""
        import pycld2  # noqa: F401

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del prompt
        if not isinstance(reference, InstructionsReference):
            given = "no reference" if reference is None else f"a reference of kind {reference.kind}"
            return self._unknown(f"instructions need a reference of kind instructions, there is {given}")
        unknown = [instruction.id for instruction in reference.instructions if instruction.id not in CHECKS]
        if unknown:
            return self._unknown(f"no instruction is called {unknown[0][:80]!r}; there are the {len(CHECKS)} of IFEval")
        answer = split_reasoning(completion).answer
        try:
            checks = [self._checked(instruction, answer or "") for instruction in reference.instructions]
        except UnreadableInstruction as error:
            return self._unknown(str(error))
        if not (answer or "").strip():
            reason = "the reasoning never ends" if answer is None else "there is no answer"
            return self._decide(passed=False, reason=reason)
        return self._said(reference, checks)

    def _checked(self, instruction: Instruction, answer: str) -> Check:
        check, given = CHECKS[instruction.id], instruction.parameters
        strict = check(answer, given)
        if strict.followed or not self.loose:
            return strict
        for variant in _variants(answer):
            if variant.strip() and (found := check(variant, given)).followed:
                return found
        return strict

    def _said(self, reference: InstructionsReference, checks: list[Check]) -> Verdict:
        named = [(instruction.id, check) for instruction, check in zip(reference.instructions, checks, strict=True)]
        followed = sum(check.followed is True for check in checks)
        is_open = any(check.followed is None for check in checks)
        broken = "; ".join(f"{kind}: {check.found}" for kind, check in named if not check.followed)
        reason = f"{followed} of {len(checks)} instructions are followed" + (f"; {broken}" if broken else "")
        if is_open and (self.score == "share" or not any(check.followed is False for check in checks)):
            return self._unknown(reason)
        score = followed / len(checks) if self.score == "share" else float(followed == len(checks))
        outcome: Literal["pass", "fail"] = "pass" if followed == len(checks) else "fail"
        return self._verdict(outcome=outcome, reason=reason, score=score)


def _variants(answer: str) -> Iterator[str]:
    """Yield the texts that loose accuracy also looks at: without first line, last line, both; without asterisks."""
    without_first = answer.partition("\n")[2].strip()
    without_last = answer.rpartition("\n")[0].strip()
    without_both = without_last.partition("\n")[2].strip()
    for text in (answer, without_first, without_last, without_both):
        if text is not answer:
            yield text
        yield text.replace("*", "")
