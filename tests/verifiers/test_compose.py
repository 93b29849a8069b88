"""Judges made of judges: three outcomes, and who decided."""

from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError

from verifiers import (
    AllOf,
    AnyOf,
    Cascade,
    Choice,
    Format,
    JudgePool,
    LanguageConsistency,
    MathAnswer,
    Repetition,
    Task,
    parse_reference,
)
from verifiers.compose import reads_reference
from verifiers.verdict import Judge


class Says(Judge):
    """Says what it is told to, and counts how often it is asked."""

    kind: Literal["says"] = "says"
    outcome: Literal["pass", "fail", "unknown", "later"]
    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False
    asked: ClassVar[list[str]] = []

    def _judge(self, completion, reference, prompt):
        self.asked.append(self.outcome)
        if self.outcome in ("unknown", "later"):
            return self._unknown(self.outcome, cause="transient" if self.outcome == "later" else "permanent")
        return self._decide(passed=self.outcome == "pass", reason=self.outcome)


# kind, what the parts say, then: the outcome, who is asked, the reason
COMPOSED = [
    (AllOf, "pass pass", "pass", 2, "says: pass; says: pass"),
    (AllOf, "pass fail pass", "fail", 2, "says: fail"),
    (AllOf, "unknown pass", "unknown", 2, "says: unknown"),
    (AllOf, "unknown fail", "fail", 2, "says: fail"),  # whatever the first is, the whole fails
    (AllOf, "pass unknown later", "unknown", 3, "says: later"),  # may be known the next time
    (AnyOf, "fail fail", "fail", 2, "says: fail; says: fail"),
    (AnyOf, "fail pass fail", "pass", 2, "says: pass"),
    (AnyOf, "unknown fail", "unknown", 2, "says: unknown"),
    (AnyOf, "unknown pass", "pass", 2, "says: pass"),
    (Cascade, "pass fail", "pass", 1, "says: pass"),
    (Cascade, "fail pass", "fail", 1, "says: fail"),
    (Cascade, "unknown pass", "pass", 2, "says: pass"),
    (Cascade, "unknown fail", "fail", 2, "says: fail"),
    (Cascade, "unknown later unknown", "unknown", 3, "says: later"),
]


@pytest.mark.parametrize(("kind", "parts", "outcome", "num_asked", "reason"), COMPOSED)
def test_outcomes(kind, parts, outcome, num_asked, reason):
    judge = kind(of=tuple(Says(outcome=part) for part in parts.split()))
    Says.asked.clear()
    verdict = judge.judge("text")
    assert (verdict.by, verdict.outcome, verdict.reason) == (judge.kind, outcome, reason)
    assert Says.asked == parts.split()[:num_asked]
    assert [said for _, said in verdict.parts] == [p.replace("later", "unknown") for p in Says.asked]
    assert verdict.score == {"pass": 1.0, "fail": 0.0, "unknown": None}[outcome]
    assert verdict.cause == ({"later": "transient"}.get(reason[-5:], "permanent") if outcome == "unknown" else None)


# after, compare, what the parts say, then: the outcome, who is asked, the reason
CASCADES = [
    ("fail", False, "fail pass", "pass", 2, "says: pass"),
    ("fail", False, "fail unknown", "fail", 2, "says: fail"),  # the next knows nothing better
    ("fail", False, "unknown fail pass", "pass", 3, "says: pass"),
    ("fail", False, "pass fail", "pass", 1, "says: pass"),
    ("unknown", True, "pass pass", "pass", 2, "says: pass; says agrees"),
    ("unknown", True, "pass fail unknown", "pass", 3, "says: pass; says disagrees; says does not know"),
    ("unknown", True, "unknown fail", "fail", 2, "says: fail; says does not know"),
    ("unknown", True, "unknown unknown", "unknown", 2, "says: unknown"),
    ("fail", True, "fail pass", "pass", 2, "says: pass; says disagrees"),
]


@pytest.mark.parametrize(("after", "compare", "parts", "outcome", "num_asked", "reason"), CASCADES)
def test_cascades(after, compare, parts, outcome, num_asked, reason):
    judge = Cascade(of=tuple(Says(outcome=part) for part in parts.split()), after=after, compare=compare)
    Says.asked.clear()
    verdict = judge.judge("text")
    assert (verdict.outcome, verdict.reason, len(Says.asked)) == (outcome, reason, num_asked)


def test_the_extracted_part_is_that_of_the_part_that_read_it():
    judge = AllOf(of=(Format(), MathAnswer()))
    text = "<think>2 + 2</think> \\boxed{4}"
    with JudgePool(1) as pool:
        there = pool.judge(Task(judge=judge, completion=text, reference=parse_reference("4")))
    here = judge.judge(text, parse_reference("4"))
    for verdict in (here, there):
        assert (verdict.outcome, verdict.extracted) == ("pass", "4")
        assert text[slice(*verdict.span)] == "4"
        assert verdict.parts == (("format", "pass"), ("math_answer", "pass"))
    assert judge.judge("\\boxed{4}", parse_reference("4")).reason.startswith("format: ")
    assert judge.reward(here) == 1.0


def test_parts_that_read_other_references_are_left_out():
    judge = AnyOf(of=(MathAnswer(), Choice(), Format()))
    assert [reads_reference(judge, kind) for kind in ("answer", "choice", "puzzle", None)] == [True, True, False, False]
    wrong = judge.judge("\\boxed{5}", parse_reference("4"))
    assert (wrong.outcome, [by for by, _ in wrong.parts]) == ("fail", ["math_answer", "format"])
    puzzle = parse_reference({"kind": "puzzle", "family": "chain_sum", "entry": {}})
    assert judge.judge("<think>a</think>5", puzzle).outcome == "unknown"
    assert judge.judge("<think>a</think>5", puzzle).cause == "permanent"


def test_a_part_that_changes_its_mind_changes_the_whole(monkeypatch):
    judge = AllOf(of=(Format(), AnyOf(of=(MathAnswer(), Choice()))))
    before = judge.version
    monkeypatch.setattr(Choice, "version", Choice.version + 1)  # a part of a part
    assert judge.version > before
    assert judge.judge("", parse_reference("4")).version == judge.version
    assert judge.deadline_s == Format.deadline_s + MathAnswer.deadline_s + Choice.deadline_s


def test_only_judges_that_decide_can_be_parts():
    for of in ((), (LanguageConsistency(),), (AnyOf(of=(Format(),)), Repetition())):
        with pytest.raises(ValidationError):
            AllOf(of=of)
