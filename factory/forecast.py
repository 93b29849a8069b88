"""What sampling will take: tokens, engine hours and cost, before anything is spent.

    Work        what is left to sample with one policy, by domain
    forecast    Work and what is known -> SampleForecast

Tokens and speed come from what the ledger has of the same policy (`past`); where it has nothing, tokens from R1's own
means and speed from the data sheet of a GPU (`hardware`, `machine`, `model_shape`). Each figure says where it comes
from. Nothing is loaded: a plan needs no GPU, no torch and no engine. What cannot be known is None, never a guess
without a name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from factory.hardware import engine_speed, smallest_fit
from factory.ledger import Snapshot
from factory.machine import ForecastOptions, Machine, machine_of
from factory.past import Past, read_past
from factory.policy.model_files import model_name

R1_TOKENS = {"math": 6094.2, "code": 7435.7, "stem": 4928.8, "logic": 2739.0, "general": 1419.8}
"""Mean tokens of R1's 800,000 traces by domain (R1 v2, B.3.3, Table 5)."""
PRICE_PER_GPU_HOUR = 2.0
"""US dollars: what DeepSeek reckons for an hour of an H800 (R1 v2, Table 7)."""
PROMPT_TOKENS = 200
"""Of a prompt where none has been counted yet: R1's prompts have 122 (math), 161 (STEM) and 420 (logic) on average
(R1 v2, Table 4)."""
_ROUGH = (
    "the speed is from data sheets, within about twice the truth; once it has run, the ledger's own takes its place"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Traces that one policy still owes."""

    config: Any
    """The policy's configuration."""
    fingerprint: str | None
    """Its fingerprint; None where it cannot be known here, so that the ledger's past cannot be asked."""
    traces: Mapping[str, int]
    """How many, by domain."""
    max_tokens: int
    """Most tokens of one."""
    note: str = ""
    """What a reader should know of the number."""
    is_continuation: bool = False
    """True for traces that go on where they were cut off."""
    is_here: bool = False
    """True if the policy takes whatever engine and device this machine has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleForecast:
    """What one policy's part of the step `sample` will take."""

    model: str
    """The model, for a reader."""
    verb: str = "sample from"
    """What is done: `sample from`, or `continue with` for traces that were cut off."""
    num_traces: int
    """Traces to sample."""
    tokens: float | None
    """Completion tokens expected."""
    tokens_each: float | None
    """Of one trace."""
    tokens_from: str
    """Where that comes from."""
    tokens_per_second: float | None = None
    """Of all engines together."""
    speed_from: str = ""
    """Where that comes from, or what is unknown."""
    num_engines: int = 1
    """Engines that run at once."""
    num_gpus: int | None = None
    """GPUs in all; None where none are reckoned with."""
    hours: float | None = None
    """From the first request to the last."""
    engine_hours: float | None = None
    """Hours times engines."""
    cost: float | None = None
    """In the currency of the price: dollars, or the recipe's."""
    cost_from: str = ""
    """The price and where it comes from."""
    notes: tuple[str, ...] = field(default=())
    """What else a reader should know."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Say it in a few lines: (what, figure and origin)."""
        lines = [("traces", f"{self.num_traces:,} to {self.verb} {self.model}")]
        if not self.num_traces:
            return lines
        each = f" ({self.tokens_each:,.0f} each, {self.tokens_from})" if self.tokens_each is not None else ""
        lines.append(("tokens", self.tokens_from if self.tokens is None else f"about {self.tokens:,.0f}{each}"))
        if self.tokens_per_second is None:
            lines.append(("time", self.speed_from))
        else:
            lines.append(("speed", f"{_figure(self.tokens_per_second)} tokens/s, {self.speed_from}"))
        if self.hours is not None and self.engine_hours is not None:
            engines = f" ({self.num_engines} engines, {duration(self.hours)})" if self.num_engines > 1 else ""
            hours = _figure(self.engine_hours)
            lines.append(("time", f"{hours} engine hours{engines or f' ({duration(self.hours)})'}"))
        if self.cost_from:
            lines.append(
                ("cost", self.cost_from if self.cost is None else f"about {_money(self.cost)}, {self.cost_from}")
            )
        return lines + [("note", note) for note in self.notes]


def forecast(work: Work, snapshot: Snapshot | None, options: ForecastOptions) -> SampleForecast:
    """Say what the work will take. Raises UsageError for a GPU without figures."""
    name = _name(work.config)
    num_traces = sum(work.traces.values())
    if work.config.kind == "recorded":
        return SampleForecast(
            model=name,
            num_traces=num_traces,
            tokens=None,
            tokens_each=None,
            tokens_from="none: completions are recorded",
        )
    past = Past()
    if snapshot is not None and work.fingerprint is not None:
        past = read_past(snapshot, work.fingerprint)
    tokens, tokens_from = _tokens(work, past)
    each = tokens / num_traces if num_traces else None
    facts: dict[str, Any] = {
        "model": name,
        "verb": "continue with" if work.is_continuation else "sample from",
        "num_traces": num_traces,
        "tokens": tokens,
        "tokens_each": each,
        "tokens_from": tokens_from,
    }
    if not num_traces:
        return SampleForecast(**facts)
    prompt = past.prompt_tokens or PROMPT_TOKENS
    machine = machine_of(work.config, options, is_here=work.is_here)
    # A token's context is the prompt and what came before it: as lengths spread widely, the mean length altogether.
    context = prompt + (each or 0.0)
    speed = _speed(work.config, machine, past, options, context=context, num_traces=num_traces)
    facts |= {
        "tokens_per_second": speed.tokens_per_second,
        "speed_from": speed.origin,
        "num_engines": machine.num_engines,
        "num_gpus": machine.num_gpus,
        "notes": (*((work.note,) if work.note else ()), *speed.notes),
    }
    if speed.tokens_per_second is not None:
        facts["hours"] = tokens / speed.tokens_per_second / 3600
        facts["engine_hours"] = facts["hours"] * machine.num_engines
        longest = work.max_tokens * (speed.step_s or 0.0) / 3600
        if longest > 1.1 * facts["hours"]:
            note = f"so few traces end with the longest: one that runs to max_tokens takes {duration(longest)} alone"
            facts["notes"] += (note,)
    facts["cost"], facts["cost_from"] = _cost(
        work.config, machine, options, hours=facts.get("hours"), tokens=tokens, prompt_tokens=num_traces * prompt
    )
    return SampleForecast(**facts)


def forecast_note(forecasts: Sequence[SampleForecast]) -> str:
    """Return the forecasts' sum in a few words, e.g. `about 4,300,000 tokens, 30 engine hours, $60`."""
    due = [f for f in forecasts if f.num_traces and f.tokens is not None]
    if not due:
        return ""
    parts = [f"about {sum(f.tokens or 0.0 for f in due):,.0f} tokens"]
    if all(f.engine_hours is not None for f in due):
        parts.append(f"{_figure(sum(f.engine_hours or 0.0 for f in due))} engine hours")
    if all(f.cost is not None for f in due) and (cost := sum(f.cost or 0.0 for f in due)):
        parts.append(f"cost {_money(cost)}")
    return ", ".join(parts)


def duration(hours: float) -> str:
    """Write a time for a reader, e.g. `40 min`."""
    for unit, size in (("days", 1 / 24), ("h", 1.0), ("min", 60.0)):
        if hours * size >= (2 if unit == "days" else 1):
            return f"{_figure(hours * size)} {unit}"
    return f"{hours * 3600:,.0f} s"


def _tokens(work: Work, past: Past) -> tuple[float, str]:
    """Return the expected tokens and where they come from."""
    if work.is_continuation:
        return float(sum(work.traces.values()) * work.max_tokens), "at most: continue_truncated.max_tokens"
    if past.num_traces:
        parts = [n * past.by_domain.get(domain, past.mean) for domain, n in work.traces.items()]
        return sum(parts), f"as the {past.num_traces:,} traces that this policy has in the ledger, domain by domain"
    means = {domain: R1_TOKENS.get(domain, R1_TOKENS["general"]) for domain in work.traces}
    total = sum(n * min(means[domain], work.max_tokens) for domain, n in work.traces.items())
    if all(mean >= work.max_tokens for mean in means.values()):
        return total, "at most: max_tokens, as R1's own traces are longer (R1 v2, B.3.3, Table 5)"
    cut = ", cut at max_tokens" if any(mean > work.max_tokens for mean in means.values()) else ""
    return total, f"R1's own means by domain{cut} (R1 v2, B.3.3, Table 5)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Speed:
    tokens_per_second: float | None
    origin: str
    step_s: float | None = None
    notes: tuple[str, ...] = ()


def _speed(
    config: Any, machine: Machine, past: Past, options: ForecastOptions, *, context: float, num_traces: int
) -> _Speed:
    if options.tokens_per_second is not None:
        return _Speed(tokens_per_second=options.tokens_per_second, origin="as --tokens-per-second says")
    if past.tokens_per_second is not None and options.gpu is None and options.num_gpus is None:
        seen = (
            f"measured over {duration(past.busy_s / 3600)} of this policy's sampling in this ledger, "
            f"{past.num_at_once:,.0f} requests at once"
        )
        return _Speed(tokens_per_second=past.tokens_per_second, origin=seen)
    if machine.gpu is None:
        return _Speed(tokens_per_second=None, origin="unknown speed of the endpoint; give --tokens-per-second")
    if machine.shape is None:
        return _Speed(tokens_per_second=None, origin="unknown model size; give --tokens-per-second")
    if config.kind == "torch" and machine.num_gpus is not None:
        return _Speed(
            tokens_per_second=None,
            origin="unknown: the torch engine is not reckoned for a GPU; give "
            "--tokens-per-second, or sample with kind vllm",
        )
    gpu, shape = machine.gpu, machine.shape
    per_engine = max(1, (machine.num_gpus or 1) // machine.num_engines)
    ahead = max(1, math.ceil(num_traces / machine.num_engines))
    speed = engine_speed(
        shape,
        gpu,
        num_gpus=per_engine,
        context=context,
        max_num_seqs=min(machine.max_num_seqs or gpu.max_num_seqs, ahead),
    )
    where = f"{per_engine} × {gpu.name}" if machine.num_gpus else gpu.name
    size = f"{_size(shape.num_parameters)} parameters"
    if shape.num_active < 0.7 * shape.num_parameters:
        size += f", {_size(shape.num_active)} active"
    if speed is None:
        fit = smallest_fit(shape, gpu)
        return _Speed(
            tokens_per_second=None,
            origin=f"{shape.weight_bytes / 1e9:,.0f} GB of weights do not fit on {where}; --gpus {fit} would hold them",
        )
    return _Speed(
        tokens_per_second=speed.tokens_per_second * machine.num_engines,
        origin=f"reckoned for {machine.num_engines} engine{'s' * (machine.num_engines > 1)} on {where}"
        f" with {speed.batch:,.0f} completions at once ({size}, from {shape.origin})",
        step_s=speed.batch / speed.tokens_per_second,
        notes=(*machine.notes, _ROUGH),
    )


def _cost(
    config: Any,
    machine: Machine,
    options: ForecastOptions,
    *,
    hours: float | None,
    tokens: float,
    prompt_tokens: float,
) -> tuple[float | None, str]:
    prices = getattr(config, "price_per_million", None)
    if prices and options.price_per_gpu_hour is None:
        prompt, completion = float(prices.prompt), float(prices.completion)
        cost = (prompt_tokens * prompt + tokens * completion) / 1e6
        return (
            cost,
            f"at the recipe's {prompt:g} per million prompt tokens and {completion:g} per million completion tokens",
        )
    per_hour = getattr(config, "cost_per_hour", None)
    if per_hour is not None and options.price_per_gpu_hour is None:
        if hours is None:
            return None, "unknown, as the time is"
        return hours * machine.num_engines * per_hour, f"at the recipe's {per_hour:g} per engine hour"
    if machine.num_gpus is None:
        return None, "none: this machine's CPU has no price" if machine.gpu is not None else "unknown"
    if hours is None:
        return None, "unknown, as the time is"
    price = options.price_per_gpu_hour
    origin = "as --price-per-gpu-hour says" if price is not None else "R1's own rate for an H800 hour (R1 v2, Table 7)"
    price = PRICE_PER_GPU_HOUR if price is None else price
    gpu_hours = hours * machine.num_gpus
    return gpu_hours * price, f"{_figure(gpu_hours)} GPU hours at ${price:.2f}, {origin}"


def _name(config: Any) -> str:
    model = getattr(config, "model", None)
    return config.kind if model is None else model_name(str(model))


def _size(parameters: float) -> str:
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e8 else f"{parameters / 1e6:.1f}M"


def _figure(value: float) -> str:
    """Write a number with as many digits as it deserves."""
    return f"{value:,.0f}" if value >= 10 else f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def _money(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
