"""A mock of the servers that policies are sampled on: OpenAI-compatible, deterministic, failing at given rates.

    python -m factory.testing.mock_server --faults rate_limited=0.02,server_error=0.02     # prints its base URL
    with serving(MockBehaviour(faults=Faults(reset=0.1))) as server: ...                   # a thread of this process
    with running(["--faults", "reset=0.1"]) as server: ...                                 # a process of its own

It answers /v1/chat/completions and /v1/completions (whole and streamed), /v1/models and /health; in the dialect `vllm`
also /version, /metrics, /tokenize and /detokenize; and /mock/stats with what it counted. The parts:

    mock_behaviour   the options, and which fault meets which request
    mock_text        toy tokenizer, deterministic completions
    mock_answers     the JSON of vLLM 0.32 and of OpenAI
    mock_faults      how each fault looks on the wire
    mock_endpoints   the endpoints
    mock_engine      requests decoded at once, waiting ones, counters

It has no `n` above 1, tools, images, `min_tokens`, `ignore_eos` or `echo`, and its texts mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from factory.errors import MissingExtra

try:
    from aiohttp import web
except ModuleNotFoundError as missing:
    raise MissingExtra("aiohttp", extra="server", needed_for="the mock server") from missing

from factory.testing.mock_behaviour import FAULTS, Dialect, Faults, MockBehaviour, ReasoningApart
from factory.testing.mock_endpoints import Endpoints
from factory.testing.mock_engine import slot_key

__all__ = ["Faults", "MockBehaviour", "MockServer", "running", "serving", "slot_key"]

_MOST_BYTES = 64 * 2**20
"""Of a request's body."""


class MockServer:
    """A mock server that runs elsewhere: in a thread or in a process."""

    def __init__(self, url: str, stop: Callable[[], None], pid: int | None = None) -> None:
        self.url = url
        """Base URL, `http://127.0.0.1:8000/v1`."""
        self.pid = pid
        """Its process, where it has one of its own."""
        self._stop = stop

    def stats(self, *, slots: bool = False) -> dict[str, Any]:
        """Return what it counted so far (GET /mock/stats); with `slots`, also the right answers by `slot_key`."""
        address = self.url.removesuffix("/v1") + "/mock/stats" + ("?slots=1" if slots else "")
        with urllib.request.urlopen(address, timeout=30) as answer:
            stats: dict[str, Any] = json.load(answer)
            return stats

    def stop(self) -> None:
        """End it at once, its connections included; a second time does nothing."""
        self._stop()


