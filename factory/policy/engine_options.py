"""How a vLLM engine is set up, in this process tree or behind a server we launch: one set of options for both.

Fields have vLLM's own names; `engine_args` takes any other argument of vLLM's `EngineArgs`, checked against the
installed vLLM when the engine is opened. What decides the text is part of the policy's identity, what only decides
speed and memory is not. It imports no vLLM, so a plan needs none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from factory.config import Config
from factory.errors import PolicyError, UsageError
from factory.identity import config_json
from factory.policy.devices import has_gpu_device
from factory.policy.model_files import COMMIT, HUB_ID, content_hash, locate_adapter

_SPEED_ONLY = frozenset(
    {
        "block_size",
        "cpu_offload_gb",
        "disable_cascade_attn",
        "disable_custom_all_reduce",
        "disable_log_stats",
        "distributed_executor_backend",
        "download_dir",
        "enable_chunked_prefill",
        "enable_expert_parallel",
        "kv_cache_memory_bytes",
        "long_prefill_token_threshold",
        "max_num_scheduled_tokens",
        "num_gpu_blocks_override",
        "safetensors_load_strategy",
        "stream_interval",
    }
)
"""Arguments of `engine_args` that change no text. All others are taken to."""

_RESERVED = frozenset(
    {
        "api_key",
        "enable_lora",
        "enable_prompt_embeds",
        "generation_config",
        "hf_token",
        "host",
        "max_lora_rank",
        "model",
        "port",
        "revision",
        "seed",
        "served_model_name",
        "skip_tokenizer_init",
        "trust_remote_code",
    }
)
"""Arguments that the factory sets itself, that would run code of a model, or that hold a secret."""

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks vLLM 0.32 makes room for; an adapter's own rank is rounded up to one of them."""


class EngineOptions(Config):
    """Arguments of a vLLM engine."""

    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the weights and activations; what the model's config.json says unless given."""
    quantization: str | None = None
    """vLLM's name of the method, e.g. `fp8`; what the model's config.json says unless given."""
    kv_cache_dtype: str = "auto"
    """Type of the key-value cache, e.g. `fp8`."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Tokens of prompt and completion together; the model's own limit unless given. Decides the cache's size."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share each layer."""
    pipeline_parallel_size: int = Field(default=1, ge=1)
    """Groups of GPUs that share the layers."""
    data_parallel_size: int = Field(default=1, ge=1)
    """Copies of the model behind one engine."""
    gpu_memory_utilization: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of a GPU's memory that the engine takes; vLLM's default unless given."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Most completions that are decoded at once."""
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of one step of the engine."""
    enable_prefix_caching: bool = True
    """Compute a prompt once for its whole group."""
    enforce_eager: bool = False
    """Capture no graphs: starts faster, decodes slower."""
    speculative_config: dict[str, Any] | None = None
    """vLLM's speculative decoding, e.g. `{method: ngram, num_speculative_tokens: 4}`. It keeps the distribution."""
    adapter: str | None = None
    """Folder or Hub id of a LoRA adapter in peft's format, used for every completion."""
    adapter_revision: str | None = None
    """Commit of an adapter on the Hub."""
    engine_args: dict[str, Any] = Field(default_factory=dict)
    """Any other argument of vLLM's engine under its Python name, e.g. `{swap_space: 8}`."""

    @property
    def num_gpus(self) -> int:
        """GPUs that one engine takes."""
        return self.tensor_parallel_size * self.pipeline_parallel_size * self.data_parallel_size

    def check_names(self, known: Iterable[str]) -> None:
        """Raise UsageError for a name in `engine_args` that the installed vLLM does not know or that is not the
        recipe's to set."""
        known = set(known)
        for name in self.engine_args:
            if name in _RESERVED:
                raise UsageError(f"engine_args: {name!r} is set by the factory", hint="remove it")
            if name in EngineOptions.model_fields:
                raise UsageError(f"engine_args: {name!r} has a field of its own", hint="move it one level up")
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "`vllm serve --help` lists them"
                raise UsageError(f"engine_args: the installed vLLM has no engine argument {name!r}", hint=hint)

    def identity(self, model_folder: Path) -> dict[str, Any]:
        """Return what of these options decides the text, for the fingerprint; what is not given is left out."""
        data: dict[str, Any] = {"dtype": self.dtype or read_dtype(model_folder)}
        if self.quantization is not None:
            data["quantization"] = self.quantization
        if self.kv_cache_dtype != "auto":
            data["kv_cache_dtype"] = self.kv_cache_dtype
        if self.adapter is not None:
            self.pin_adapter()
            located = locate_adapter(self.adapter, revision=self.adapter_revision)
            data["adapter"] = located.commit or content_hash(located.folder)
        deciding = {k: v for k, v in sorted(self.engine_args.items()) if k not in _SPEED_ONLY}
        if deciding:
            data["engine_args"] = deciding
        return data

    def pin_adapter(self) -> str | None:
        """Return the commit of an adapter on the Hub; None for a folder or no adapter. Raises UsageError if the recipe
        leaves open which commit: the adapter decides the text, and its name alone may stand for another tomorrow."""
        if self.adapter is None or Path(self.adapter).expanduser().exists() or not HUB_ID.fullmatch(self.adapter):
            return self.adapter_revision
        if COMMIT.fullmatch(self.adapter_revision or "") is None:
            raise UsageError(
                f"the adapter {self.adapter!r} is on the Hub, and the recipe does not say which commit of it",
                hint="set `adapter_revision` to a commit of 40 hex digits, or name a local folder",
            )
        return self.adapter_revision

    def arguments(self, model_folder: Path) -> dict[str, Any]:
        """Return the keyword arguments of vLLM's `EngineArgs` that the options stand for, model and adapter's rank
        included."""
        given = config_json(self)
        for own in ("adapter", "adapter_revision", "engine_args"):
            given.pop(own, None)
        arguments: dict[str, Any] = {
            **given,
            "model": str(model_folder),
            "dtype": self.dtype or read_dtype(model_folder),
            "enable_prefix_caching": self.enable_prefix_caching,
            "trust_remote_code": False,
            **self.engine_args,
        }
        if not has_gpu_device():
            # On a CPU vLLM 0.32 dies ("CPU Generator does not use offset") when a prompt with a seed is split over
            # two steps, which chunked prefill does as soon as many prompts come at once.
            arguments.setdefault("enable_chunked_prefill", False)
            arguments.pop("gpu_memory_utilization", None)
        if self.adapter is not None:
            folder = locate_adapter(self.adapter, revision=self.adapter_revision).folder
            arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": adapter_rank(folder)}
        return arguments


def read_dtype(model_folder: Path) -> str:
    """Return the dtype that a model's config.json names; bfloat16 if it names none.

    vLLM itself would turn float32 into a 16-bit type; here a float32 model stays one.
    """
    config = _read_json(model_folder / "config.json")
    for part in (config, config.get("text_config") or {}):
        found = part.get("dtype") or part.get("torch_dtype")
        if found in ("float32", "bfloat16", "float16"):
            return str(found)
    return "bfloat16"


def adapter_rank(folder: Path) -> int:
    """Return the rank to make room for. Raises PolicyError if it is above what vLLM can."""
    rank = int(_read_json(folder / "adapter_config.json").get("r") or 8)
    for room in LORA_RANKS:
        if rank <= room:
            return room
    raise PolicyError(f"the adapter {folder.name!r} has rank {rank}; vLLM takes at most {LORA_RANKS[-1]}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path.name} of {path.parent.name!r} cannot be read: {error}") from error
    return data if isinstance(data, dict) else {}
