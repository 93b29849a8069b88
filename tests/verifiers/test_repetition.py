"""Loops: which unit, where it stands, and what is none."""

import json

import pytest

from verifiers import Repetition

PARAGRAPH = "".join(f"Sentence {n} says something new. " for n in range(80)).strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Well. the the the the end", "(words, from character 6 to 21 of 25)"),
        ("So.\nAgain.\nAgain.\nAgain.\n", "(lines, from character 4 to 24 of 25)"),
        ("So. Once more it goes. Once more it goes.", "(sentences, from character 4 to 41 of 41)"),
        ("First.\n\nOne a.\nTwo b.\n\nOne a.\nTwo b.", "(paragraphs, from character 8 to 36 of 36)"),
    ],
)
def test_the_reason_tells_the_unit_and_the_place(text, said):
    verdict = Repetition().judge(text)
    assert verdict.reason.endswith(said), verdict.reason
    assert text[slice(*verdict.span)] == verdict.extracted


def test_paragraphs_of_more_sentences_than_a_unit_of_sentences_has():
    a_b = f"{PARAGRAPH}\n\nAnother one{PARAGRAPH[10:]}\n\n"
    assert Repetition().judge(f"{PARAGRAPH} \n\n" * 4).score == 4.0
    assert Repetition().judge(a_b * 3).score == 3.0


def test_numbers_are_ignored_only_on_request():
    text = "".join(f"Case {n}: the sum is {n * n}.\n" for n in range(1, 11))
    assert Repetition().judge(text).score == 1.0
    assert Repetition(ignore_numbers=True).judge(text).score == 10.0
    table = "".join(f"{n} | {n * n} | {n**3}\n" for n in range(1, 8))
    assert Repetition(ignore_numbers=True).judge(table).score == 1.0


def test_real_solutions_are_seldom_loops(shared_data):
    lines = (shared_data / "math" / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    found = [Repetition().judge(json.loads(line)["solution"]) for line in lines]
    assert sum(verdict.score > 3 for verdict in found) <= len(found) / 500
