"""Judges made of judges: all of them, any of them, or one after the other until one knows.

In: a completion, its reference and prompt, as for any judge. Out: one verdict whose reason names the part that decided,
and in `parts` what each part said. A part that reads references of another kind than the one given is left out. A part
must decide: one that only measures has no pass to count. The parts share one deadline, the sum of theirs, so a hung
part makes the whole unknown: write the cheap ones first, and what they decide is never waited for. Where a part asks a
model the whole runs in the calling process, and each rule in a worker of its own with its own deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ValidatorFunctionWrapHandler, WrapValidator, field_validator

from verifiers.model_bound import asking_parts
from verifiers.reference import Reference
from verifiers.verdict import Judge, JudgeUnusable, Messages, Outcome, Verdict
from verifiers.workers import judge_apart

if TYPE_CHECKING:
    from verifiers import AnyJudge

REFERENCE_KINDS = {
    "math_answer": "answer",
    "code_tests": "tests",
    "choice": "choice",
    "puzzle": "puzzle",
    "instructions": "instructions",
}
"""The kind of reference that each judge with a reference reads. One that is not named here reads any."""

_SEVERAL = {"model_judge": ("answer", "choice", "puzzle", "rubric")}
"""The kinds of a judge that reads several."""


def reads_reference(judge: Judge, reference_kind: str | None) -> bool:
    """Tell whether a judge has something to say where the reference is of this kind; None where there is none."""
    if not judge.uses_reference:
        return True
    leaves = [leaf.kind for leaf in judge.leaves() if leaf.uses_reference]
    return any(reference_kind in _SEVERAL.get(kind, (REFERENCE_KINDS.get(kind, reference_kind),)) for kind in leaves)


def _as_it_is(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Take a judge object as it is, also one of a class that no recipe knows."""
    return value if isinstance(value, Judge) else validate(value)


