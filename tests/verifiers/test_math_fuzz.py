"""The math judge on 20,000 random answers: always a verdict, and the laws that equality obeys.

`python benchmarks/math_fuzz.py` is the same for hours.
"""

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from math_grammar import TOKENS, junk, mutate, spell, spell_integer, thing, tree, wrapped

from verifiers import MathAnswer, parse_reference

JUDGE = MathAnswer()
SEEDS = st.integers(min_value=0, max_value=2**48).map(Random)
TEXTS = st.lists(st.sampled_from(TOKENS) | st.characters(), max_size=25).map("".join)


def examples(count):
    return settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


def judged(reference, completion):
    """Judge and look whether the verdict is one at all."""
    reference = reference.encode("utf-8", "ignore").decode() or "0"  # a reference with half a character is refused
    verdict = JUDGE.judge(completion, parse_reference({"kind": "answer", "value": reference}))
    assert verdict.outcome in ("pass", "fail", "unknown")
    assert "raised" not in verdict.reason, verdict.reason
    if verdict.span is not None and verdict.extracted is not None:
        start, end = verdict.span
        assert completion[start:end].startswith(verdict.extracted[:20])
    return verdict


def boxed(answer):
    return f"\\boxed{{{answer}}}"


@examples(4000)
@given(TEXTS, TEXTS)
def test_any_text_gets_a_verdict(reference, completion):
    judged(reference, completion)


@examples(4000)
@given(SEEDS)
def test_any_run_of_latex_gets_a_verdict(random):
    reference = junk(random) if random.random() < 0.3 else thing(random)[0]
    judged(reference, wrapped(junk(random), random))


@examples(4000)
@given(SEEDS)
def test_any_damaged_answer_gets_a_verdict(random):
    reference, answer = thing(random)
    judged(reference, wrapped(mutate(answer, random), random))
    judged(mutate(reference, random), boxed(answer))


@examples(2500)
@given(SEEDS)
def test_every_answer_equals_itself_in_another_spelling(random):
    reference, answer = thing(random)
    verdict = judged(reference, boxed(answer))
    assert verdict.outcome == "pass", (reference, answer, verdict.reason)


@examples(1500)
@given(SEEDS)
def test_equality_of_exact_answers_is_symmetric(random):
    one, other = thing(random)[0], thing(random)[1]
    if random.random() < 0.5:
        made = tree(random, 2)
        one, other = spell(made, random), mutate(spell(made, random), random)
    there, back = judged(one, boxed(other)), judged(other, boxed(one))
    if "." not in one + other and "unknown" not in (there.outcome, back.outcome):
        assert is_broken(other) or there.outcome == back.outcome, (one, other, there.reason, back.reason)


def is_broken(text):
    """Say whether a damaged text is no answer any more; nothing is symmetric about those."""
    marks = "⏎\\text\\boxed</>#$*`\x00,;:!?%~&'\""
    return (
        not text.strip()
        or text.count("{") != text.count("}")
        or any(mark in text for mark in marks)
        or not text.isascii()
    )


@examples(2000)
@given(SEEDS)
def test_integers_are_equal_only_to_themselves(random):
    size = random.choice([10, 1000, 10**6, 10**12, 10**40])
    number = random.randint(-size, size)
    other = number + random.choice([-10, -2, -1, 1, 2, 9, 10, 1000]) if random.random() < 0.8 else -number - 1
    same, wrong = spell_integer(number, random), spell_integer(other, random)
    assert judged(str(number), boxed(same)).outcome == "pass", (number, same)
    assert judged(str(number), boxed(wrong)).outcome != "pass", (number, wrong)
    assert judged(wrong, boxed(same)).outcome != "pass", (wrong, same)


@examples(2000)
@given(SEEDS)
def test_one_more_is_never_the_same_and_an_identity_never_a_difference(random):
    made = tree(random, 2)
    reference = spell(made, random)
    more = spell(("add", made, ("int", random.choice([1, 2, 10**6]))), random)
    assert judged(reference, boxed(more)).outcome != "pass", (reference, more)
    one = ("int", random.randint(1, 9))
    same = random.choice(
        [
            ("sub", ("add", made, one), one),
            ("frac", ("mul", made, one), one),
            ("neg", ("neg", made)),
            ("add", ("int", 0), made),
            ("mul", ("frac", one, one), made),
        ]
    )
    assert judged(reference, boxed(spell(same, random))).outcome != "fail", (reference, spell(same, random))