@contextmanager
def serving(behaviour: MockBehaviour | None = None, *, port: int = 0) -> Iterator[MockServer]:
    """Serve in a thread of this process until the block ends. Raises OSError where it cannot listen."""
    started: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []
    failed: list[OSError] = []
    ready = threading.Event()

    async def serve() -> None:
        ended = asyncio.Event()
        async with _listening(behaviour or MockBehaviour(), "127.0.0.1", port) as url:
            started.append((url, asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except OSError as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="mock-server", daemon=True)
    thread.start()
    ready.wait()
    if failed:
        raise failed[0]
    url, loop, ended = started[0]

    def stop() -> None:
        if thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop closed in between
                loop.call_soon_threadsafe(ended.set)
            thread.join()

    try:
        yield MockServer(url, stop)
    finally:
        stop()


@contextmanager
def running(arguments: Sequence[str] = ()) -> Iterator[MockServer]:
    """Serve in a process of its own, given the command's options, until the block ends."""
    command = [sys.executable, "-m", "factory.testing.mock_server", "--with-stdin", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None

        def stop() -> None:
            process.kill()
            process.wait()

        try:
            url = process.stdout.readline().strip()
            if not url:
                raise OSError(f"the mock server ended with exit status {process.wait()}")
            yield MockServer(url, stop, process.pid)
        finally:
            stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command: print the base URL, then serve until SIGINT or SIGTERM."""
    options = vars(_parser().parse_args(arguments))
    host, port, with_stdin = options.pop("host"), options.pop("port"), options.pop("with_stdin")
    try:
        behaviour = MockBehaviour(**options)
    except ValueError as error:
        _parser().error(str(error))

    async def serve() -> None:
        async with _listening(behaviour, host, port) as url:
            sys.stdout.write(url + "\n")
            sys.stdout.flush()
            if with_stdin:
                await asyncio.to_thread(sys.stdin.read)
            else:
                await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


@contextlib.asynccontextmanager
async def _listening(behaviour: MockBehaviour, host: str, port: int) -> Any:
    """Listen until the block ends; gives the base URL."""
    loop = asyncio.get_running_loop()

    def with_large_bodies(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MOST_BYTES)

    # Cancellation frees the place of a request whose client is gone.
    server = web.Server(
        Endpoints(behaviour).serve, request_factory=with_large_bodies, handler_cancellation=True, access_log=None
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.01)  # 0 would be for ever
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        yield f"http://{host}:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    default = MockBehaviour()
    parser = argparse.ArgumentParser(
        prog="python -m factory.testing.mock_server",
        description="Serve a mock of vLLM or of an OpenAI-compatible endpoint. Completions are a pure "
        "function of prompt, seed and sampling parameters; faults are drawn by prompt, seed and attempt. Prints its "
        "base URL.",
        epilog="example: %(prog)s --port 8000 --faults rate_limited=0.02,reset=0.01 --capacity 32 --token-seconds "
        "0.01; then `curl http://127.0.0.1:8000/mock/stats` says what it counted.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port; 0 takes a free one (default: %(default)s)")
    add("--with-stdin", action="store_true", help="end when standard input is closed, as it is when its owner dies")
    add("--faults", type=Faults.parse, default=default.faults, metavar="NAME=SHARE,...", help=f"of {', '.join(FAULTS)}")
    add("--tokens", type=_pair, default=default.tokens, metavar="MIN,MAX", help="length of the thinking part")
    choices = {"dialect": get_args(Dialect), "reasoning_apart": get_args(ReasoningApart), "overflow_status": (429, 503)}
    for option in dataclasses.fields(MockBehaviour):
        if option.name in ("faults", "tokens", "replies"):
            continue
        value, flag = getattr(default, option.name), "--" + option.name.replace("_", "-")
        text = _HELP[option.name] + " (default: %(default)s)"
        if isinstance(value, bool):
            add(flag, action=argparse.BooleanOptionalAction, default=value, help=text)
        else:
            kind = {"api_key": str, "queue": int, "kv_tokens": int}.get(option.name, type(value))
            add(flag, type=kind, default=value, choices=choices.get(option.name), help=text)
    return parser


def _pair(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition(",")
    return int(fewest), int(most or fewest)


_HELP = {
    "dialect": "vLLM 0.32 with metrics and tokenizer, or only what OpenAI documents",
    "model": "name it serves",
    "api_key": "bearer token that requests must carry",
    "seed": "decides completions and faults together with the requests",
    "always_fail": "share of slots (prompt and seed) that fail at every attempt",
    "thinks": "completions have a <think> block",
    "right": "share of simple sums in prompts that are solved rightly",
    "prefilled_think": "the chat template ends with an opened <think>",
    "reasoning_apart": "field of a chat answer that holds the thinking apart",
    "max_model_len": "most tokens of prompt and completion",
    "capacity": "requests decoded at once; the others wait",
    "queue": "most requests that wait",
    "overflow_status": "answer to a request beyond the queue",
    "kv_tokens": "tokens the KV cache holds; beyond it requests are preempted and take twice as long",
    "first_token_seconds": "time to the first token",
    "token_seconds": "time per token",
    "slow_seconds": "delay of an answer that meets the fault `slow`",
    "retry_after": "seconds in Retry-After",
    "stream_tokens": "tokens per event of a stream",
}

if __name__ == "__main__":
    main()
