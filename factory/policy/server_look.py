"""What the servers of a policy are, before the first slot: whether they answer, have the model, understand vLLM's
parameters, and how their chat template ends a prompt. And, while it samples, the tokens of a prompt.

In: clients. Out: a `Look`, a `RequestForm`. It raises where the recipe cannot be right (a wrong key, a model that is
not there), so that nothing is recorded against a slot; a server that is merely away is noted and left to the pool.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from factory.errors import PolicyError
from factory.policy.prompt import NO_TEMPLATE_HINT
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.server_answers import Fault, is_tokens
from factory.policy.server_client import ServerClient
from factory.policy.server_requests import Dialect, RequestForm, opened_by
from factory.records import Message, Slot

log = logging.getLogger(__name__)

_PROBE: tuple[Message, ...] = ({"role": "user", "content": "1+1?"},)
_TAIL_TOKENS = 64
_MAX_TOKENIZED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the servers of a policy are."""

    away: tuple[str | None, ...]
    """Why each cannot be used now; None if it can."""
    dialect: Dialect
    """Whether all that are there understand vLLM's parameters."""
    engine: str
    """Engine and version, as far as they say it."""


async def look(
    clients: Sequence[ServerClient],
    model: str,
    *,
    dialect: Literal["auto", "vllm", "openai"],
    api_key_env: str | None,
    max_tokens: int,
) -> Look:
    """Ask every server for its models and what it is. Raises PolicyError if none is usable or the recipe is wrong."""
    away = await asyncio.gather(*(_unusable(client, model, api_key_env, max_tokens) for client in clients))
    if all(away):
        why = "; ".join(f"{client.url}: {reason}" for client, reason in zip(clients, away, strict=True))
        raise PolicyError(f"no server is usable ({why})", hint="start it, or correct `urls`")
    there = [client for client, reason in zip(clients, away, strict=True) if reason is None]
    versions = await asyncio.gather(*(_vllm_version(client) for client in there))
    if dialect == "openai" or (dialect == "auto" and not all(versions)):
        return Look(away=tuple(away), dialect="openai", engine="openai-compatible")
    engine = f"vllm {versions[0]} (server)" if versions[0] else "openai-compatible"
    return Look(away=tuple(away), dialect="vllm", engine=engine)


async def request_form(
    client: ServerClient, model: str, dialect: Dialect, sampling: Sampling, form: PromptForm
) -> RequestForm:
    """Return how requests are written. Raises UsageError or PolicyError for what such servers cannot be asked for."""
    requests = RequestForm(model=model, sampling=sampling, form=form, dialect=dialect)
    requests.check()
    if dialect == "openai":
        requests.stream = sampling.loop_cut is not None
        return requests
    think = await tokens(client, {"model": model, "prompt": "<think>", "add_special_tokens": False})
    requests.special_think = isinstance(think, list) and len(think) == 1
    if form.template == "model":
        slot = Slot(trace_id="", problem_id="", prompt=_PROBE, index=0, seed=0)
        requests.opened = await _opened(client, model, requests.messages(slot))
        if form.prefill:
            requests.behind_template(slot)
    return requests


class PromptTokens:
    """Prompts as tokens, with the text that stands behind them; asked for once per server for a group."""

    def __init__(self, requests: RequestForm) -> None:
        self._requests = requests
        self._asked: OrderedDict[tuple[str, str], asyncio.Future[list[int] | Fault]] = OrderedDict()

    async def of(self, client: ServerClient, slot: Slot) -> list[int] | Fault:
        """Return the tokens before what is sampled for a slot. Raises PolicyError if it cannot be put in this form."""
        requests = self._requests
        if requests.dialect != "vllm" or requests.opened is None:
            message = "the server cannot continue a text: it does not say how its chat template ends a prompt"
            return Fault(error="cannot_continue", message=message, permanent=True)
        behind = requests.behind_template(slot)
        prompt = await self._once(client, slot.problem_id, {"messages": requests.messages(slot)})
        if isinstance(prompt, Fault) or not behind:
            return prompt
        asked = {"prompt": behind, "add_special_tokens": False}
        if slot.beginning:  # each slot has its own
            ids = await tokens(client, {"model": requests.model, **asked})
        else:
            ids = await self._once(client, behind, asked)
        return ids if isinstance(ids, Fault) else prompt + ids

    async def _once(self, client: ServerClient, what: str, asked: dict[str, Any]) -> list[int] | Fault:
        key = client.url, what  # one for all would blame each server for the faults of another
        future = self._asked.get(key)
        if future is None:
            future = asyncio.ensure_future(tokens(client, {"model": self._requests.model, **asked}))
            self._asked[key] = future
            if len(self._asked) > _MAX_TOKENIZED:
                self._asked.popitem(last=False)
        found = await asyncio.shield(future)
        if isinstance(found, Fault):
            self._asked.pop(key, None)
        return found


