"""Recipes: what is wrong is said with file, line and a hint, before any work starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from factory.errors import RecipeError
from factory.recipe import Recipe, dump, load

RECIPES = Path(__file__).resolve().parents[2] / "recipes"

GOOD = """\
name: tiny
seed: 1
source:
  from:
    - {kind: puzzles, family: chain_sum, size: 3}
sample:
  policy: {kind: torch, model: "builtin:micro"}
  group_size: 2
verify:
  - {kind: math_answer, domains: [math]}
  - {kind: language}
filter:
  - {kind: rejected, by: [math_answer]}
  - {kind: language, min_consistency: 0.9}
mix:
  rows: {math: 5}
publish:
  licence: apache-2.0
"""

# what to replace, by what, the line it is on, what the message says, what the hint says
WRONG = [
    ("group_size: 2", "group_sise: 2", 8, "unknown key 'group_sise'", "did you mean 'group_size'?"),
    ("group_size: 2", "group_size: many", 8, "group_size", ""),
    ("group_size: 2", "group_size: 0", 8, "group_size", ""),
    ("group_size: 2", "group_size: 2\n  group_size: 3", 9, "duplicate key", ""),
    ("seed: 1", "seeds: 1", 2, "unknown key 'seeds'", "did you mean 'seed'?"),
    ("seed: 1", "seed: 1\nfilters: []", 3, "unknown key 'filters'", "did you mean 'filter'?"),
    ("kind: puzzles", "kind: puzzels", 5, "unknown kind 'puzzels'", "did you mean 'puzzles'?"),
    ("size: 3", "sizes: 3", 5, "unknown key 'sizes'", "did you mean 'size'?"),
    ("size: 3", "size: 3, seed: -1", 5, "seed", ""),
    ("kind: math_answer, ", "kind: math_anser, ", 10, "unknown kind 'math_anser'", "did you mean 'math_answer'?"),
    ("domains: [math]", "domain: [math]", 10, "unknown key 'domain'", "did you mean 'domains'?"),
    ("domains: [math]", "domains: [maths]", 10, "math", ""),
    ("  - {kind: language}\n", "  - {knid: language}\n", 11, "`kind` is missing", ""),
    ("by: [math_answer]", "by: [puzzle]", 13, "`verify` has: math_answer, language", ""),
    ("min_consistency: 0.9", "min_consistency: 1.5", 14, "min_consistency", ""),
    ("min_consistency: 0.9", "min_consistncy: 0.9", 14, "unknown key", "did you mean 'min_consistency'?"),
    ("rows: {math: 5}", "rows: {math: 0}", 16, "greater than 0", ""),
    ("rows: {math: 5}", "rows: {mathematics: 5}", 16, "math", ""),
    ("name: tiny", "name: [", 3, "expected", ""),
    ("name: tiny", "name: a/b", 1, "name", ""),
    ("name: tiny\n", "", 1, "'name' is missing", ""),
    ("  licence: apache-2.0", "  licence:", 18, "licence", ""),
    ("  - {kind: language}\n", "  - {kind: language}\n  - {kind: language}\n", 12, "used twice", ""),
    (
        "kind: puzzles, family: chain_sum, size: 3",
        "kind: local, path: no.jsonl",
        5,
        "no file",
        "relative to the recipe",
    ),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_the_good_one_loads(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD))
    assert recipe.sections() == ["source", "sample", "verify", "filter", "mix", "publish"]


@pytest.mark.parametrize(("old", "new", "line", "message", "hint"), WRONG, ids=[w[1][:40] for w in WRONG])
def test_a_mistake_has_its_line_and_a_hint(
    tmp_path: Path, old: str, new: str, line: int, message: str, hint: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(RecipeError) as error:
        load(path)
    assert error.value.exit_code == 2
    assert error.value.message.startswith(f"{path}:{line}: "), error.value.message
    assert message in error.value.message
    assert hint in (error.value.hint or "")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text", "name: x\nseed: 1\n", "\t", "a: &a [*a]", "\x00"])
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError):
        load(write(tmp_path, text))


def test_yaml_is_version_1_2(tmp_path: Path) -> None:
    """PyYAML would read the code of Norwegian as False and 1e-1 as text."""
    text = GOOD.replace("size: 3", "size: 3, languages: [no]").replace("min_consistency: 0.9", "min_consistency: 1e-1")
    recipe = load(write(tmp_path, text))
    assert recipe.source is not None
    assert recipe.source.from_[0].languages == ("no",)
    assert recipe.filter[1].min_consistency == 0.1


def test_overrides_replace_values_and_have_their_own_place(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    recipe = load(path, ["sample.group_size=5", "source.from.0.size=7", "mix.pick=shortest", "sample.prompt.system=Hi"])
    assert recipe.sample is not None
    assert recipe.source is not None
    assert recipe.mix is not None
    assert (recipe.sample.group_size, recipe.source.from_[0].size, recipe.mix.pick) == (5, 7, "shortest")
    assert recipe.sample.prompt.system == "Hi"
    for wrong in (
        "sample.group_size=x",
        "sample.gruop=1",
        "group",
        "source.from.9.size=1",
        "name.x.y=1",
        "mix=[",
        "=1",
    ):
        with pytest.raises(RecipeError) as error:
            load(path, [wrong])
        assert error.value.message.startswith(f"--set {wrong.partition('=')[0]}"), wrong


def test_paths_are_relative_to_the_recipe_and_overrides_to_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("sub/p.jsonl", "q.jsonl"):
        (tmp_path / name).write_text("{}\n")
    path = write(
        tmp_path / "sub", GOOD.replace("kind: puzzles, family: chain_sum, size: 3", "kind: local, path: p.jsonl")
    )
    monkeypatch.chdir(tmp_path)
    assert load(path).source.from_[0].path == tmp_path / "sub" / "p.jsonl"  # type: ignore[union-attr]
    assert load(path, ["source.from.0.path=q.jsonl"]).source.from_[0].path == tmp_path / "q.jsonl"  # type: ignore[union-attr]


def test_a_missing_recipe_names_a_near_one(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with pytest.raises(RecipeError) as error:
        load(path.with_name("recpie.yaml"))
    assert error.value.hint == f"did you mean {path}?"


def test_what_is_dumped_loads_to_the_same_recipe(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, GOOD), ["sample.temperature=0.6"])
    again = load(write(tmp_path, dump(recipe)))
    assert again == recipe


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda p: str(p.relative_to(RECIPES)))
def test_every_shipped_recipe_loads_and_says_what_it_is(path: Path) -> None:
    recipe = load(path)
    assert isinstance(recipe, Recipe)
    assert path.read_text().startswith(f"# {recipe.name}") or recipe.train is not None
    assert YAML(typ="safe").load(dump(recipe))["name"] == recipe.name


def test_recipes_and_help_load_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from factory.recipe import load; load(sys.argv[1]); import factory.cli\n"
        "print(sorted({'torch', 'vllm', 'datasets', 'transformers', 'ray', 'sympy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(write(tmp_path, GOOD))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
