"""The trainer from scratch: it learns, it is deterministic, it resumes to the same weights, its folder loads."""

import itertools
from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from factory.errors import UsageError
from factory.train import pretrain
from factory.train.pretrain import Example, Pretrain
from factory.train.trainer import TrainManifest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("reasoning_gym")

RECIPE = Path(__file__).parents[2] / "recipes" / "micro" / "base.yaml"

UNICODE = (
    "plain text, 12345",
    "你好，世界。答案是 \\boxed{42}。",
    "emoji 🙂👩‍🔬 combining x\u0301 العربية \u202e",
    "\t tabs \r\n\n\n and trailing space ",
    "</think> <think>",
)


def tiny(**changes):
    settings = {
        "families": [{"family": "chain_sum", "config": {"max_terms": 3, "max_digits": 1}}],
        "model": {"hidden": 64, "heads": 2, "kv_heads": 2, "layers": 1, "intermediate": 64, "vocab_size": 400},
        "steps": 20,
        "batch_tokens": 1024,
        "pool_examples": 96,
        "warmup_steps": 4,
        "lr": 5e-3,
        "threads": 1,
        "checkpoint_every": 8,
        "noise": {"mixed": 0.2, "endless": 0.05},
        **changes,
    }
    return Pretrain.model_validate(settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    return out, tiny().train(out=out)


def test_twenty_steps_lose_loss(trained, tmp_path):
    _, manifest = trained
    start = tiny(steps=1).train(out=tmp_path / "start")
    assert start.loss > 5.5  # near the log of 400 entries: it knows nothing yet
    assert manifest.loss < start.loss - 1.5
    assert manifest.num_steps == 20
    assert manifest.num_tokens > 5_000


def test_interrupted_training_ends_at_the_same_weights(trained, tmp_path, monkeypatch):
    _, straight = trained
    step, taken = pretrain._Run._step, itertools.count(1)

    def dies_at_13(self, *batch):
        if next(taken) == 13:
            raise KeyboardInterrupt
        return step(self, *batch)

    monkeypatch.setattr(pretrain._Run, "_step", dies_at_13)
    with pytest.raises(KeyboardInterrupt):
        tiny().train(out=tmp_path)
    assert (tmp_path / ".resume.pt").exists()
    assert not (tmp_path / "manifest.json").exists()
    resumed = tiny().train(out=tmp_path)
    assert next(taken) == 13 + 12 + 1  # steps 9 to 20 were taken after the checkpoint at step 8
    assert resumed.weights_hash == straight.weights_hash
    assert (resumed.num_tokens, resumed.num_examples, resumed.loss) == (
        straight.num_tokens,
        straight.num_examples,
        straight.loss,
    )
    assert not (tmp_path / ".resume.pt").exists()


def test_complete_folder_is_left_alone_and_not_mixed_with_other_settings(trained):
    out, manifest = trained
    before = (out / "model.safetensors").stat().st_mtime_ns
    assert tiny().train(out=out) == manifest
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="other settings"):
        tiny(seed=8).train(out=out)
    assert TrainManifest.model_validate_json((out / "manifest.json").read_text("utf-8")) == manifest


def test_folder_loads_and_the_tokenizer_keeps_any_text(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out, manifest = trained
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert type(model).__name__ == "Qwen2ForCausalLM"
    assert sum(p.numel() for p in model.parameters()) == manifest.num_parameters
    assert len(tokenizer) <= 400
    for text in UNICODE:
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer("70921", add_special_tokens=False)["input_ids"]) == 5
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1 + 2 ="}], add_generation_prompt=True, tokenize=False
    )
    assert prompt == "<|bos|><|user|>1 + 2 =<|assistant|><think>\n"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_examples_are_seeded_and_leave_out_the_held_back_problems(monkeypatch):
    config = tiny()
    assert list(pretrain.examples(config, 3)) == list(pretrain.examples(config, 3))
    assert list(pretrain.examples(config, 3)) != list(pretrain.examples(config, 4))
    held_back = pretrain.is_held_out
    seen = []
    monkeypatch.setattr(pretrain, "is_held_out", lambda entry: seen.append(entry) or held_back(entry))
    given = list(pretrain.examples(config, 5))
    left_out = [entry for entry in seen if held_back(entry)]
    assert len(given) == 96 == len(seen) - len(left_out)
    assert left_out
    prompts = {example.prompt.partition(config.suffix)[0].strip() for example in given}
    assert not prompts & {entry.question for entry in left_out}


def test_only_the_completion_is_trained_on_and_endless_ones_are_cut_without_an_end():
    class Words:
        eos_token_id = 0
        pad_token_id = 1

        def apply_chat_template(self, chats, **_):
            return [f"[{chat[0]['content']}]" for chat in chats]

        def __call__(self, texts, max_length=None, **_):
            return {"input_ids": [[ord(c) for c in text][:max_length] for text in texts]}

    pool = [Example(prompt="ab", completion="xyz", ends=True), Example(prompt="c", completion="l" * 900, ends=False)]
    config = tiny(max_length=64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "examples", lambda *_: iter(pool))
        batches = pretrain._batches(config, Words(), pretrain._Progress())
        rows = [(tokens, targets) for _ in range(1) for tokens, targets in zip(*next(batches), strict=True)]
    short, long = sorted(rows, key=lambda row: int((row[1] >= 0).sum()))
    assert "".join(map(chr, short[0][:7])) == "[ab]xyz"
    assert short[1].tolist()[:8] == [-1, -1, -1, ord("x"), ord("y"), ord("z"), 0, -1]
    assert (long[1] >= 0).sum() == 64 - 3
    assert 0 not in long[1]


def test_learning_rate_warms_up_and_ends_at_a_twentieth():
    config = tiny(steps=104, warmup_steps=4, lr=1.0)
    assert [pretrain._learning_rate(step, config) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert pretrain._learning_rate(54, config) == pytest.approx(0.05 + 0.95 / 2)
    assert pretrain._learning_rate(104, config) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "changes",
    [
        {"families": [{"family": "dice"}]},
        {"families": []},
        {"noise": {"slip": 1.5}},
        {"languages": ["fr"]},
        {"stepz": 3},
    ],
)
def test_wrong_settings_are_refused(changes):
    with pytest.raises(ValidationError):
        tiny(**changes)


def test_shipped_recipe_is_valid():
    section = YAML(typ="safe").load(RECIPE)["train"]
    config = Pretrain.model_validate(section)
    assert config.model.hidden % config.model.heads == 0
    assert config.model.hidden // config.model.heads in (32, 64)
    assert config.threads == 2
