"""The embedded policy: the committed folder is whole, is what its recipe says, loads, and solves some problems."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from factory.identity import hash_bytes
from factory.train.pretrain import Pretrain
from factory.train.trainer import TrainManifest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("reasoning_gym")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "factory" / "policy" / "micro"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("micro_policy", ROOT / "benchmarks" / "micro_policy.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look their own module up
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def manifest():
    return TrainManifest.model_validate_json((FOLDER / "manifest.json").read_text("utf-8"))


def test_folder_is_what_the_recipe_says(manifest):
    section = YAML(typ="safe").load(ROOT / "recipes" / "micro" / "base.yaml")["train"]
    assert manifest.settings == Pretrain.model_validate(section).model_dump(mode="json")
    assert manifest.num_steps == manifest.settings["steps"]
    assert manifest.weights_hash == hash_bytes((FOLDER / "model.safetensors").read_bytes())


def test_folder_is_small_and_has_a_shape_every_engine_runs(manifest):
    assert (FOLDER / "model.safetensors").stat().st_size <= 4_000_000
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert config["hidden_size"] // config["num_attention_heads"] in (32, 64)
    assert config["max_position_embeddings"] >= 512
    assert manifest.settings["max_length"] >= 256 + 32


def test_every_deliberate_fault_is_in_the_card(manifest):
    card = (FOLDER / "README.md").read_text("utf-8")
    for fault, rate in manifest.settings["noise"].items():
        assert f"`{fault}` | {rate * 100:g} %" in card, fault


def test_tokenizer_is_not_changed_by_loading_and_keeps_any_text():
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    loaded, stored = AutoTokenizer.from_pretrained(FOLDER), Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    config = json.loads((FOLDER / "config.json").read_text("utf-8"))
    assert len(loaded) == config["vocab_size"]
    for text in ("chain 12345 + 6 =", "答案是 \\boxed{42}。", "emoji 🙂 \t\n\n العربية \u202e", "</think>\n\n<think>"):
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        assert ids == stored.encode(text, add_special_tokens=False).ids
        assert loaded.decode(ids) == text
    thinking = loaded("<think>", add_special_tokens=False)["input_ids"]
    assert loaded.decode(thinking, skip_special_tokens=True) == "<think>"
    assert (loaded.eos_token_id, loaded.pad_token_id) == (config["eos_token_id"], config["pad_token_id"])


def test_it_solves_a_part_of_unseen_problems_and_no_more(manifest, benchmark):
    asked = benchmark.unseen(manifest.model_dump(), 8, seed=5)
    completions = benchmark.sample(FOLDER, [a.prompt for a in asked], max_tokens=192, batch=32, seed=5)
    counted = [benchmark.facts(a, text, ended=ended) for a, (text, ended) in zip(asked, completions, strict=True)]
    assert 5 <= sum(fact["passed"] for fact in counted) <= 30
    assert sum(fact["bad_form"] for fact in counted) <= 8


@pytest.mark.parametrize(
    ("language", "text", "ended", "expected"),
    [
        ("en", "Let me add.\n</think>\n\nThe answer is \\boxed{4}.", True, {"passed"}),
        ("en", "Let me add.\n</think>\n\nThe answer is \\boxed{5}.", True, set()),
        ("en", "继续\n</think>\n\nThe answer is \\boxed{4}.", True, {"passed", "mixed"}),
        ("zh", "继续 so\n</think>\n\n\\boxed{4}。", True, {"passed", "mixed"}),
        ("zh", "继续\n</think>\n\n4。", True, {"bad_form"}),
        ("zh", "继续\n\\boxed{4}。", True, {"passed", "bad_form"}),
        ("en", "a\na\na\na\n", False, {"looped", "truncated"}),
    ],
)
def test_the_benchmark_counts_what_it_says(benchmark, language, text, ended, expected):
    asked = benchmark.Asked(family="chain_sum", language=language, prompt="2 + 2 =", answer="4")
    facts = benchmark.facts(asked, text, ended=ended)
    assert {name for name, value in facts.items() if value} == expected
