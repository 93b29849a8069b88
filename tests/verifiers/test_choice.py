"""Choices: ways to name an option that the table of cases does not spell out, and places of the evidence."""

import json

import pytest

from verifiers import Choice, parse_reference

OPTIONS = ["1 m", "2 m", "a cat", "none of these"]
# {x} is chosen, {y} is not
CHOSEN = [
    "The answer is {x}, not {y}.",
    "{y} is wrong, {x} is right.",
    "The answer is {y}. No wait, it is {x}.",
    "\\boxed{{{y}}}\n\nWait, that is wrong. The answer is {x}.",
    "I'd go with {x} because {y} is too large.",
    "**{x}**\n\n{y} cannot be, as it is negative.",
    "{y}错误，所以选{x}。",
]


def judged(completion, value, options=OPTIONS):
    reference = parse_reference({"kind": "choice", "value": value, "options": list(options)})
    return Choice().judge(completion, reference)


@pytest.mark.parametrize("way", CHOSEN)
@pytest.mark.parametrize("letters", ["AB", "BA", "CD", "DC", "AD"])
def test_the_chosen_letter_counts_and_the_other_does_not(way, letters):
    chosen, other = letters
    completion = way.format(x=chosen, y=other)
    assert judged(completion, chosen).outcome == "pass", completion
    assert judged(completion, other).outcome == "fail", completion


def test_the_reason_names_both_letters():
    verdict = judged("The answer is C.", "B")
    assert (verdict.outcome, verdict.reason) == ("fail", "chose C, right is B")
    assert (verdict.extracted, verdict.span) == ("C", (14, 15))


def test_a_changed_mind_is_the_evidence():
    completion = "\\boxed{B}. Wait, no, C."
    verdict = judged(completion, "C")
    assert verdict.outcome == "pass"
    assert "C" in completion[slice(*verdict.span)]
    assert completion[slice(*verdict.span)] == verdict.extracted


def test_ten_options_are_usual_and_more_than_letters_are_a_fault_of_the_reference():
    options = [f"number {n}" for n in range(26)]
    assert judged("The answer is J.", "J", options[:10]).outcome == "pass"
    assert judged("The answer is Z.", "Z", options).outcome == "pass"
    verdict = judged("The answer is A.", "A", [*options, "one more"])
    assert (verdict.outcome, verdict.cause) == ("unknown", "permanent")


def test_options_of_mmlu_by_their_text(shared_data):
    lines = (shared_data / "mmlu_stem" / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    wrong = []
    for row in map(json.loads, lines):
        options, right = row["choices"], row["answer"]
        if len(set(options)) < len(options):
            continue
        for place, option in enumerate(options):
            outcome = judged(f"The correct answer is {option}.", "ABCDEFGHIJ"[right], options).outcome
            if outcome != ("pass" if place == right else "fail"):
                wrong.append((option, options, outcome))
    assert wrong == []
