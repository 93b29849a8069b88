"""The JSON of a mock server's answers, in the shape of vLLM 0.32's and of OpenAI's own.

In: a written completion and the request. Out: the body of a whole answer, or the events of a stream. vLLM's shapes have
every field, `null` included, of its protocol classes; OpenAI's only the documented ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory.testing.mock_behaviour import MockBehaviour
from factory.testing.mock_text import Written, token_logprobs, token_text

JSON = dict[str, Any]
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was understood."""

    chat: bool
    """Whether it is for /v1/chat/completions."""
    body: Mapping[str, Any]
    """Its JSON."""
    prompt: str
    """The rendered prompt."""
    prompt_ids: Sequence[int]
    """Its tokens."""
    identity: str
    """Hex digits that name this request."""

    @property
    def stream(self) -> bool:
        """Whether the answer is a stream of events."""
        return bool(self.body.get("stream"))

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with the numbers of tokens."""
        return bool((self.body.get("stream_options") or {}).get("include_usage"))


def whole(asked: Asked, written: Written, behaviour: MockBehaviour) -> bytes:
    """Return the body of an answer."""
    text = "".join(written.pieces)
    vllm = behaviour.dialect == "vllm"
    choice: JSON = {"index": 0}
    if asked.chat:
        choice["message"] = _message(text, behaviour)
    else:
        choice["text"] = text
    choice["logprobs"] = _logprobs(asked, written, behaviour)
    choice["finish_reason"] = written.finish_reason
    answer = _head(asked, behaviour, "chat.completion" if asked.chat else "text_completion")
    answer |= {"choices": [choice], "service_tier": None, "system_fingerprint": _fingerprint(behaviour)}
    answer["usage"] = _usage(asked, written, details=vllm)
    if vllm:
        ids = bool(asked.body.get("return_token_ids"))
        prompt_ids = list(asked.prompt_ids) if ids else None
        choice |= {"stop_reason": written.stop_reason, "token_ids": written.token_ids if ids else None}
        if asked.chat:
            choice["routed_experts"] = None
            answer |= {"prompt_logprobs": None, "prompt_token_ids": prompt_ids, "prompt_text": None}
        else:
            choice |= {"prompt_logprobs": None, "prompt_token_ids": prompt_ids, "routed_experts": None}
        answer |= {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None}
    return dump(answer)


def events(asked: Asked, written: Written, behaviour: MockBehaviour) -> list[bytes]:
    """Return the events of a stream, `[DONE]` included, of which each but the first and the last ones has tokens."""
    head = _head(asked, behaviour, "chat.completion.chunk" if asked.chat else "text_completion")
    vllm = behaviour.dialect == "vllm"
    ids = vllm and bool(asked.body.get("return_token_ids"))
    prompt_ids = list(asked.prompt_ids) if ids else None
    out: list[bytes] = []
    if asked.chat:
        delta = {"role": "assistant", "content": ""}
        first = {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
        out.append(_event(head | first | ({"prompt_token_ids": prompt_ids, "prompt_text": None} if vllm else {})))
    logprobs = _logprobs(asked, written, behaviour)
    last, step, thinking = len(written.pieces), behaviour.stream_tokens, behaviour.thinks
    for start in range(0, max(last, 1), step):
        end = min(start + step, last)
        choice: JSON = {"index": 0}
        if asked.chat:
            choice["delta"], thinking = _delta(written.pieces[start:end], behaviour, thinking=thinking)
        else:
            choice["text"] = "".join(written.pieces[start:end])
        choice["logprobs"] = _slice_logprobs(logprobs, start, end, chat=asked.chat)
        choice["finish_reason"] = written.finish_reason if end == last else None
        if vllm:
            if end == last or not asked.chat:
                choice["stop_reason"] = written.stop_reason if end == last else None
            if not asked.chat:
                choice["prompt_token_ids"] = prompt_ids if start == 0 else None
            choice["token_ids"] = written.token_ids[start:end] if ids else None
        out.append(_event(head | {"choices": [choice]}))
    if asked.include_usage:
        out.append(_event(head | {"choices": [], "usage": _usage(asked, written, details=False)}))
    return [*out, DONE]


def error(status: int, message: str, kind: str, *, param: str | None = None, code: str | int | None = None) -> bytes:
    """Return the body of an error; vLLM's code is the status, OpenAI's a word or null."""
    return dump({"error": {"message": message, "type": kind, "param": param, "code": status if code is None else code}})


def models(behaviour: MockBehaviour) -> bytes:
    """Return the body of GET /v1/models."""
    card: JSON = {"id": behaviour.model, "object": "model", "created": int(time.time())}
    if behaviour.dialect == "openai":
        return dump({"object": "list", "data": [card | {"owned_by": "mock"}]})
    allowed = dict.fromkeys(("allow_sampling", "allow_logprobs", "allow_view"), True)
    permission = {"id": "modelperm-mock", "object": "model_permission", "created": int(time.time())}
    permission |= {"allow_create_engine": False, **allowed, "allow_search_indices": False, "allow_fine_tuning": False}
    permission |= {"organization": "*", "group": None, "is_blocking": False}
    card |= {"owned_by": "vllm", "root": behaviour.model, "parent": None, "max_model_len": behaviour.max_model_len}
    return dump({"object": "list", "data": [card | {"permission": [permission]}]})


def metrics(behaviour: MockBehaviour, *, running: int, waiting: int, kv_usage: float, preemptions: int) -> bytes:
    """Return the metrics that tell a server's load, in Prometheus' text format, under vLLM's names and labels."""
    rows = (
        ("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", running),
        ("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", waiting),
        ("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", kv_usage),
        ("vllm:num_preemptions_total", "counter", "Cumulative number of preemption from the engine.", preemptions),
    )
    labels = f'{{engine="0",model_name="{behaviour.model}"}}'
    lines = [
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name}{labels} {float(value)}\n"
        for name, kind, text, value in rows
    ]
    return "".join(lines).encode()


