"""How large a model is, from its config.json alone: nothing is loaded and nothing is downloaded.

    model_shape    a recipe's model -> ModelShape, or None where its size is not known here
    read_shape     a config.json -> ModelShape

A folder and a model in the Hub's local cache are read; for some Hub ids that recipes name the shape is written down
here. Counts are those of the usual decoder (gated MLP, grouped queries, latent attention, routed experts); norms and
biases, under a thousandth, are left out. Sliding windows and other savings of cache are not looked at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from factory.errors import FactoryError
from factory.hardware import ModelShape
from factory.policy.model_files import local_folder

_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "fp8": 1.0, "auto": 2.0}


def model_shape(
    model: str,
    *,
    dtype: str | None = None,
    quantization: str | None = None,
    cache_dtype: str = "auto",
) -> ModelShape | None:
    """Return a model's shape; None if it has no config.json here and is none of the known ones."""
    config, origin = _config_of(model)
    if config is None:
        return None
    return read_shape(config, origin=origin, dtype=dtype, quantization=quantization, cache_dtype=cache_dtype)


def read_shape(
    config: Mapping[str, Any],
    *,
    origin: str,
    dtype: str | None = None,
    quantization: str | None = None,
    cache_dtype: str = "auto",
) -> ModelShape | None:
    """Count the parameters and cache bytes that a config.json stands for; None if it lacks what is needed."""
    config = config.get("text_config") or config
    try:
        attention, cache_values = _attention(config)
        mlp_all, mlp_active = _mlp(config)
        layers = int(config["num_hidden_layers"])
        embedding = int(config["vocab_size"]) * int(config["hidden_size"])
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None
    head = 0 if config.get("tie_word_embeddings") else embedding
    num_all = layers * attention + mlp_all + embedding + head
    # An embedding is looked up, not multiplied with; the head is, tied or not.
    num_active = layers * attention + mlp_active + embedding
    stored = dtype or config.get("dtype") or config.get("torch_dtype") or "bfloat16"
    element = _BYTES.get(str(stored), 2.0)
    cache_element = 1.0 if cache_dtype.startswith("fp8") else element
    return ModelShape(
        num_parameters=num_all,
        num_active=num_active,
        weight_bytes=num_all * _weight_bytes(config, quantization, element),
        cache_bytes_per_token=layers * cache_values * cache_element,
        origin=origin,
    )


