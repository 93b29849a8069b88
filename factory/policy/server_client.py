"""One OpenAI-compatible endpoint: a request goes out, an answer or a fault comes back.

In: the path and the body of a request. Out: an `Answer` (text, reasoning, why it ended, token counts) or a `Fault` that
says what went wrong, whether trying again can help, and whether the server rather than the request is to blame. It
never raises for what a server does: all that a server sends is taken for hostile. It retries nothing, chooses no server
and knows nothing of prompts; that is `server_pool` and `server_requests`.

The key stands in one header and nowhere else: whatever a server says is scrubbed of it, for some echo it.
"""

from __future__ import annotations

import codecs
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factory.errors import MissingExtra
from factory.policy.concurrency import Gauges, read_gauges
from factory.policy.protocol import LoopCut
from factory.policy.server_answers import (
    Answer,
    Fault,
    StreamedAnswer,
    fault_of_status,
    read_answer,
    read_retry_after,
    scrub,
)

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER_BYTES = 64 * 2**20
"""An answer longer than this is not read to its end: 32,768 tokens with their log-probabilities take some 6 MB."""
CONNECT_TIMEOUT_S = 15.0
_CHECK_TIMEOUT_S = 10.0
_TOKENIZE_TIMEOUT_S = 60.0
_MIN_SECRET_IN_TEXT = 16
"""Keys shorter than this (`EMPTY`, `token`) are words that a completion may hold by itself."""