def dump(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def _event(value: JSON) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def _head(asked: Asked, behaviour: MockBehaviour, kind: str) -> JSON:
    name = f"{'chatcmpl' if asked.chat else 'cmpl'}-{asked.identity}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": behaviour.model}


def _fingerprint(behaviour: MockBehaviour) -> str | None:
    return "vllm-mock" if behaviour.dialect == "vllm" else None


def _usage(asked: Asked, written: Written, *, details: bool) -> JSON:
    prompt, completion = len(asked.prompt_ids), len(written.token_ids)
    usage: JSON = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
    return usage | {"prompt_tokens_details": None, "completion_tokens_details": None} if details else usage


def _message(text: str, behaviour: MockBehaviour) -> JSON:
    message: JSON = {"role": "assistant", "content": text}
    if behaviour.dialect == "vllm":
        message |= {"refusal": None, "annotations": None, "audio": None, "function_call": None, "reasoning": None}
    if behaviour.reasoning_apart != "off" and behaviour.thinks:
        # As vLLM's parser of R1: what is never closed is all reasoning.
        reasoning, _, content = text.removeprefix("<think>").partition("</think>")
        message |= {"content": content or None, behaviour.reasoning_apart: reasoning}
    return message


def _delta(pieces: Sequence[str], behaviour: MockBehaviour, *, thinking: bool) -> tuple[JSON, bool]:
    """Return what an event adds, and whether the next piece is still reasoning; the tags themselves are not sent."""
    if behaviour.reasoning_apart == "off":
        return {"content": "".join(pieces)}, thinking
    delta: JSON = {}
    for piece in pieces:
        if piece in ("<think>", "</think>"):
            thinking = piece == "<think>"
        else:
            place = behaviour.reasoning_apart if thinking else "content"
            delta[place] = delta.get(place, "") + piece
    return delta, thinking


def _logprobs(asked: Asked, written: Written, behaviour: MockBehaviour) -> JSON | None:
    wanted = asked.body.get("logprobs")
    if wanted is None or wanted is False:
        return None
    values = token_logprobs(written, asked.body, behaviour)
    texts = [token_text(token) for token in written.token_ids]
    if asked.chat:
        top = int(asked.body.get("top_logprobs") or 0)
        rows = [{"token": t, "logprob": v, "bytes": list(t.encode())} for t, v in zip(texts, values, strict=True)]
        return {"content": [row | {"top_logprobs": [row] * min(top, 1)} for row in rows]}
    offsets, offset = [], 0
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    tops = [{text: value} for text, value in zip(texts, values, strict=True)]
    return {"text_offset": offsets, "token_logprobs": values, "tokens": texts, "top_logprobs": tops}


def _slice_logprobs(logprobs: JSON | None, start: int, end: int, *, chat: bool) -> JSON | None:
    if logprobs is None:
        return None
    return {"content": logprobs["content"][start:end]} if chat else {k: v[start:end] for k, v in logprobs.items()}
