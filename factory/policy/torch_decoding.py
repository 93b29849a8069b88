"""The decode loop of the torch policy: a batch of tokenized prompts in, sampled tokens out.

In: a transformers causal language model, the requests of one batch, the sampling parameters. Out: each request's
tokens as soon as it ends. Every row draws from a random stream of its own, seeded by its request, so that what a row
is given does not depend on its neighbours. The order of the sampling steps is vLLM's: penalties, temperature, min-p,
top-k, top-p.

What keeps it fast on one core: equal prompts are run through the model once, keys and values are written into
buffers with room to grow (a `torch.cat` per layer and token would copy the whole cache each time), query heads that
share a key head are attended together (transformers repeats the keys, a copy of the whole cache again), no Python
loop over rows inside a step unless there are stop strings, loops are looked for every 16th token and then cut at the
token where they would have been found at once, and rows that have ended leave the batch once they are a quarter of it.

It knows no prompts, slots or text: the policy renders, tokenizes and detokenizes. This module imports torch and
transformers at its top and is therefore only imported by a policy that is being opened.

Shapes: B rows still in the batch, R requests of the batch, V vocabulary, C columns of the key-value cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from factory.errors import PolicyError
from factory.policy.loops import first_repetition
from factory.policy.protocol import LoopCut, Sampling

PREFILL_TOKENS = 16_384
"""Most tokens, padding included, of prompts that go through the model at once."""
ROOM = 128
"""Columns by which a full key-value buffer grows, at least."""
UNIFORMS = 256
"""Random numbers drawn per row at a time."""
RETIRE_SHARE = 0.25
"""Rows that have ended stay in the batch until they are this share of it: compacting copies the cache."""
LOOK_EVERY = 16
"""Sampled tokens after which loops are looked for, at most."""
PROBE = 8
"""Tokens, at most, that must equal earlier ones for a row to be looked at more closely."""

GROUPED_ATTENTION = "trace_factory_grouped"
"""Name under which the attention of `_grouped_attention` is known to transformers."""

EndsWithStop = Callable[[list[list[int]]], list[bool]]
"""Says for the tokens of each row so far (at least their tail) whether its text has reached a stop string."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion to sample."""

    prompt_ids: tuple[int, ...]
    """Tokens of the rendered prompt; never empty."""
    seed: int
    """Seed of the row's own random stream; 64 bits count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The tokens of one request."""

    row: int
    """Position of the request in the batch."""
    token_ids: list[int]
    """Sampled tokens, the end-of-text token included; where a loop is cut, up to the token at which it is one."""
    logprobs: list[float] | None
    """Log-probability of each under the model's own distribution (temperature 1, no penalty, no cut), if asked for."""
    finish_reason: Literal["stop", "length", "loop"]
    """`stop` for an end-of-text token or a stop string, `length` for max_tokens, `loop` where a loop is cut."""


def prepare(model: Any) -> None:
    """Make a loaded model ready for `decode`: evaluation mode, and the faster attention where the model allows it."""
    model.eval()
    if model.config._attn_implementation == "sdpa" and model._can_set_attn_implementation():
        AttentionInterface.register(GROUPED_ATTENTION, _grouped_attention)
        AttentionMaskInterface.register(GROUPED_ATTENTION, sdpa_mask)
        model.set_attn_implementation(GROUPED_ATTENTION)


