"""Loops: decided as vLLM decides, found in time wherever they are planted, and never seen in ordinary text."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from factory.policy.loops import first_repetition, repeats
from factory.policy.protocol import LoopCut

pytest.importorskip("tokenizers")

CUT = LoopCut()
TOKENIZERS = ("micro", "bpe", "characters")


@pytest.fixture(scope="module")
def bench():
    """The benchmark, which plants the loops that are tested here."""
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "loop_cut.py"
    spec = importlib.util.spec_from_file_location("loop_cut", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look their own module up
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def texts(bench):
    if not bench.DATA.is_dir():
        pytest.skip(f"no real data at {bench.DATA}")
    return bench.real_texts()


@pytest.fixture(scope="module")
def encoders(bench, texts):
    return bench.tokenizers_of(texts)


def sequences(count):
    """Yield short sequences of few tokens that repeat themselves more or less, with a cut of about their size."""
    rng = random.Random(5)
    for _ in range(count):
        low = rng.randint(1, 8)
        cut = LoopCut(min_pattern_size=low, max_pattern_size=rng.randint(low, 12), min_count=rng.randint(2, 6))
        pattern = [rng.randint(0, 2) for _ in range(rng.randint(1, 14))]
        tokens = [rng.randint(0, 3) for _ in range(rng.randint(0, 20))] + pattern * rng.randint(0, 7)
        tokens += pattern[: rng.randint(0, len(pattern))] + [rng.randint(0, 3) for _ in range(rng.randint(0, 3))]
        yield tokens, cut


def test_it_decides_as_vllm_does(bench):
    check = bench.vllm_check()
    if check is None:
        pytest.skip("vllm is not installed: there is nothing to compare with")
    outcomes = [(repeats(tokens, cut), check(tokens, cut)) for tokens, cut in sequences(8000)]
    assert all(ours == theirs for ours, theirs in outcomes)
    assert 400 < sum(ours for ours, _ in outcomes) < 4000


def test_the_first_repetition_is_where_the_check_first_holds():
    rng = random.Random(6)
    found = 0
    for tokens, cut in sequences(2000):
        start = rng.randint(0, len(tokens))
        ends = (end for end in range(start, len(tokens) + 1) if repeats(tokens[:end], cut))
        expected = next(ends, None)
        assert first_repetition(tokens, cut, start=start) == expected, (tokens, cut, start)
        found += expected is not None
    assert found > 200


# pattern, tokens after which it is cut
FIRST = [
    ("a", 24 * 7),
    ("ab", 24 * 7),
    ("abcde", 25 * 7),
    ("abcdefghijklmnopqrstuvwx", 24 * 7),
    ("".join(chr(0x4E00 + i) for i in range(23)), 46 * 7),
    ("".join(chr(0x4E00 + i) for i in range(64)), 64 * 7),
    ("".join(chr(0x4E00 + i) for i in range(65)), None),
]


@pytest.mark.parametrize(("pattern", "end"), FIRST)
def test_a_loop_of_any_period_is_cut_by_a_multiple_of_it(pattern, end):
    assert first_repetition(pattern * 168, CUT) == end
    if end is not None:
        before = "0123456789"
        assert first_repetition(before + pattern * 168, CUT) == len(before) + end
        assert not repeats((before + pattern * 168)[: len(before) + end - 1], CUT)
        assert repeats((before + pattern * 168)[: len(before) + end], CUT)


def test_nothing_and_little_is_no_loop():
    assert not repeats([], CUT)
    assert first_repetition([], CUT) is None
    assert first_repetition(["x"] * 167, CUT) is None


def test_pieces_of_text_are_tokens_too():
    assert first_repetition(["Wait", ",", " no", "."] * 60, CUT) == 168
    assert first_repetition(("Wait", ",", " no", ".") * 60, CUT) == 168


@pytest.mark.parametrize("name", TOKENIZERS)
def test_planted_loops_are_cut_in_time(bench, texts, encoders, name):
    loops = list(bench.planted_loops(texts, encoders[name], each=4))
    assert {loop.period for loop in loops} >= set(range(10, 65))
    assert all(share >= 0.95 for share in bench.shares(loops).values()), bench.shares(loops)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_models_are_seen_to_repeat_is_cut_in_time(bench, texts, encoders, name):
    loops = list(bench.looping_phrases(texts, encoders[name]))
    assert len(loops) >= 0.9 * len(bench.PHRASES)
    late = [(loop.period, loop.lateness) for loop in loops if not loop.is_found]
    assert len(late) <= 0.05 * len(loops), late


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_real_completion_is_cut_but_those_that_are_loops(bench, texts, encoders, name):
    assert_none_is_cut(bench, [text for kind in texts.values() for text in kind[::4]], encoders[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
def test_none_of_all_real_completions_is_cut_but_those_that_are_loops(bench, texts, encoders, name):
    real = [text for kind in texts.values() for text in kind]
    assert_none_is_cut(bench, real, encoders[name])
    assert sum(bench.RUNAWAY.search(text) is not None for text in real) < 10


@pytest.mark.parametrize("name", TOKENIZERS)
def test_no_ordinary_completion_is_cut(bench, encoders, name):
    assert_none_is_cut(bench, [bench.compose(i) for i in range(150)], encoders[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
def test_none_of_many_ordinary_completions_is_cut(bench, encoders, name):
    assert_none_is_cut(bench, [bench.compose(i) for i in range(10_000)], encoders[name])


def assert_none_is_cut(bench, completions, encode):
    for text in completions:
        end = first_repetition(encode(text), CUT)
        assert end is None or bench.RUNAWAY.search(text), (end, text)


def test_the_ordinary_completions_are_hard(bench):
    """A cut after six repetitions of any size, or after eighty tokens of pure repetition, would take many of them."""
    completions = [bench.compose(i) for i in range(100)]
    for eager in (LoopCut(min_pattern_size=1, min_count=6), LoopCut(min_pattern_size=20, min_count=4)):
        assert sum(first_repetition(text, eager) is not None for text in completions) > 30


def test_a_composed_completion_depends_on_its_seed_only(bench):
    assert bench.compose(7) == bench.compose(7)
    assert len({bench.compose(i) for i in range(100)}) == 100


@pytest.mark.parametrize("joint", [" ", "\n", "\n\n"])
def test_loops_of_paragraphs_are_found_by_the_judge(bench, joint):
    paragraph = (
        "Let us look at the equation once more and see whether each of its two sides can be even at the same time. "
        "If the left side is even, then one of the three factors must be even, and we have seen above that none is. "
        "So the right side would have to be odd as well, which it is only where the number we began with is a square. "
        "That brings us back to the beginning, and we have to look at the remaining case in which it is no square."
    )
    text = "<think>\nFirst we factor it.\n" + (paragraph + joint) * 5
    assert first_repetition(text.split(" "), CUT) is None
    assert bench.is_found_by_judge(text)
    assert not bench.is_found_by_judge("<think>\nFirst we factor it.\n" + (paragraph + joint) * 2)


def test_loops_of_long_paragraphs_are_found_by_the_judge(bench, texts):
    paragraphs = list(bench.paragraph_loops(texts, count=60))
    assert sum(bench.is_found_by_judge(text) for text in paragraphs) >= 0.95 * len(paragraphs)
