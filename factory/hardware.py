"""How fast an engine decodes, reckoned from data sheets: for a forecast before anything has run.

    GPUS            memory, bandwidth and arithmetic of the accelerators, each with where the figures come from
    ModelShape      what of a model decides its speed
    engine_speed    tokens per second of one engine, and how many completions it decodes at once

A step of the engine gives one token to every completion in its batch. It reads all the weights and the key-value cache
of the batch, and computes two operations per active parameter and token; whichever takes longer bounds it:

    batch  = min(max_num_seqs, room for the cache / (cache bytes per token x context))
    step   = STEP_SECONDS + max((weights + batch x context x cache bytes per token) / bandwidth,
                                batch x 2 x active parameters / operations per second) / EFFICIENCY
    tokens per second = batch / step x TENSOR_PARALLEL_EFFICIENCY for each doubling of the GPUs of one engine

The constants are fitted to the one public table that covers many models in one set-up: datatrove's benchmark of vLLM
0.15 on H100 80GB (huggingface/datatrove, examples/inference/benchmark/README.md, column `Base tps/gpu`; 256 completions
at once). It prints no lengths; 1,500 tokens of context are assumed. Reckoned over measured, per GPU: SmolLM2-135M 0.94,
360M 1.14, 1.7B 1.27; Qwen3-0.6B 0.79, 1.7B 0.88, 4B 1.02, 8B 1.13, 14B 1.10, 32B on four GPUs 1.16; the mixture of
experts Qwen3-30B-A3B 0.60 on one GPU, which it nearly fills, and 1.31 on two. So expect dense models within 1.3 times
and mixtures of experts within twice the truth. DeepSeek's own service decodes 1,850 tokens/s per H800 with the experts
spread over many nodes, which is not reckoned here. Not in it: prefill (a group shares its prompt, and a reasoning trace
is many times longer), speculative decoding, FP8 arithmetic, sliding windows, slow links between GPUs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches

from factory.errors import UsageError

STEP_SECONDS = 0.006
"""Of a step that moves and computes next to nothing: what SmolLM2-135M leaves over in datatrove's table."""
EFFICIENCY = 0.75
"""Share of the data sheet's bandwidth or arithmetic that is reached; fitted, see above."""
TENSOR_PARALLEL_EFFICIENCY = 0.9
"""What is left of a GPU's speed for each doubling of the GPUs of one engine; fitted to Qwen3-32B, see above."""
MEMORY_SHARE = 0.9
"""Of the GPU's memory that an engine takes: vLLM's default `gpu_memory_utilization`."""
WORKSPACE_BYTES = 2e9
"""Per GPU, for activations and captured graphs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One accelerator."""

    name: str
    """What a reader knows it by."""
    memory_gb: float
    """Memory in 10^9 bytes."""
    bandwidth_gb_s: float
    """Reading from memory, in 10^9 bytes per second."""
    tflops: float
    """Dense BF16 arithmetic with FP32 accumulation, in 10^12 operations per second."""
    max_num_seqs: int
    """Completions that vLLM 0.32 decodes at once unless told otherwise."""
    origin: str
    """Where the figures come from."""

    @property
    def usable_bytes(self) -> float:
        """Memory for weights and cache."""
        return self.memory_gb * 1e9 * MEMORY_SHARE - WORKSPACE_BYTES


_NVIDIA = "NVIDIA's data sheet, "