@torch.inference_mode()
def decode(
    model: Any,
    requests: Sequence[Request],
    *,
    sampling: Sampling,
    eos_ids: Sequence[int],
    ends_with_stop: EndsWithStop | None = None,
    stop_tail: int = 0,
) -> Iterator[Sampled]:
    """Sample one completion per request, in batch, and yield each when it ends.

    `ends_with_stop` is asked at every step about the last `stop_tail` tokens of each row; without it only the
    end-of-text tokens, max_tokens and a loop end a completion.
    """
    state = _prefill(model, requests, sampling)
    eos = torch.tensor(list(eos_ids), dtype=torch.long, device=state.logits.device)
    tokens = torch.zeros((len(requests), sampling.max_tokens), dtype=torch.long, device=eos.device)
    logprobs = torch.zeros((len(requests), sampling.max_tokens), device=eos.device) if sampling.logprobs else None
    look_every = 0 if sampling.loop_cut is None else _look_every(sampling.loop_cut)
    for step in range(sampling.max_tokens):
        num_tokens = step + 1
        drawn = state.draw(step)
        tokens[state.rows, step] = drawn
        if logprobs is not None:
            logprobs[state.rows, step] = state.logprob_of(drawn)
        ended = torch.isin(drawn, eos)
        if ends_with_stop is not None:
            tail = tokens[state.rows, max(0, num_tokens - stop_tail) : num_tokens].tolist()
            ended |= torch.tensor(ends_with_stop(tail), device=ended.device)
        ended &= state.alive
        last = num_tokens == sampling.max_tokens
        leaving = state.alive if last else ended
        any_leaves = last or bool(ended.any())
        loops: dict[int, int] = {}
        if sampling.loop_cut is not None and (any_leaves or num_tokens % look_every == 0):
            due = leaving if num_tokens % look_every else state.alive
            loops = _find_loops(tokens[:, :num_tokens], state.rows, due, sampling.loop_cut)
            # One that is complete with the very last token comes too late to be cut.
            loops = {at: length for at, length in loops.items() if length < num_tokens or not bool(leaving[at])}
        if any_leaves or loops:
            leaving = leaving.clone()
            leaving[list(loops)] = True
            for at in leaving.nonzero().flatten().tolist():
                row, length = int(state.rows[at]), loops.get(at, num_tokens)
                _check_numbers(state.logits[at])
                yield Sampled(
                    row=row,
                    token_ids=tokens[row, :length].tolist(),
                    logprobs=None if logprobs is None else logprobs[row, :length].tolist(),
                    finish_reason="loop" if at in loops else "stop" if bool(ended[at]) else "length",
                )
            state.alive &= ~leaving
            num_alive = int(state.alive.sum())
            if num_alive == 0:
                return
            if num_alive <= (1 - RETIRE_SHARE) * len(state.rows):
                drawn = drawn[state.alive]
                state.retire()
        state.advance(model, drawn)