async def tokens(client: ServerClient, body: dict[str, Any]) -> list[int] | Fault:
    """Ask a vLLM server for the tokens of messages or of a text."""
    answer = await client.post_json("/tokenize", body)
    if isinstance(answer, Fault):
        return answer
    found = answer.get("tokens") if isinstance(answer, dict) else None
    if not is_tokens(found):
        return Fault(error="malformed", message="/tokenize returned no tokens")
    return found


async def _opened(client: ServerClient, model: str, messages: list[dict[str, str]]) -> str | None:
    """Return the `<think>` with which the server's chat template ends a prompt; None if it cannot be found out."""
    ids = await tokens(client, {"model": model, "messages": messages})
    if isinstance(ids, Fault):
        if "chat template" in ids.message:
            raise PolicyError(f"the server cannot render prompts: {ids.message}", hint=NO_TEMPLATE_HINT)
        log.info("server %s: its chat template is not known (%s)", client.url, ids.message)
        return None
    rendered = await client.post_json("/detokenize", {"model": model, "tokens": ids[-_TAIL_TOKENS:]})
    text = rendered.get("prompt") if isinstance(rendered, dict) else None
    return opened_by(text) if isinstance(text, str) else None


async def _unusable(client: ServerClient, model: str, api_key_env: str | None, max_tokens: int) -> str | None:
    """Say why a server cannot be used now; None if it can. Raises PolicyError if it never will."""
    answer = await client.get_json("/v1/models")
    if not isinstance(answer, Fault):
        _check_model(client, model, answer.get("data") if isinstance(answer, dict) else None, max_tokens)
        return None
    if answer.message.startswith(("HTTP 401", "HTTP 403")):
        refused = f"the key in {api_key_env}" if api_key_env else "requests without a key"
        hint = "check `api_key_env` and the key in the variable it names"
        raise PolicyError(f"{client.url} refuses {refused}: {answer.message}", hint=hint)
    # Some endpoints do not list their models.
    return None if answer.message.startswith(("HTTP 404", "HTTP 405")) else answer.message


def _check_model(client: ServerClient, model: str, listed: Any, max_tokens: int) -> None:
    """Raise PolicyError if a server lists its models and has not this one, or it has no room for `max_tokens`."""
    entries = listed if isinstance(listed, list) else []
    models = {entry["id"]: entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)}
    if models and model not in models:
        shown = ", ".join(list(models)[:10]) + (", …" if len(models) > 10 else "")
        raise PolicyError(f"{client.url} serves no model {model!r}", hint=client.scrub(f"it serves {shown}"))
    context = models.get(model, {}).get("max_model_len")
    if type(context) is int and max_tokens >= context:
        raise PolicyError(
            f"max_tokens {max_tokens} leaves no room for a prompt: the context of {model!r} is {context} tokens",
            hint=f"set `max_tokens` well below {context}",
        )


async def _vllm_version(client: ServerClient) -> str | None:
    """Return the version of a vLLM server; None for any other."""
    answer, gauges = await asyncio.gather(client.get_json("/version"), client.gauges())
    version = answer.get("version") if isinstance(answer, dict) else None
    return client.scrub(version)[:40] if isinstance(version, str) and gauges is not None else None
