"""The endpoints of a mock server.

In: HTTP requests. Out: answers, or the faults that the behaviour has for them. It listens nowhere itself; requests are
checked as vLLM checks them, as far as a client can tell.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from factory.testing import mock_answers, mock_faults, mock_text
from factory.testing.mock_answers import Asked
from factory.testing.mock_behaviour import MockBehaviour, lasting_fault, passing_fault
from factory.testing.mock_engine import MockEngine, slot_key

VLLM_VERSION = "0.32.0"


class Endpoints:
    """What one mock server answers. Lives in its event loop."""

    def __init__(self, behaviour: MockBehaviour) -> None:
        self._behaviour = behaviour
        self._engine = MockEngine(behaviour)
        self._authorization = f"Bearer {behaviour.api_key}".encode()
        self._routes: dict[tuple[str, str], Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._completion,
            ("GET", "/v1/models"): self._models,
            ("GET", "/health"): self._health,
            ("GET", "/mock/stats"): self._stats,
        }
        if behaviour.dialect == "vllm":
            self._routes |= {
                ("GET", "/version"): self._version,
                ("GET", "/metrics"): self._metrics,
                ("POST", "/tokenize"): self._tokenize,
                ("POST", "/detokenize"): self._detokenize,
            }

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        route = self._routes.get((request.method, request.path))
        try:
            if request.path.startswith("/v1"):
                self._authorize(request)
            if route is None:
                raise _Refused("not_found", 404, mock_answers.dump({"detail": "Not Found"}))
            return await route(request)
        except _Refused as refused:
            self._engine.failed(refused.fault)
            return refused.response

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._generate(request, chat=True)

    async def _completion(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._generate(request, chat=False)

    async def _generate(self, request: web.BaseRequest, *, chat: bool) -> web.StreamResponse:
        body = await self._json(request)
        prompt, prompt_ids = self._understand(body, chat=chat)
        slot = slot_key(prompt, body.get("seed"))
        attempt = self._engine.begin(slot)
        identity = f"{slot.hex()}{attempt:08x}"
        asked = Asked(chat=chat, body=body, prompt=prompt, prompt_ids=prompt_ids, identity=identity)
        try:
            return await self._answer(request, asked, slot, attempt)
        finally:
            self._engine.in_flight -= 1

    async def _answer(self, request: web.BaseRequest, asked: Asked, slot: bytes, attempt: int) -> web.StreamResponse:
        """Answer rightly, or as the fault has it that this request meets."""
        behaviour, engine = self._behaviour, self._engine
        fault, variant, lasting = self._fault(slot, attempt)
        if fault is not None:
            refused = mock_faults.refusal(fault, variant, behaviour, stream=asked.stream)
            if refused is not None:
                return refused
        if fault == "reset" and not (asked.stream and variant % 2):
            return mock_faults.reset(request)
        if fault == "timeout":
            await asyncio.Event().wait()
        if engine.full:
            engine.failed("overflow")
            return mock_faults.rate_limited(behaviour, behaviour.overflow_status)
        room = behaviour.max_model_len - len(asked.prompt_ids)
        wanted = _wanted_tokens(asked.body) or (room if asked.chat else 16)  # vLLM's defaults
        written = mock_text.write(asked.prompt, asked.body, behaviour, max_tokens=min(wanted, room), fault=lasting)
        written = mock_faults.spoil_text(fault, written)
        async with engine.decoding(len(asked.prompt_ids) + len(written.token_ids)) as slowness:
            if fault == "slow":
                await asyncio.sleep(behaviour.slow_seconds)
            if asked.stream:
                response = await self._send_events(request, asked, written, fault, variant, slowness)
            else:
                response = await self._send_whole(request, asked, written, fault, variant, slowness)
        if fault is None or fault == "slow":
            engine.answered(slot)
        return response

    def _fault(self, slot: bytes, attempt: int) -> tuple[str | None, int, str | None]:
        """Draw and count what goes wrong: with this request, which variant of it, and with the slot's text."""
        fault, variant = passing_fault(self._behaviour, slot, attempt)
        lasting, lasting_variant = lasting_fault(self._behaviour, slot)
        if fault is None and lasting == "content_filter":
            fault, variant = lasting, lasting_variant
        if fault is not None or lasting is not None:
            self._engine.failed(fault or str(lasting))
        return fault, variant, lasting

    async def _send_whole(
        self,
        request: web.BaseRequest,
        asked: Asked,
        written: mock_text.Written,
        fault: str | None,
        variant: int,
        slowness: float,
    ) -> web.StreamResponse:
        behaviour = self._behaviour
        seconds = behaviour.first_token_seconds + behaviour.token_seconds * len(written.token_ids)
        if seconds:
            await asyncio.sleep(seconds * slowness)
        body = mock_answers.whole(asked, written, behaviour)
        if fault == "truncated_json":
            return await mock_faults.send_truncated(request, body, variant)
        return mock_faults.json_response(body)

    async def _send_events(
        self,
        request: web.BaseRequest,
        asked: Asked,
        written: mock_text.Written,
        fault: str | None,
        variant: int,
        slowness: float,
    ) -> web.StreamResponse:
        behaviour = self._behaviour
        events = mock_faults.spoil_events(fault, variant, mock_answers.events(asked, written, behaviour))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        if behaviour.first_token_seconds:
            await asyncio.sleep(behaviour.first_token_seconds * slowness)
        if behaviour.token_seconds:
            for event in events:
                await response.write(event)
                await asyncio.sleep(behaviour.token_seconds * behaviour.stream_tokens * slowness)
        else:
            await response.write(b"".join(events))
        if fault == "reset":
            await asyncio.sleep(0.01)  # lets what was written arrive: a reset discards what was not sent
            return mock_faults.reset(request)
        await response.write_eof()
        return response

    def _understand(self, body: Mapping[str, Any], *, chat: bool) -> tuple[str, list[int]]:
        """Check a request as vLLM does; returns its prompt as text and as tokens. Raises _Refused."""
        behaviour = self._behaviour
        self._check_model(body)
        if body.get("n", 1) not in (1, None):
            raise _bad_request("the mock server answers n=1 only", param="n")
        for name in ("max_tokens", "max_completion_tokens"):
            value = body.get(name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise _bad_request(f"{name} must be at least 1, got {value!r}.", param=name)
        seed = body.get("seed")
        if seed is not None and (not isinstance(seed, int) or not -(2**63) <= seed < 2**63):
            raise _bad_request("seed must be an integer of 64 bits", param="seed")
        loops = body.get("repetition_detection") or {}
        if loops.get("max_pattern_size", 0) > 0 and loops.get("min_count", 0) < 2:
            raise _bad_request("min_count must be >= 2 to detect repetitive patterns", param="repetition_detection")
        prompt = self._render(body) if chat else _plain_prompt(body.get("prompt"))
        prompt_ids = mock_text.tokenize(prompt)
        limit, wanted = behaviour.max_model_len, _wanted_tokens(body) or 1
        if len(prompt_ids) + wanted > limit:
            raise _bad_request(
                f"This model's maximum context length is {limit} tokens. However, you requested {wanted} output tokens "
                f"and your prompt contains {len(prompt_ids)} input tokens, for a total of {len(prompt_ids) + wanted} "
                "tokens. Please reduce the length of the input prompt or the number of requested output tokens.",
                fault="too_long",
                param="input_tokens",
            )
        return prompt, prompt_ids

    def _check_model(self, body: Mapping[str, Any]) -> None:
        model = body.get("model", self._behaviour.model)
        if model != self._behaviour.model:
            message = f"The model `{model}` does not exist."
            code = None if self._behaviour.dialect == "vllm" else "model_not_found"
            raise _Refused(
                "unknown_model", 404, mock_answers.error(404, message, "NotFoundError", param="model", code=code)
            )

    def _render(self, body: Mapping[str, Any]) -> str:
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) and "role" in m for m in messages):
            raise _bad_request("messages must be a list of messages with a role", param="messages")
        continue_final = bool(body.get("continue_final_message"))
        generation_prompt = bool(body.get("add_generation_prompt", True))
        if continue_final and generation_prompt:
            raise _bad_request("Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
        return mock_text.render_chat(
            messages,
            prefilled_think=self._behaviour.prefilled_think,
            add_generation_prompt=generation_prompt,
            continue_final=continue_final,
        )

    def _authorize(self, request: web.BaseRequest) -> None:
        given = request.headers.get("Authorization", "")
        if self._behaviour.api_key is None or hmac.compare_digest(
            given.encode(errors="surrogateescape"), self._authorization
        ):
            return
        if self._behaviour.dialect == "vllm":
            raise _Refused("unauthorized", 401, mock_answers.dump({"error": "Unauthorized"}))
        # Servers echo the key they were given: what a client must not pass on.
        message = f"Incorrect API key provided: {given.removeprefix('Bearer ')}."
        body = mock_answers.error(401, message, "invalid_request_error", code="invalid_api_key")
        raise _Refused("unauthorized", 401, body)

    async def _json(self, request: web.BaseRequest) -> Mapping[str, Any]:
        try:
            body = json.loads(await request.read())
        except ValueError as error:
            raise _bad_request(f"JSON decode error: {error}") from error
        if not isinstance(body, dict):
            raise _bad_request("the body must be an object")
        return body

    async def _models(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        return mock_faults.json_response(mock_answers.models(self._behaviour))

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response()

    async def _version(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        return mock_faults.json_response(mock_answers.dump({"version": VLLM_VERSION}))

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        del request
        engine = self._engine
        text = mock_answers.metrics(
            self._behaviour,
            running=engine.running,
            waiting=engine.waiting,
            kv_usage=engine.kv_usage,
            preemptions=engine.preemptions,
        )
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"})

    async def _stats(self, request: web.BaseRequest) -> web.StreamResponse:
        return mock_faults.json_response(mock_answers.dump(self._engine.stats(slots="slots" in request.query)))

    async def _tokenize(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await self._json(request)
        self._check_model(body)
        prompt = self._render(body) if "messages" in body else _plain_prompt(body.get("prompt"))
        tokens = mock_text.tokenize(prompt)
        strings = [mock_text.token_text(token) for token in tokens] if body.get("return_token_strs") else None
        answer = {"count": len(tokens), "max_model_len": self._behaviour.max_model_len, "tokens": tokens}
        return mock_faults.json_response(mock_answers.dump(answer | {"token_strs": strings}))

    async def _detokenize(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await self._json(request)
        self._check_model(body)
        return mock_faults.json_response(mock_answers.dump({"prompt": _plain_prompt(body.get("tokens"))}))


class _Refused(Exception):
    """A request that is answered by an error which the client could have avoided."""

    def __init__(self, fault: str, status: int, body: bytes) -> None:
        super().__init__(fault)
        self.fault = fault
        self.response = mock_faults.json_response(body, status=status)


def _wanted_tokens(body: Mapping[str, Any]) -> int:
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def _plain_prompt(prompt: Any) -> str:
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, list) and all(isinstance(token, int) and token >= 0 for token in prompt):
        return mock_text.detokenize(prompt)
    if not isinstance(prompt, str):
        raise _bad_request("prompt must be one text, or one list of tokens", param="prompt")
    return prompt


def _bad_request(message: str, *, fault: str = "bad_request", param: str | None = None) -> _Refused:
    return _Refused(fault, 400, mock_answers.error(400, message, "BadRequestError", param=param))