def cut(logits: Tensor, *, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Set the logits (B, V) that the three cuts drop to -inf; at least the most likely token stays.

    top-p sees the distribution that min-p and top-k left, renormalised. Ties with the k-th token stay.
    """
    if min_p > 0:
        highest = logits.amax(dim=-1, keepdim=True)
        # p < min_p * p_max in logits; the subtraction is exact at the maximum itself.
        logits = logits.masked_fill(logits - highest < float(np.log(min_p)), -torch.inf)
    if 0 < top_k < logits.shape[-1]:
        kth = logits.topk(top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1:
        ascending, order = logits.sort(dim=-1)
        dropped = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
        dropped[:, -1] = False
        logits = logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), -torch.inf)
    return logits


def pick(probs: Tensor, uniforms: Tensor) -> Tensor:
    """Return for each row of `probs` (B, V; need not sum to 1) the token at its `uniforms` (B; in [0, 1)): inverse CDF.

    A token of probability 0 is never returned, whatever the rounding of the sum.
    """
    cdf = probs.cumsum(dim=-1)
    total = cdf[:, -1:].contiguous()
    target = (uniforms[:, None] * total.double()).to(cdf.dtype)
    at = torch.searchsorted(cdf, target, right=True)
    last = torch.searchsorted(cdf, total)  # the first token at which the sum is complete: it has a probability
    return torch.minimum(at, last).clamp(max=probs.shape[-1] - 1).squeeze(-1)


def _check_numbers(logits: Tensor) -> None:
    """Raise PolicyError for NaN. Once in the cache it stays in a row's logits, so that looking at its end is enough."""
    if bool(logits.isnan().any()):
        raise PolicyError(
            "the model's logits are not numbers (NaN): its weights are damaged, or their type is too small",
            hint="set `dtype: float32` for this policy, or check the checkpoint",
        )


def _look_every(cut: LoopCut) -> int:
    """Return after how many tokens to look for loops: all that end since then must have a token in common."""
    return min(LOOK_EVERY, cut.min_pattern_size * (cut.min_count - 1))


def _find_loops(tokens: Tensor, rows: Tensor, due: Tensor, cut: LoopCut) -> dict[int, int]:
    """Return for each row that is due and has run into a loop since it was last looked at: the length to cut it to.

    Shapes: tokens (R, tokens so far), rows (B) and due (B); the result's keys are positions in `rows`.
    """
    num_tokens = tokens.shape[1]
    if num_tokens < cut.min_pattern_size * cut.min_count:
        return {}
    every = _look_every(cut)
    at = due.nonzero().flatten()
    start = max(0, num_tokens - every - cut.max_pattern_size * cut.min_count)
    recent = tokens[rows[at], start:]
    found = {}
    for i in _may_loop(recent, cut).nonzero().flatten().tolist():
        length = first_repetition(recent[i].tolist(), cut, start=recent.shape[1] - every + 1)
        if length is not None:
            found[int(at[i])] = start + length
    return found


def _may_loop(tokens: Tensor, cut: LoopCut) -> Tensor:
    """Say for each row of `tokens` (B, at least min_pattern_size * min_count) whether a look at it is worth while, (B).

    Every loop that was complete at one of the last `every` tokens goes over the token that stood before them, and has
    there an equal stretch within its size.
    """
    every = _look_every(cut)
    probe = min(PROBE, cut.min_pattern_size * (cut.min_count - 1) - every + 1)
    max_size = min(cut.max_pattern_size, tokens.shape[1] // cut.min_count)
    end = tokens.shape[1] - every + 1
    stretches = tokens[:, end - probe - max_size : end].unfold(1, probe, 1)  # (B, max_size + 1, probe)
    earlier = stretches[:, : max_size + 1 - cut.min_pattern_size]
    return (earlier == stretches[:, -1:]).all(dim=-1).any(dim=-1)


def _grouped_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """Attend with one query position; as transformers' `sdpa`, which does all other cases, without repeating keys.

    Shapes: query (B, query heads, 1, D), key and value (B, key heads, C, D), result (B, 1, query heads, D).
    """
    plain = kwargs.get("position_bias") is None and kwargs.get("cache") is None
    if query.shape[2] != 1 or not plain:
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return out, None
    batch, num_heads, _, head_size = query.shape
    groups = query.reshape(batch, key.shape[1], num_heads // key.shape[1], head_size)
    attended = torch.nn.functional.scaled_dot_product_attention(
        groups, key, value, attn_mask=attention_mask, scale=kwargs.get("scaling")
    )
    return attended.reshape(batch, 1, num_heads, value.shape[-1]), None


class _RoomyLayer(DynamicLayer):
    """Keys and values of one layer (B, heads, C, head size) in buffers with room for more columns."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Start with buffers of no columns."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.key_buffer = key_states.new_empty((*key_states.shape[:2], 0, key_states.shape[3]))
        self.value_buffer = value_states.new_empty((*value_states.shape[:2], 0, value_states.shape[3]))
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append columns and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[2]
        if self.length > self.key_buffer.shape[2]:
            self.resize(max(self.length, start + ROOM, start * 3 // 2) if start else self.length)
        self.key_buffer[:, :, start : self.length] = key_states
        self.value_buffer[:, :, start : self.length] = value_states
        return self.filled()

    def filled(self) -> tuple[Tensor, Tensor]:
        """Return views of the columns in use."""
        return self.key_buffer[:, :, : self.length], self.value_buffer[:, :, : self.length]

    def resize(self, columns: int, rows: Tensor | None = None) -> None:
        """Copy the filled part into buffers with this many columns, keeping the given rows."""
        for name in ("key_buffer", "value_buffer"):
            old = getattr(self, name)[:, :, : self.length]
            old = old if rows is None else old[rows]
            new = old.new_empty((old.shape[0], old.shape[1], columns, old.shape[3]))
            new[:, :, : old.shape[2]] = old
            setattr(self, name, new)

    def get_seq_length(self) -> int:
        """Return the number of filled columns."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep the given rows."""
        self.resize(self.key_buffer.shape[2], beam_idx)


@dataclass(slots=True, kw_only=True)
class _State:
    """The rows that are still in the batch."""

    sampling: Sampling
    """How tokens are drawn."""
    cache: Any
    """Key-value cache, C columns: prompts padded on the left, then the sampled tokens."""
    roomy: bool
    """Whether every layer of the cache is a `_RoomyLayer`; if not, the model builds its masks itself."""
    rows: Tensor
    """Position in the batch of each row, (B)."""
    alive: Tensor
    """False for rows that have ended but not yet left, (B)."""
    positions: Tensor
    """Position of each row's next token, (B)."""
    mask: Tensor
    """True where the cache holds a token and not padding, (B, C)."""
    bias: Tensor | None
    """The same as what is added to attention scores, (B, 1, 1, columns with room); None where nothing is padded."""
    logits: Tensor
    """The model's logits for the next token, float32, (B, V)."""
    streams: list[np.random.Philox]
    """Random stream of each row."""
    seen: Tensor | None
    """True for tokens in the prompt, (B, V); None without penalties."""
    counts: Tensor | None
    """How often the completion holds each token, (B, V); None without penalties."""
    uniforms: Tensor | None = field(default=None)
    """The current stretch of random numbers, float64, (B, UNIFORMS)."""

    def draw(self, step: int) -> Tensor:
        """Draw the next token of every row."""
        logits = self._penalised()
        sampling = self.sampling
        if sampling.temperature == 0:
            drawn = logits.argmax(dim=-1)
        else:
            logits = logits if sampling.temperature == 1 else logits / sampling.temperature
            logits = cut(logits, top_k=sampling.top_k, top_p=sampling.top_p, min_p=sampling.min_p)
            drawn = pick(logits.softmax(dim=-1), self._uniforms(step))
        if self.counts is not None:
            self.counts.scatter_add_(1, drawn[:, None], torch.ones_like(drawn[:, None], dtype=self.counts.dtype))
        return drawn

    def logprob_of(self, drawn: Tensor) -> Tensor:
        """Return the log-probability of the drawn tokens under the model's own distribution."""
        return self.logits.gather(1, drawn[:, None]).squeeze(1) - self.logits.logsumexp(dim=-1)

    def advance(self, model: Any, drawn: Tensor) -> None:
        """Run the model on the drawn tokens."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(drawn), 1))], dim=1)
        columns = self.mask.shape[1]
        attention_mask: Tensor | None = self.mask
        if self.roomy:
            if self.bias is not None and self.bias.shape[-1] < columns:
                self.bias = torch.nn.functional.pad(self.bias, (0, max(ROOM, columns // 2)))
            attention_mask = None if self.bias is None else self.bias[..., :columns]
        out = model(
            input_ids=drawn[:, None],
            attention_mask=attention_mask,
            position_ids=self.positions[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.logits = out.logits[:, -1].float()
        self.positions = self.positions + 1

    def retire(self) -> None:
        """Let the rows that have ended leave the batch."""
        keep = self.alive.nonzero().flatten()
        self.cache.reorder_cache(keep)
        self.rows, self.alive, self.positions = self.rows[keep], self.alive[keep], self.positions[keep]
        self.mask = self.mask[keep]
        self.streams = [self.streams[i] for i in keep.tolist()]
        self.bias = None if self.bias is None else self.bias[keep]
        self.seen = None if self.seen is None else self.seen[keep]
        self.counts = None if self.counts is None else self.counts[keep]
        self.uniforms = None if self.uniforms is None else self.uniforms[keep]

    def _penalised(self) -> Tensor:
        if self.counts is None or self.seen is None:
            return self.logits
        sampling, logits = self.sampling, self.logits
        written = self.counts > 0
        if sampling.repetition_penalty != 1:
            changed = torch.where(
                logits > 0, logits / sampling.repetition_penalty, logits * sampling.repetition_penalty
            )
            logits = torch.where(self.seen | written, changed, logits)
        return logits - sampling.frequency_penalty * self.counts - sampling.presence_penalty * written

    def _uniforms(self, step: int) -> Tensor:
        at = step % UNIFORMS
        if at == 0 or self.uniforms is None:
            # The top 53 bits of each raw number: numpy promises that a bit generator's raw stream never changes.
            raw = np.stack([stream.random_raw(UNIFORMS) for stream in self.streams])
            self.uniforms = torch.from_numpy((raw >> np.uint64(11)) * 2.0**-53).to(self.logits.device)
        return self.uniforms[:, at]


def _prefill(model: Any, requests: Sequence[Request], sampling: Sampling) -> _State:
    """Run the prompts through the model, each distinct one once, and lay them out as rows of one cache."""
    device = model.device
    distinct = sorted({r.prompt_ids for r in requests}, key=lambda ids: (len(ids), ids))
    place = {ids: i for i, ids in enumerate(distinct)}
    of_row = torch.tensor([place[r.prompt_ids] for r in requests], device=device)
    lengths = torch.tensor([len(r.prompt_ids) for r in requests], device=device)
    columns = len(distinct[-1])
    cache: Any = DynamicCache(config=model.config)
    # Exactly this class: sliding windows and recurrent states have layers of their own.
    roomy = bool(cache.layers) and all(type(layer) is DynamicLayer for layer in cache.layers)
    if roomy:
        cache, logits_by_prompt = _prefill_roomy(model, distinct, of_row, num_layers=len(cache.layers))
    else:
        logits_by_prompt = _run_prompts(model, distinct, cache)
        cache.reorder_cache(of_row)
    mask = torch.arange(columns, device=device)[None, :] >= (columns - lengths)[:, None]
    bias = None
    if roomy and not bool(mask.all()):
        bias = torch.zeros(mask.shape, dtype=model.dtype, device=device)
        bias = bias.masked_fill(~mask, torch.finfo(model.dtype).min)[:, None, None, :]
    logits = logits_by_prompt[of_row]
    seen = counts = None
    if sampling.repetition_penalty != 1 or sampling.presence_penalty != 0 or sampling.frequency_penalty != 0:
        counts = torch.zeros_like(logits)
        seen = torch.zeros_like(logits, dtype=torch.bool)
        for row, request in enumerate(requests):
            seen[row, torch.tensor(request.prompt_ids, device=device)] = True
    return _State(
        sampling=sampling,
        cache=cache,
        roomy=roomy,
        rows=torch.arange(len(requests), device=device),
        alive=torch.ones(len(requests), dtype=torch.bool, device=device),
        positions=lengths.clone(),
        mask=mask,
        bias=bias,
        logits=logits,
        streams=[np.random.Philox(key=r.seed) for r in requests],
        seen=seen,
        counts=counts,
    )


def _prefill_roomy(
    model: Any, distinct: list[tuple[int, ...]], of_row: Tensor, *, num_layers: int
) -> tuple[Cache, Tensor]:
    """Prefill prompts of similar length together and copy their keys and values to the rows that have them."""
    columns = len(distinct[-1])
    whole = [_RoomyLayer() for _ in range(num_layers)]
    logits = []
    start = 0
    for stop in _similar_lengths([len(ids) for ids in distinct]):
        part = [_RoomyLayer() for _ in range(num_layers)]
        logits.append(_run_prompts(model, distinct[start:stop], Cache(layers=[*part])))
        rows = ((of_row >= start) & (of_row < stop)).nonzero().flatten()
        for to, layer in zip(whole, part, strict=True):
            keys, values = layer.filled()
            if not to.is_initialized:
                to.lazy_initialization(keys, values)
                # Zeros: what stands in the padding is masked, but it must be finite.
                shape = (len(of_row), keys.shape[1], columns + ROOM)
                to.key_buffer = keys.new_zeros((*shape, keys.shape[3]))
                to.value_buffer = values.new_zeros((*shape, values.shape[3]))
                to.length = columns
            to.key_buffer[rows, :, columns - layer.length : columns] = keys[of_row[rows] - start]
            to.value_buffer[rows, :, columns - layer.length : columns] = values[of_row[rows] - start]
        start = stop
    return Cache(layers=[*whole]), torch.cat(logits)


def _run_prompts(model: Any, prompts: Sequence[tuple[int, ...]], cache: Any) -> Tensor:
    """Fill `cache` with the prompts, padded on the left, and return the logits (prompts, V) after each."""
    longest = max(len(ids) for ids in prompts)
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=model.device)
    padded = torch.tensor([[ids[0]] * (longest - len(ids)) + list(ids) for ids in prompts], device=model.device)
    out = model(
        input_ids=padded,
        attention_mask=mask,
        position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = out.logits[:, -1].float()
    return logits


def _similar_lengths(lengths: list[int]) -> Iterator[int]:
    """Cut sorted lengths into stretches that go through the model together; yield where each one ends."""
    start = 0
    for i, length in enumerate(lengths):
        if i > start and (length * (i + 1 - start) > PREFILL_TOKENS or length > 2 * lengths[start]):
            yield i
            start = i
    yield len(lengths)