class ServerClient:
    """Talks to one endpoint. Only for the event loop its session belongs to."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, key: str | None, timeout_s: float) -> None:
        self.url = url
        """Base URL, ending in `/v1`; it holds no credentials."""
        self._root = url.removesuffix("/v1")
        self._session, self._key = session, key
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        aiohttp = import_aiohttp()
        # All that the HTTP library, the network and hostile JSON raise (numbers too large, nested too deeply); anything
        # else is a mistake of ours.
        http = (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, TimeoutError)
        self._errors = (*http, ValueError, ArithmeticError, RecursionError)
        self._timeout = _timeout(timeout_s)
        self._check_timeout = _timeout(_CHECK_TIMEOUT_S)

    async def complete(self, path: str, body: bytes) -> Answer | Fault:
        """Ask for a completion and wait for all of it."""
        try:
            async with self._post(self.url + path, body) as response:
                data = await self._read(response)
                return data if isinstance(data, Fault) else self._checked(read_answer(data))
        except self._errors as error:
            return self._fault_of(error)

    async def stream(self, path: str, body: bytes, cut: LoopCut | None) -> Answer | Fault:
        """Ask for a completion piece by piece, and hang up when the pieces repeat themselves."""
        try:
            async with self._post(self.url + path, body) as response:
                if response.status != 200 or "text/event-stream" not in response.headers.get("Content-Type", ""):
                    data = await self._read(response)  # a server that ignores `stream` answers as a whole
                    return data if isinstance(data, Fault) else self._checked(read_answer(data))
                streamed = StreamedAnswer(cut)
                async for event in _events(response):
                    fault = streamed.add(event)
                    if fault is not None:
                        return self._checked(fault)
                    if streamed.looping:
                        response.close()
                        break
                return self._checked(streamed.answer())
        except self._errors as error:
            return self._fault_of(error)

    async def post_json(self, url_path: str, body: dict[str, Any]) -> Any:
        """Post to a path below the root (`/tokenize`); return the JSON of the answer, or a Fault."""
        try:
            data = json.dumps(body).encode()
            async with self._post(self._root + url_path, data, timeout=_timeout(_TOKENIZE_TIMEOUT_S)) as response:
                return await self._read(response)
        except self._errors as error:
            return self._fault_of(error)

    async def get_json(self, url_path: str) -> Any:
        """Get a path below the root (`/version`) or below `/v1` (`/v1/models`); return its JSON, or a Fault."""
        url = self.url + url_path.removeprefix("/v1") if url_path.startswith("/v1/") else self._root + url_path
        try:
            async with self._get(url) as response:
                return await self._read(response)
        except self._errors as error:
            return self._fault_of(error)

    async def healthy(self, *, path: str | None = None) -> bool:
        """Say whether the server answers, by a path below the root or else by its list of models."""
        try:
            async with self._get(self.url + "/models" if path is None else self._root + path) as response:
                await _read_all(response)
                # An endpoint without a list of models is there all the same.
                return response.status < 400 or (path is None and response.status in (404, 405))
        except self._errors:
            return False

    async def gauges(self) -> Gauges | None:
        """Return what a vLLM server says of itself; None if it is none or does not answer."""
        try:
            async with self._get(self._root + "/metrics") as response:
                body = await _read_all(response)
                return read_gauges(body.decode("utf-8", "replace")) if response.status == 200 and body else None
        except self._errors:
            return None

    def scrub(self, text: str) -> str:
        """Return a message without the key, on one line and not too long."""
        return scrub(text, self._key)

    def _post(self, url: str, body: bytes, *, timeout: Any = None) -> Any:
        return self._session.post(
            url, data=body, headers=self._headers, timeout=timeout or self._timeout, allow_redirects=False
        )

    def _get(self, url: str) -> Any:
        return self._session.get(url, headers=self._headers, timeout=self._check_timeout, allow_redirects=False)

    async def _read(self, response: aiohttp.ClientResponse) -> Any:
        """Return the JSON of a response, or the Fault that it is."""
        body = await _read_all(response)
        if response.status != 200:
            text = "" if body is None else body[:20_000].decode("utf-8", "replace")
            retry_after = read_retry_after(response.headers.get("Retry-After"), now=time.time())
            return self._checked(fault_of_status(response.status, text, retry_after_s=retry_after))
        if body is None:
            return Fault(error="malformed", message=f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MB")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            return Fault(error="malformed", message="the answer is compressed, which was not asked for")
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            return Fault(error="malformed", message=self.scrub(f"the answer is no JSON: {error}"))

    def _checked(self, outcome: Answer | Fault) -> Answer | Fault:
        """Return an outcome without the key in it: some servers echo what they were sent."""
        if isinstance(outcome, Fault):
            return replace(outcome, message=self.scrub(outcome.message))
        key = self._key
        if key is None or len(key) < _MIN_SECRET_IN_TEXT or not (key in outcome.content or key in outcome.reasoning):
            return outcome
        content, reasoning = outcome.content.replace(key, "***"), outcome.reasoning.replace(key, "***")
        return replace(outcome, content=content, reasoning=reasoning)

    def _fault_of(self, error: Exception) -> Fault:
        """Say what an exception of the HTTP library or the network means."""
        import aiohttp

        # Its text can hold the URL, which holds no credentials, and bytes of the answer, which may.
        message = self.scrub(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        match error:
            case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
                return Fault(error="connection", message=f"not reachable: {message}", of_server=True)
            case TimeoutError():
                return Fault(error="timeout", message="no answer in time", overload=True)
            case aiohttp.ClientPayloadError():
                return Fault(error="malformed", message=f"the answer breaks off: {message}")
            case aiohttp.ClientConnectionError() | OSError():
                return Fault(error="connection", message=f"the connection broke: {message}")
        return Fault(error="malformed", message=f"no valid answer: {message}")


def open_session() -> aiohttp.ClientSession:
    """Open the session that the clients of one policy share. Only in an event loop."""
    import aiohttp

    # Idle connections are dropped before uvicorn drops them (5 s): a request on one that is just closing is lost.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4.0, socket_factory=_socket)
    session: aiohttp.ClientSession = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=2**18,
        headers={"User-Agent": "trace-factory"},
    )
    return session


def allow_connections(count: int) -> None:
    """Let this process hold as many sockets, and some files beside them, as far as the system lets it say so itself."""
    try:
        import resource
    except ModuleNotFoundError:  # no such limit here
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 512
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def import_aiohttp() -> Any:
    """Import aiohttp. Raises MissingExtra where it is not installed."""
    try:
        import aiohttp
    except ModuleNotFoundError as error:
        raise MissingExtra("aiohttp", extra="server", needed_for="the policy kind `server`") from error
    return aiohttp


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """Yield the JSON of each `data:` line (WHATWG, server-sent events) up to `[DONE]`.

    Raises ValueError or RecursionError for what is no JSON, or too large.
    """
    size, unfinished = 0, [b""]
    async for chunk in response.content.iter_any():
        if size == 0:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise ValueError(f"the stream is larger than {MAX_ANSWER_BYTES >> 20} MB")
        first, *others = chunk.split(b"\n")
        unfinished.append(first)
        if not others:
            continue
        lines, unfinished = [b"".join(unfinished), *others[:-1]], [others[-1]]
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield json.loads(data)


async def _read_all(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body; None if it is too large, in which case the connection is closed."""
    if response.content_length is not None and response.content_length <= MAX_ANSWER_BYTES:
        return await response.read()
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            response.close()
            return None
    return b"".join(chunks)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Open a socket that asks now and then whether the other side is still there.

    A completion can take an hour without a byte: gateways forget silent connections, and machines vanish silently.
    """
    family, kind, protocol, *_ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return opened


def _timeout(total: float) -> Any:
    import aiohttp

    return aiohttp.ClientTimeout(total=total, connect=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=None)