def _attention(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return parameters of one layer's attention, and values that it keeps per token."""
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    if config.get("kv_lora_rank"):  # latent attention, as in DeepSeek-V2 and V3
        latent, rope = int(config["kv_lora_rank"]), int(config["qk_rope_head_dim"])
        nope, value = int(config["qk_nope_head_dim"]), int(config["v_head_dim"])
        rank = int(config.get("q_lora_rank") or 0)
        queries = rank * (hidden + heads * (nope + rope)) if rank else hidden * heads * (nope + rope)
        keys = hidden * (latent + rope) + latent * heads * (nope + value)
        return queries + keys + heads * value * hidden, latent + rope
    head = int(config.get("head_dim") or hidden // heads)
    kv_heads = int(config.get("num_key_value_heads") or heads)
    return 2 * hidden * heads * head + 2 * hidden * kv_heads * head, 2 * kv_heads * head


def _mlp(config: Mapping[str, Any]) -> tuple[int, int]:
    """Return parameters of all layers' MLPs, and those that one token passes through."""
    hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    dense = 3 * hidden * int(config.get("intermediate_size") or 0)
    experts = int(config.get("n_routed_experts") or config.get("num_experts") or config.get("num_local_experts") or 0)
    if not experts:
        if not dense:
            raise KeyError("intermediate_size")
        return layers * dense, layers * dense
    width = int(config.get("moe_intermediate_size") or config["intermediate_size"])
    one = 3 * hidden * width
    shared = int(config.get("n_shared_experts") or 0) * one
    shared += 3 * hidden * int(config.get("shared_expert_intermediate_size") or 0)
    routed = int(config.get("num_experts_per_tok") or config["experts_per_token"])
    num_dense = int(config.get("first_k_dense_replace") or 0)
    every, router = layers - num_dense, hidden * experts
    return (
        num_dense * dense + every * (experts * one + shared + router),
        num_dense * dense + every * (routed * one + shared + router),
    )


def _weight_bytes(config: Mapping[str, Any], quantization: str | None, element: float) -> float:
    """Return bytes per parameter; half a byte of scales and unquantised rests is reckoned onto four bits."""
    given = config.get("quantization_config")
    details = given if isinstance(given, dict) else {}
    method = str(quantization or details.get("quant_method") or "").lower()
    if not method:
        return element
    if "8" in method:
        return 1.0
    bits = details.get("bits")
    if isinstance(bits, (int, float)):
        return float(bits) / 8 + 0.1
    return 0.6 if any(part in method for part in ("awq", "gptq", "4", "bitsandbytes")) else 1.0


def _config_of(model: str) -> tuple[dict[str, Any] | None, str]:
    try:
        folder = local_folder(model)
    except FactoryError:  # neither a folder nor a Hub id: the policy itself says so
        return None, ""
    cached = folder or _cached(model)
    if cached is not None:
        try:
            data = json.loads((cached / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = None
        if isinstance(data, dict):
            return data, "its config.json"
    name = model.rsplit("/", maxsplit=1)[-1]
    for pattern, known in _KNOWN:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return known, "the published shape of its family"
    return None, ""


def _cached(model: str) -> Path | None:
    """Return a snapshot of a Hub model in the local cache, the newest; None if there is none."""
    # As huggingface_hub finds its cache, without importing it.
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    root = Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home, "hub"))
    found = (root.expanduser() / ("models--" + model.replace("/", "--")) / "snapshots").glob("*/config.json")
    return max((path.parent for path in found), key=lambda p: p.stat().st_mtime, default=None)


def _dense(hidden: int, layers: int, heads: int, kv_heads: int, mlp: int, vocab: int, *, tied: bool) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": mlp,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
    }


_DEEPSEEK_V3 = {
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
    "quantization_config": {"quant_method": "fp8"},
}
_QWEN_1_5B = (1536, 28, 12, 2, 8960, 151936)
_QWEN_7B = _dense(3584, 28, 28, 4, 18944, 152064, tied=False)
_QWEN_14B = _dense(5120, 48, 40, 8, 13824, 152064, tied=False)
_QWEN_32B = _dense(5120, 64, 40, 8, 27648, 152064, tied=False)
_QWEN = r"Qwen2\.5(-Math|-Coder)?-"
_TUNED = r"(-Instruct)?"

# The models of R1 (R1 v2, Table 6: teachers and students) and their base models, as their publishers' config.json say.
_KNOWN: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"DeepSeek-(R1|R1-Zero|V3|V3-Base|R1-0528|V3-0324|V3\.1|V3\.1-Base)", _DEEPSEEK_V3),
    (r"DeepSeek-R1-Distill-Qwen-1\.5B", _dense(*_QWEN_1_5B, tied=False)),
    (r"DeepSeek-R1-Distill-Qwen-7B", _QWEN_7B),
    (r"DeepSeek-R1-Distill-Qwen-14B", _QWEN_14B),
    (r"DeepSeek-R1-Distill-Qwen-32B|QwQ-32B(-Preview)?", _QWEN_32B),
    (
        r"DeepSeek-R1-Distill-Llama-8B|(Meta-)?Llama-3(\.1)?-8B" + _TUNED,
        _dense(4096, 32, 32, 8, 14336, 128256, tied=False),
    ),
    (
        r"DeepSeek-R1-Distill-Llama-70B|(Meta-)?Llama-3(\.[13])?-70B" + _TUNED,
        _dense(8192, 80, 64, 8, 28672, 128256, tied=False),
    ),
    (_QWEN + r"0\.5B" + _TUNED, _dense(896, 24, 14, 2, 4864, 151936, tied=True)),
    (_QWEN + r"1\.5B" + _TUNED, _dense(*_QWEN_1_5B, tied=True)),
    (_QWEN + r"3B" + _TUNED, _dense(2048, 36, 16, 2, 11008, 151936, tied=True)),
    (_QWEN + r"7B" + _TUNED, _QWEN_7B),
    (_QWEN + r"14B" + _TUNED, _QWEN_14B),
    (_QWEN + r"32B" + _TUNED, _QWEN_32B),
    (_QWEN + r"72B" + _TUNED, _dense(8192, 80, 64, 8, 29568, 152064, tied=False)),
)
