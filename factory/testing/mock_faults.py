"""How the faults of a mock server look on the wire.

In: a request, a fault and its variant, and the right answer. Out: what is sent instead of it. Which request meets which
fault is decided in `mock_behaviour`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from factory.testing.mock_answers import DONE, dump, error
from factory.testing.mock_behaviour import MockBehaviour
from factory.testing.mock_text import EOS, Written

_HTML_502 = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>nginx</body></html>"
MALFORMED = (
    b"<html><body>Please sign in to continue.</body></html>",
    b'{"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":"a" "b"}]}',
    dump({"id": "cmpl-1", "object": "text_completion", "choices": []}),
    dump({"error": {"message": "upstream went away", "type": "upstream_error", "param": None, "code": None}}),
    dump(
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": 7}, "text": [], "finish_reason": "stop"}]}
    ),
    dump([1, 2, 3]),
    b"\xff\xfe\x00null",
    b"null",
)
"""Bodies of a 200 that are no completion."""


def refusal(fault: str, variant: int, behaviour: MockBehaviour, *, stream: bool) -> web.Response | None:
    """Return the answer that stands for a fault alone; None where it needs more than that."""
    if fault == "rate_limited":
        return rate_limited(behaviour, 429)
    if fault == "server_error" and not (stream and variant % 4 == 3):
        status = (500, 502, 503)[variant % 3]
        if status == 502:
            return web.Response(status=502, body=_HTML_502, content_type="text/html")
        kind = "InternalServerError" if status == 500 else "ServiceUnavailableError"
        return json_response(error(status, "EngineCore encountered an issue.", kind), status=status)
    if fault == "content_filter" and variant % 2:
        message = "The response was filtered due to the prompt triggering the content management policy."
        body = error(400, message, "invalid_request_error", param="prompt", code="content_filter")
        return json_response(body, status=400)
    if fault == "malformed_json" and not stream:
        return json_response(MALFORMED[variant % len(MALFORMED)])
    return None


def rate_limited(behaviour: MockBehaviour, status: int) -> web.Response:
    """Return 429, or 503 where a queue is full, with when to come back."""
    if status == 429:
        body = error(429, "Rate limit reached, please try again later.", "requests", code="rate_limit_exceeded")
    else:
        body = error(503, "Too many requests are waiting.", "ServiceUnavailableError")
    response = json_response(body, status=status)
    response.headers["Retry-After"] = f"{behaviour.retry_after:g}"
    return response


def spoil_text(fault: str | None, written: Written) -> Written:
    """Return a completion without text for `empty`, one cut in its middle for `content_filter`, else the same one."""
    if fault == "empty":
        return Written(token_ids=[EOS], pieces=[""], finish_reason="stop", stop_reason=None)
    if fault == "content_filter":
        half = len(written.token_ids) // 2
        return replace(
            written, token_ids=written.token_ids[:half], pieces=written.pieces[:half], finish_reason="content_filter"
        )
    return written


def spoil_events(fault: str | None, variant: int, events: Sequence[bytes]) -> list[bytes]:
    """Return the events of a stream that goes wrong in its middle."""
    middle = list(events[: len(events) // 2])
    if fault == "truncated_json":
        return [*middle, events[len(middle)][:-9]] if variant % 2 else middle
    if fault == "malformed_json":
        return [*middle, b'data: {"id": "cmpl-1", "choices": [{"index" 0}]}\n\n', DONE]
    if fault == "server_error":
        body = error(500, "EngineCore encountered an issue.", "InternalServerError")
        return [*middle, b"data: " + body + b"\n\n", DONE]
    if fault == "reset":
        return middle
    return list(events)


async def send_truncated(request: web.BaseRequest, body: bytes, variant: int) -> web.StreamResponse:
    """Send the first part of a body: with a length that fits it, or with the length of the whole and an early end."""
    part = body[: max(1, len(body) * (1 + variant % 7) // 9)]
    if variant % 2:
        return json_response(part)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(part)
    await asyncio.sleep(0)  # lets the part be sent
    if request.transport is not None:
        request.transport.close()
    return response


def reset(request: web.BaseRequest) -> web.Response:
    """Abort the connection so that the client sees a reset."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)  # is never sent


def json_response(body: bytes, *, status: int = 200) -> web.Response:
    """Return an answer with a body of JSON."""
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
