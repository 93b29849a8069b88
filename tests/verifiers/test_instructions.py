"""Instructions: rows of IFEval as they are, loose and shared scores, and a case of each kind."""

import pytest
from judge_cases import instructions, table_rows

from verifiers import Instructions, parse_reference, verify
from verifiers.instruction_kinds import CHECKS
from verifiers.instruction_text import count_sentences, count_words


def judged(answer, text, **configuration):
    return Instructions(**configuration).judge(answer, parse_reference(instructions(text)))


def test_each_kind_has_a_case_that_follows_it_and_one_that_does_not():
    shown = {(kind, row[0]) for row in table_rows("instruction_cases") for kind in CHECKS if kind in row[1]}
    assert len(CHECKS) == 25
    assert {kind for kind in CHECKS if not {(kind, "pass"), (kind, "fail")} <= shown} == set()


def test_a_row_of_the_dataset_loads_as_it_is():
    kwargs = [
        {"num_words": 3, "relation": "at least", "keywords": None, "num_highlights": None},
        {"num_words": None, "relation": None, "keywords": ["cat"], "num_highlights": None},
    ]
    ids = ["length_constraints:number_words", "keywords:existence"]
    row = {"kind": "instructions", "instruction_id_list": ids, "kwargs": kwargs}
    assert verify("the cat sat", row).outcome == "pass"
    assert verify("the dog sat", row).outcome == "fail"


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        ("Sure, here it is:\none two", '[["punctuation:no_comma", {}]]'),
        ("one two\nHope this helps, friend.", '[["punctuation:no_comma", {}]]'),
        ("Sure, yes:\none two\nBye, bye.", '[["punctuation:no_comma", {}]]'),
        ('**"All of it."**', '[["startend:quotation", {}]]'),
        ('Here:\n**"All of it."**\nBye', '[["startend:quotation", {}]]'),
    ],
)
def test_loose_forgives_a_first_line_a_last_line_and_asterisks(answer, given):
    assert judged(answer, given).outcome == "fail"
    assert judged(answer, given, loose=True).outcome == "pass"


def test_loose_forgives_nothing_else():
    assert judged("one, two\nthree, four\nfive, six", '[["punctuation:no_comma", {}]]', loose=True).outcome == "fail"
    assert judged("one, two", '[["punctuation:no_comma", {}]]', loose=True).outcome == "fail"
    assert judged("", '[["punctuation:no_comma", {}]]', loose=True).outcome == "fail"


def test_the_score_is_all_or_nothing_or_the_share():
    given = '[["punctuation:no_comma", {}], ["startend:quotation", {}], ["detectable_format:title", {}]]'
    strict, share = judged("one <<two>>", given), judged("one <<two>>", given, score="share")
    assert (strict.outcome, strict.score) == (share.outcome, 0.0) == ("fail", 0.0)
    assert share.score == pytest.approx(2 / 3)
    assert Instructions(score="share").reward(share) == pytest.approx(2 / 3)
    assert share.reason.startswith("2 of 3 instructions are followed; startend:quotation")


def test_a_language_that_cannot_be_told_is_unknown_unless_another_instruction_is_broken():
    language = '["language:response_language", {"language": "de"}]'
    assert judged("xq zt", f"[{language}]").outcome in ("unknown", "fail")
    assert judged("xq, zt", f'[{language}, ["punctuation:no_comma", {{}}]]').outcome == "fail"


@pytest.mark.parametrize(
    ("text", "sentences", "words"),
    [
        ("", 0, 0),
        ("One.", 1, 1),
        ("No mark at the end", 1, 5),
        ("Dr. J. Smith paid 3.50 at 5 p.m. today. Then he left!", 2, 14),
        ("1. One item.\n2. Another item.", 2, 6),
        ("Really?! Yes… No.", 3, 3),
        ('He said "Stop." Then he left.', 2, 6),
        ("你好。再见！", 2, 4),
        ("It is no. Then we go.", 2, 6),
    ],
)
def test_sentences_and_words(text, sentences, words):
    assert (count_sentences(text), count_words(text)) == (sentences, words)
