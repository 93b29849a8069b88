"""Where a policy will run, as far as its configuration and the reader of a plan say: engines, GPUs, the model's size.

In: a policy's configuration and `ForecastOptions`. Out: `Machine`. It looks at no GPU but for the device files of this
machine, and imports no engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.hardware import GPUS, Gpu, ModelShape, find_gpu, smallest_fit
from factory.model_shape import model_shape
from factory.policy.engine_options import EngineOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOptions:
    """What a reader of the plan can say about the machine."""

    gpu: str | None = None
    """Name of the GPU; an H100, or this machine's CPU for an engine that runs on one, unless given."""
    num_gpus: int | None = None
    """GPUs in all; what the policy says unless given."""
    price_per_gpu_hour: float | None = None
    """In dollars; what the recipe says, else `PRICE_PER_GPU_HOUR`, unless given."""
    tokens_per_second: float | None = None
    """Of all engines together; measured or reckoned unless given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a policy will run, as far as it is known."""

    gpu: Gpu | None
    """None where the endpoint is somebody else's."""
    shape: ModelShape | None
    """The model's; None where it is not known."""
    num_engines: int = 1
    """Engines that run at once."""
    num_gpus: int | None = None
    """In all; None for a CPU or an endpoint."""
    max_num_seqs: int | None = None
    """Most completions that one engine decodes at once, where the policy says so."""
    notes: tuple[str, ...] = ()
    """What was assumed."""


def machine_of(config: Any, options: ForecastOptions, *, is_here: bool) -> Machine:
    """Return where a policy will run: what the options say, else the policy, else what its model needs of an H100.

    `is_here` says that it takes this machine as it is. Raises UsageError for a GPU without figures.
    """
    launch = getattr(config, "launch", None)
    engine = _engine_options(config, launch)
    shape = None
    if (model := getattr(config, "model", None)) is not None:
        shape = model_shape(
            str(model),
            dtype=getattr(engine, "dtype", None) or getattr(config, "dtype", None),
            quantization=getattr(engine, "quantization", None),
            cache_dtype=getattr(engine, "kv_cache_dtype", "auto"),
        )
    servers = max(1, getattr(launch, "count", 0) + len(getattr(config, "urls", ())))
    if options.gpu is None and getattr(config, "price_per_million", None):
        return Machine(gpu=None, shape=shape, num_engines=servers)
    limits = (getattr(engine, "max_num_seqs", None), getattr(config, "batch_size", None))
    max_num_seqs = min((n for n in (*limits, getattr(config, "max_in_flight", None)) if n), default=None)
    if options.gpu is None and is_here and getattr(config, "device", "auto") in ("auto", "cpu") and not _has_gpu():
        return Machine(gpu=GPUS["cpu"], shape=shape, max_num_seqs=max_num_seqs)
    gpu = find_gpu(options.gpu or "h100")
    if gpu is GPUS["cpu"]:
        return Machine(gpu=gpu, shape=shape, max_num_seqs=max_num_seqs)
    copies = servers * (engine.data_parallel_size if engine is not None else 1)
    said = engine.tensor_parallel_size * engine.pipeline_parallel_size if engine is not None else 1
    per_engine = said
    notes: tuple[str, ...] = ()
    if said == 1 and shape is not None and (fit := smallest_fit(shape, gpu)) > 1:
        per_engine = fit
        notes = (f"one {gpu.name} does not hold the model: {fit} per engine are reckoned with (tensor_parallel_size)",)
    num_gpus = options.num_gpus or per_engine * copies
    return Machine(
        gpu=gpu,
        shape=shape,
        num_engines=max(1, num_gpus // per_engine),
        num_gpus=num_gpus,
        max_num_seqs=max_num_seqs,
        notes=notes,
    )


def _has_gpu() -> bool:
    """Tell whether this machine has the driver's device files of a GPU; imports no torch."""
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))


def _engine_options(config: Any, launch: Any) -> EngineOptions | None:
    """Find the engine's options: the policy's own, or those of the servers that it launches."""
    return next((holder for holder in (config, launch) if isinstance(holder, EngineOptions)), None)