GPUS = {
    "a100": Gpu(
        name="A100 80GB SXM",
        memory_gb=80,
        bandwidth_gb_s=2039,
        tflops=312,
        max_num_seqs=256,
        origin=_NVIDIA + "A100 Tensor Core GPU",
    ),
    "h100": Gpu(
        name="H100 SXM",
        memory_gb=80,
        bandwidth_gb_s=3350,
        tflops=989,
        max_num_seqs=1024,
        origin=_NVIDIA + "H100 Tensor Core GPU (half of the figure with sparsity)",
    ),
    "h200": Gpu(
        name="H200 SXM",
        memory_gb=141,
        bandwidth_gb_s=4800,
        tflops=989,
        max_num_seqs=1024,
        origin=_NVIDIA + "H200 Tensor Core GPU (half of the figure with sparsity)",
    ),
    "b200": Gpu(
        name="B200 (HGX)",
        memory_gb=180,
        bandwidth_gb_s=7700,
        tflops=2250,
        max_num_seqs=1024,
        origin=_NVIDIA + "Blackwell, HGX B200 (half of the figure with sparsity)",
    ),
    "l40s": Gpu(
        name="L40S",
        memory_gb=48,
        bandwidth_gb_s=864,
        tflops=362,
        max_num_seqs=256,
        origin=_NVIDIA + "L40S",
    ),
    "rtx4090": Gpu(
        name="RTX 4090",
        memory_gb=24,
        bandwidth_gb_s=1008,
        tflops=165,
        max_num_seqs=256,
        origin="NVIDIA's Ada architecture paper, appendix A",
    ),
    "mi300x": Gpu(
        name="MI300X",
        memory_gb=192,
        bandwidth_gb_s=5300,
        tflops=1307,
        max_num_seqs=1024,
        origin="AMD's data sheet, Instinct MI300X",
    ),
    "cpu": Gpu(
        name="one CPU core",
        memory_gb=16,
        bandwidth_gb_s=10,
        tflops=0.03,
        max_num_seqs=128,
        origin="a guess that fits the embedded model's 6,000 tokens/s on a shared core (README)",
    ),
}
"""Accelerators by the name that `--gpu` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What of a model decides how fast it decodes."""

    num_parameters: float
    """All parameters: what a step reads. A batch of some dozens already wakes every expert."""
    num_active: float
    """Parameters that one token passes through; fewer than all in a mixture of experts."""
    weight_bytes: float
    """Memory of the weights."""
    cache_bytes_per_token: float
    """Key-value cache of one token of context."""
    origin: str
    """Where that is known from, for a reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpeed:
    """What one engine does."""

    tokens_per_second: float
    """Completion tokens of all completions together."""
    batch: float
    """Completions decoded at once."""


def find_gpu(name: str) -> Gpu:
    """Return the accelerator that `--gpu` names. Raises UsageError for an unknown one."""
    key = name.lower().replace(" ", "").replace("-", "").replace("_", "").removeprefix("nvidia").removesuffix("sxm")
    key = {"a10080gb": "a100", "4090": "rtx4090", "h10080gb": "h100", "h800": "h100"}.get(key, key)
    if key not in GPUS:
        near = get_close_matches(key, GPUS, n=1)
        hint = f"did you mean {near[0]!r}? known: {', '.join(GPUS)}" if near else f"known: {', '.join(GPUS)}"
        raise UsageError(f"no figures for the GPU {name!r}", hint=f"{hint}; or give --tokens-per-second")
    return GPUS[key]


def smallest_fit(shape: ModelShape, gpu: Gpu) -> int:
    """Return the fewest GPUs, a power of two, that hold the weights and as much cache again as a tenth of them."""
    num = 1
    while num * gpu.usable_bytes < 1.1 * shape.weight_bytes:
        num *= 2
    return num


def engine_speed(
    shape: ModelShape, gpu: Gpu, *, num_gpus: int, context: float, max_num_seqs: int | None = None
) -> EngineSpeed | None:
    """Reckon one engine on `num_gpus` GPUs, its completions `context` tokens long on average, prompt included.

    None if weights and the cache of one completion do not fit.
    """
    room = num_gpus * gpu.usable_bytes - shape.weight_bytes
    cache = max(context, 1.0) * shape.cache_bytes_per_token
    batch = min(float(max_num_seqs or gpu.max_num_seqs), room / max(cache, 1.0))
    if batch < 1.0:
        return None
    reading = (shape.weight_bytes + batch * cache) / (num_gpus * gpu.bandwidth_gb_s * 1e9)
    computing = batch * 2 * shape.num_active / (num_gpus * gpu.tflops * 1e12)
    step = STEP_SECONDS + max(reading, computing) / EFFICIENCY
    shared = TENSOR_PARALLEL_EFFICIENCY ** math.log2(num_gpus)
    return EngineSpeed(tokens_per_second=batch / step * shared, batch=batch)
