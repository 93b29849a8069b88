"""Puzzles: the checkers of all families of reasoning-gym pass their own answers, and no nonsense."""

import gc
import json
import warnings

import pytest

from verifiers import JudgePool, Puzzle, Task, parse_reference

# make no problems of their own
UNSUPPORTED = {"composite"}
# state no answer, so the checker has the last word; where an example is stated, it passes
WITHOUT_ANSWER = {
    "boxnet": None,
    "graph_color": "possible_answer",
    "propositional_logic": "example_answer",
    "rubiks_cube": "example_correct_answer",
    "rush_hour": None,
}
# another problem's answer may be right too
SEVERAL_SOLUTIONS = {"countdown", "n_queens", "puzzle24"}
FORMS = ("<think>so</think>\n<answer>{}</answer>", "so\n\\boxed{{{}}}", "<think>so</think>\n{}", "The answer is {}")
# (family, form): what the search for the final answer reads otherwise
MISREAD = {("shortest_path", 3)}


@pytest.fixture(scope="module")
def pool():
    with JudgePool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def problems():
    """Two problems of every family, as JSON gives them back."""
    gym = pytest.importorskip("reasoning_gym")
    from reasoning_gym.factory import DATASETS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arc_agi leaves its file open
        made = {name: gym.create_dataset(name, size=2, seed=3) for name in sorted(set(DATASETS) - UNSUPPORTED)}
        gc.collect()
    return {name: [json.loads(json.dumps(entry, default=str)) for entry in entries] for name, entries in made.items()}


def task(family, entry, completion):
    reference = parse_reference({"kind": "puzzle", "family": family, "entry": entry})
    return Task(judge=Puzzle(), completion=completion, reference=reference)


def outcomes(pool, asked):
    """Return what is said of each (key, task), by key."""
    keys, tasks = zip(*asked, strict=True)
    return dict(zip(keys, pool.map(tasks), strict=True))


def test_every_family_passes_its_own_answer(pool, problems):
    asked = [
        ((family, form), task(family, entries[0], FORMS[form].format(entries[0]["answer"])))
        for family, entries in problems.items()
        for form in range(len(FORMS))
        if family not in WITHOUT_ANSWER and (family, form) not in MISREAD
    ]
    assert len({family for (family, _), _ in asked}) >= 100
    assert {key: said for key, said in outcomes(pool, asked).items() if said.outcome != "pass"} == {}


def test_every_family_fails_nonsense_and_another_problems_answer(pool, problems):
    asked = []
    for family, (entry, other) in problems.items():
        asked += [((family, text), task(family, entry, f"<answer>{text}</answer>")) for text in ("no idea", "", "¿")]
        if other["answer"] != entry["answer"] and family not in SEVERAL_SOLUTIONS:
            asked.append(((family, "another"), task(family, entry, f"<answer>{other['answer']}</answer>")))
    assert {key: said for key, said in outcomes(pool, asked).items() if said.outcome != "fail"} == {}


def test_families_that_state_an_example_pass_it(pool, problems):
    assert {family for family, (entry, _) in problems.items() if entry["answer"] is None} == set(WITHOUT_ANSWER)
    asked = []
    for family, key in WITHOUT_ANSWER.items():
        if key is not None:
            entry = problems[family][0]
            example = entry["metadata"][key]
            text = example if isinstance(example, str) else json.dumps(example)
            asked.append((family, task(family, entry, f"<answer>{text}</answer>")))
    said = outcomes(pool, asked)
    assert said.pop("propositional_logic").outcome in ("pass", "fail")  # some of its examples are trivial
    assert {family: verdict.reason for family, verdict in said.items() if verdict.outcome != "pass"} == {}


HOSTILE = [
    "__import__('os').system('touch {path}')",
    "[open('{path}', 'w'), 1]",
    "(lambda: open('{path}', 'w'))()",
    "exec(\"open('{path}', 'w')\")",
    "().__class__.__mro__[1].__subclasses__()",
    "9**9**9**9",
    "{{" * 5000,
    "(" * 5000,
    "1/0",
]


def test_hostile_answers_are_never_run(pool, problems, tmp_path):
    path = tmp_path / "owned"
    asked = [
        ((family, n), task(family, entries[0], f"<answer>{text.format(path=path)}</answer>"))
        for family, entries in problems.items()
        for n, text in enumerate(HOSTILE)
    ]
    said = outcomes(pool, asked)
    assert not path.exists()
    assert {key: verdict for key, verdict in said.items() if verdict.outcome == "pass"} == {}
    assert {key: verdict for key, verdict in said.items() if verdict.cause == "transient"} == {}
