"""References: every form that files hold, and the sentences that refuse the others."""

import pytest

from verifiers import parse_reference, reference_json

# as given, in canonical form
FORMS = [
    ("18", {"kind": "answer", "value": "18"}),
    (18, {"kind": "answer", "value": "18"}),
    (1.5, {"kind": "answer", "value": "1.5"}),
    ({"kind": "answer", "value": 4}, {"kind": "answer", "value": "4"}),
    ({"kind": "answer", "value": "四"}, {"kind": "answer", "value": "四"}),
    ({"kind": "choice", "value": "B", "options": []}, {"kind": "choice", "value": "B"}),
    ({"kind": "choice", "value": "B", "options": ["x", "y"]}, {"kind": "choice", "value": "B", "options": ["x", "y"]}),
    (
        {"kind": "puzzle", "family": "chain_sum", "entry": {"answer": "4", "metadata": {"n": [1, None]}}},
        {"kind": "puzzle", "family": "chain_sum", "entry": {"answer": "4", "metadata": {"n": [1, None]}}},
    ),
    (
        {
            "kind": "tests",
            "language": "python",
            "mode": "stdin",
            "tests": [{"input": "1", "output": "2"}],
            "time_limit": 6,
            "checker": "tokens",
        },
        {"kind": "tests", "mode": "stdin", "tests": [{"input": "1", "output": "2"}]},
    ),
    (
        {"kind": "tests", "mode": "asserts", "tests": ["assert f(1) == 2"], "setup": "import math"},
        {"kind": "tests", "mode": "asserts", "tests": ["assert f(1) == 2"], "setup": "import math"},
    ),
    (
        {"kind": "tests", "mode": "function", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]},
        {"kind": "tests", "mode": "function", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]},
    ),
    (
        {"kind": "tests", "mode": "script", "entry_point": "f", "test": "def check(f): ..."},
        {"kind": "tests", "mode": "script", "entry_point": "f", "test": "def check(f): ..."},
    ),
    ({"kind": "rubric", "criteria": ["kind"]}, {"kind": "rubric", "criteria": ["kind"]}),
    (
        {"kind": "instructions", "instructions": [{"id": "a", "num_words": 3, "relation": None}]},
        {"kind": "instructions", "instructions": [{"id": "a", "num_words": 3}]},
    ),
    (
        {"kind": "instructions", "instruction_id_list": ["a", "b"], "kwargs": [{"n": 3, "word": None}, {}]},
        {"kind": "instructions", "instructions": [{"id": "a", "n": 3}, {"id": "b"}]},
    ),
]

REFUSED = [
    (None, "not None"),
    (True, "not True"),
    (["4"], "not ['4']"),
    ("", "`value`"),
    (float("nan"), "finite"),
    ({"value": "4"}, "needs a `kind`"),
    ({"kind": "answr", "value": "4"}, "called 'answr'"),
    ({"kind": "answer"}, "`value`"),
    ({"kind": "answer", "value": "4", "valeu": "5"}, "`valeu`"),
    ({"kind": "choice", "value": ["A"]}, "`value`"),
    ({"kind": "tests", "mode": "telepathy"}, "`mode`"),
    ({"kind": "instructions"}, "`instructions`"),
    ({"kind": "instructions", "instructions": []}, "`instructions`"),
    ({"kind": "instructions", "instructions": [{"num_words": 3}]}, "`instructions.0.id`"),
    ({"kind": "instructions", "instruction_id_list": ["a"], "kwargs": []}, "same length"),
]


@pytest.mark.parametrize(("given", "canonical"), FORMS)
def test_forms(given, canonical):
    reference = parse_reference(given)
    assert reference_json(reference) == canonical
    assert parse_reference(canonical) == reference
    assert parse_reference(reference) is reference


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_refused_with_a_sentence(given, said):
    with pytest.raises(ValueError) as error:
        parse_reference(given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_object_written_as_json_is_that_object() -> None:
    """A corpus's own column `reference`."""
    assert parse_reference('{"kind": "answer", "value": "x+1"}') == parse_reference({"kind": "answer", "value": "x+1"})
    assert parse_reference("{1, 2}").value == "{1, 2}"  # type: ignore[union-attr]
    assert parse_reference('{"a": 1}').value == '{"a": 1}'  # type: ignore[union-attr]


def test_a_reward_without_references_is_an_error_and_no_silent_none() -> None:
    from verifiers import Format, MathAnswer

    with pytest.raises(TypeError, match="needs a column `reference`"):
        MathAnswer()(["4"], solution=["4"])
    assert MathAnswer()(["\\boxed{4}"], reference=['{"kind": "answer", "value": "4"}']) == [1.0]
    assert Format()(["<think>a</think>b"]) == [1.0]
