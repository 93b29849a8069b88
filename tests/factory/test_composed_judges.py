"""Composed judges in recipes: identity, where they apply, what is said of a wrong one."""

import pytest
from pydantic import TypeAdapter, ValidationError

from factory.errors import RecipeError
from factory.identity import judge_fingerprint, judge_json
from factory.judging import JudgeUse
from factory.ledger import Ledger
from factory.recipe import load
from verifiers import AllOf, AnyJudge, AnyOf, Cascade, Choice, Format, MathAnswer


def test_the_whole_is_identified_by_its_parts(monkeypatch):
    judge = AllOf(of=(Format(), AnyOf(of=(MathAnswer(), Choice()))))
    same = TypeAdapter(AnyJudge).validate_python(judge.model_dump())
    assert same == judge
    assert hash(same) == hash(judge)
    before = judge_fingerprint(judge)
    assert judge_fingerprint(same) == before
    assert judge_json(judge)["of"][1] == {"kind": "any", "of": [{"kind": "math_answer"}, {"kind": "choice"}]}
    others = [
        AllOf(of=(Format(require_boxed=True), *judge.of[1:])),
        AllOf(of=judge.of[::-1]),
        AnyOf(of=judge.of),
        Cascade(of=judge.of),
        Cascade(of=judge.of, after="fail"),
    ]
    assert len({before, *map(judge_fingerprint, others)}) == 6
    monkeypatch.setattr(Choice, "version", Choice.version + 1)  # a part of a part
    assert judge_fingerprint(judge) != before


WRONG = [
    ({"kind": "all", "of": []}, "at least one judge"),
    ({"kind": "all"}, "of"),
    ({"kind": "any", "of": [{"kind": "mathanswer"}]}, "did you mean 'math_answer'"),
    ({"kind": "any", "of": [{"kind": "format", "colour": "red"}]}, "colour"),
    ({"kind": "all", "of": [{"kind": "any", "of": [{"kind": "language"}]}]}, "language only measures"),
    ({"kind": "cascade", "of": [{"kind": "format"}], "after": "pass"}, "'unknown' or 'fail'"),
]


@pytest.mark.parametrize(("judge", "said"), WRONG)
def test_a_wrong_composition_in_a_recipe_is_told(judge, said, workplace):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyJudge).validate_python(judge)
    with pytest.raises(RecipeError, match=said) as caught:
        load(workplace.write(verify=[judge]))
    assert "tiny.yaml:1" in str(caught.value)


def test_a_composed_judge_applies_where_any_of_its_judges_does():
    use = JudgeUse.model_validate({"kind": "any", "of": [{"kind": "math_answer"}, {"kind": "choice"}]})
    applies = [use.applies_to("math", kind) for kind in ("answer", "choice", "puzzle", None)]
    assert applies == [True, True, False, False]
    assert JudgeUse(judge=AllOf(of=(Format(),))).applies_to("math", None)


def test_a_recipe_judges_and_filters_by_a_composed_judge(workplace):
    judge = {"kind": "cascade", "of": [{"kind": "math_answer"}, {"kind": "choice"}, {"kind": "format"}]}
    workplace.write(verify=[{**judge, "compare": True}], filter=[{"kind": "rejected", "by": ["cascade"]}])
    assert workplace.run().corpus is not None
    verdicts = Ledger.open(workplace.ledger).snapshot().scan("verdicts").collect()
    assert verdicts.height == 48  # twelve problems, four completions, one judge
    assert set(verdicts["by"]) == {"cascade"}
    assert sorted(set(verdicts["outcome"])) == ["fail", "pass"]
    assert verdicts.filter(outcome="fail")["reason"].str.ends_with("; format disagrees").all()