class _Composed(Judge):
    """What the three have in common."""

    of: tuple[Annotated[AnyJudge, WrapValidator(_as_it_is)], ...]
    """The judges, in the order in which they are asked."""

    own_version: ClassVar[int] = 1
    """Version of the way in which verdicts are put together."""

    @field_validator("of")
    @classmethod
    def _each_decides(cls, of: tuple[Judge, ...]) -> tuple[Judge, ...]:
        if not of:
            raise ValueError("at least one judge is needed")
        for part in of:
            if not part.decides:
                raise ValueError(f"{part.kind} only measures, so its pass decides nothing; filter by its score instead")
        return of

    @property
    def version(self) -> int:  # type: ignore[override]  # a part that changes its mind changes the whole's
        """Sum of the parts' versions and our own: versions only rise, so this rises with each of them."""
        return self.own_version + sum(part.version for part in self.of)

    @property
    def uses_reference(self) -> bool:  # type: ignore[override]
        """Whether any part uses one."""
        return any(part.uses_reference for part in self.of)

    @property
    def deadline_s(self) -> float:  # type: ignore[override]
        """Sum of the parts' deadlines."""
        return sum(part.deadline_s for part in self.of)

    def leaves(self) -> tuple[Judge, ...]:
        """Return the judges that are asked in the end."""
        return tuple(leaf for part in self.of for leaf in part.leaves())

    @property
    def runs_here(self) -> bool:  # type: ignore[override]
        """Whether any part asks a model."""
        return any(part.runs_here for part in self.of)

    def mapped(self, change: Callable[[Judge], Judge]) -> Judge:
        """Return the same composition of what `change` makes of each leaf."""
        return self.model_copy(update={"of": tuple(part.mapped(change) for part in self.of)})

    def prepare(self) -> None:
        """Import what the parts need."""
        for leaf in self.leaves():
            leaf.prepare()

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        kind = None if reference is None else reference.kind
        asked = [part for part in self.of if reference is None or reads_reference(part, kind)]
        if self.uses_reference and not any(part.uses_reference for part in asked):
            return self._unknown(f"none of its judges reads a reference of kind {kind}")
        for leaf in asking_parts(self):
            leaf.check()  # at the first text, not at the first that comes to it
        return self._composed(self._said(part, completion, reference, prompt) for part in asked)

    def _said(self, part: Judge, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        """Ask a part: a rule beside a model, in this process without a deadline, goes to a worker."""
        if part.runs_here or not self.runs_here:
            return part.judge(completion, reference, prompt)
        try:
            return judge_apart(part, completion, reference, prompt)
        except (RuntimeError, TypeError) as error:  # no worker can judge by it
            raise JudgeUnusable(f"{part.kind} cannot be judged in a worker: {error}") from error

    def _composed(self, said: Iterator[Verdict]) -> Verdict:
        """Put verdicts together; taking the next from `said` makes the next part judge."""
        raise NotImplementedError

    def _by(self, said: list[Verdict], decisive: Verdict, note: str = "") -> Verdict:
        """Say what the decisive part said, with what all parts said so far."""
        found = next((v for v in (decisive, *said) if v.extracted is not None), decisive)
        return self._verdict(
            outcome=decisive.outcome,
            reason=f"{decisive.by}: {decisive.reason}{note}",
            score=None if decisive.outcome == "unknown" else float(decisive.outcome == "pass"),
            cause=decisive.cause,
            extracted=found.extracted,
            span=found.span,
            parts=tuple((verdict.by, verdict.outcome) for verdict in said),
        )

    def _first_or_rest(self, said: Iterator[Verdict], decisive: Outcome) -> Verdict:
        """Stop at the first part with the decisive outcome; else it is unknown if any part is."""
        heard: list[Verdict] = []
        for verdict in said:
            heard.append(verdict)
            if verdict.outcome == decisive:
                return self._by(heard, verdict)
        unknown = [verdict for verdict in heard if verdict.outcome == "unknown"]
        if not unknown:
            rest = "".join(f"; {verdict.by}: {verdict.reason}" for verdict in heard[1:])
            return self._by(heard, heard[0], rest)
        # one that may be known next time makes the whole so
        return self._by(heard, min(unknown, key=lambda verdict: verdict.cause != "transient"))


class AllOf(_Composed):
    """Pass what all judges pass: fail at the first that fails, else unknown if any is.

    Example:
        >>> AllOf(of=(Format(), MathAnswer())).judge("\\\\boxed{4}", AnswerReference(value="4")).reason
        'format: 0 <think> and 0 </think>, where one each is asked for'
    """

    kind: Literal["all"] = "all"
    """Name of the judge."""

    def _composed(self, said: Iterator[Verdict]) -> Verdict:
        return self._first_or_rest(said, "fail")


class AnyOf(_Composed):
    """Pass what any judge passes: at the first that passes, else unknown if any is, else fail."""

    kind: Literal["any"] = "any"
    """Name of the judge."""

    def _composed(self, said: Iterator[Verdict]) -> Verdict:
        return self._first_or_rest(said, "pass")


class Cascade(_Composed):
    """Ask one judge after the other until one decides: a rule first, a dearer judge for what the rule leaves open."""

    kind: Literal["cascade"] = "cascade"
    """Name of the judge."""
    after: Literal["unknown", "fail"] = "unknown"
    """When the next is asked: after an unknown only, or after a fail too, where the next has the last word."""
    compare: bool = False
    """Ask the next also where the former has decided, and record in the reason whether it agrees; the verdict stays."""

    def _composed(self, said: Iterator[Verdict]) -> Verdict:
        heard: list[Verdict] = []
        chosen: Verdict | None = None
        is_final = False
        for verdict in said:
            heard.append(verdict)
            if not is_final:
                # an unknown after a fail leaves the fail; one that may be known next time makes the whole so
                if chosen is None or verdict.outcome != "unknown" or chosen.cause == "permanent":
                    chosen = verdict
                is_final = chosen.outcome == "pass" or (chosen.outcome == "fail" and self.after == "unknown")
            if is_final and not self.compare:
                break
        assert chosen is not None
        return self._by(heard, chosen, _agreement(heard, chosen) if self.compare else "")


def _agreement(heard: list[Verdict], chosen: Verdict) -> str:
    """Say what the other parts think of the chosen verdict, e.g. `; choice disagrees (fail)`."""
    notes = []
    for verdict in heard:
        if verdict is not chosen and chosen.outcome != "unknown":
            word = "agrees" if verdict.outcome == chosen.outcome else "disagrees"
            notes.append(f"; {verdict.by} {'does not know' if verdict.outcome == 'unknown' else word}")
    return "".join(notes)
