"""The policy `vllm`: an engine of our own, in our process tree, fed as it finishes.

    VllmPolicyConfig   what a recipe says: a model and vLLM's engine options
    VllmPolicy         slots go to the worker process, completions come back in whatever order they end

The engine runs in a worker (`vllm_worker`) under a `guard`: neither Ctrl-C nor SIGKILL nor a crash leaves a process or
GPU memory behind, vLLM's output cannot disturb ours, and an engine that dies takes nothing with it but the slots in
flight. There is no batch and no barrier: a slot goes out as soon as there is room.

vLLM's text depends on what is decoded together, so the same slots may come out as another text in another run; what is
stored once never changes. It renders and samples nothing itself, and imports no vLLM.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import queue
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing import Pipe
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from pydantic import Field

from factory.errors import MissingExtra, PolicyError, UsageError
from factory.identity import config_json, digest
from factory.policy import guard
from factory.policy.engine_options import EngineOptions
from factory.policy.hub_model import HubModelConfig
from factory.policy.model_files import (
    Located,
    check_folder,
    content_hash,
    locate,
    locate_adapter,
    model_name,
    tensors_hash,
)
from factory.policy.prompt import form_hash, read_chat_template
from factory.policy.protocol import Policy, PromptForm, Sampling, taken
from factory.policy.torch import sampling_facts, sampling_identity
from factory.policy.vllm_worker import Broken, Forget, NewWeights, Ready, Setup, temporary_folder
from factory.records import Completion, Failure, PolicyStatus, ServerStatus, Slot

if TYPE_CHECKING:
    import torch

_GRACE_SECONDS = 2.0
"""An engine has nothing to save when it ends, but shared memory to remove."""
_SEND_ROWS = 64
"""Slots in one message to the worker."""


class VllmPolicyConfig(EngineOptions, HubModelConfig):
    """A model that a vLLM engine of our own samples."""

    kind: Literal["vllm"] = "vllm"
    cost_per_hour: float | None = Field(default=None, ge=0.0)
    """What the machine costs while the engine runs, for the forecast and the card."""

    def resolve(self) -> tuple[VllmPolicyConfig, ...]:
        """Pin what depends on the day: the commits of model and adapter."""
        pinned = {"revision": self.pinned_revision(), "adapter_revision": self.pin_adapter()}
        return (self.model_copy(update=pinned),)

    def fingerprint(self, sampling: Sampling, form: PromptForm) -> str:
        """Return the policy's fingerprint. Hashes a folder's files (once per content), loads nothing into memory."""
        return digest(self._identity(locate(self.model, revision=self.revision, with_weights=False), sampling, form))

    def open(self, sampling: Sampling, form: PromptForm) -> VllmPolicy:
        """Start the engine. Raises PolicyError or UsageError with vLLM's own reason if it cannot be."""
        if self.max_model_len is not None and sampling.max_tokens >= self.max_model_len:
            raise UsageError(
                f"max_tokens {sampling.max_tokens} leaves no room for a prompt in max_model_len {self.max_model_len}",
                hint="raise `max_model_len`, or lower `max_tokens`",
            )
        return VllmPolicy(self, sampling, form)

    def _identity(self, located: Located, sampling: Sampling, form: PromptForm) -> dict[str, Any]:
        return {
            "engine": self.kind,
            "weights": located.weights,
            **self.identity(located.folder),
            "form": form_hash(read_chat_template(located.folder), form),
            "sampling": sampling_identity(sampling),
        }


class VllmPolicy(Policy):
    """A running engine. Not for several threads at once."""

    def __init__(self, config: VllmPolicyConfig, sampling: Sampling, form: PromptForm) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise MissingExtra("vllm", extra="vllm", needed_for="the policy kind `vllm`")
        self.unit_size: int | None = None
        self._config, self._sampling, self._form = config, sampling, form
        located = locate(config.model, revision=config.revision, with_weights=True)
        adapter = None
        if config.adapter is not None:
            adapter = locate_adapter(config.adapter, revision=config.adapter_revision).folder
        self._folder = located.folder
        self._identity = config._identity(located, sampling, form)
        self._name = model_name(config.model)
        self._checkpoint: str | None = None
        self._in_flight: dict[str, Slot] = {}
        self._num_done = 0
        self._keep_log = False
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._log_path, self._worker = self._start()
        try:
            self._connection.send(
                Setup(
                    options=EngineOptions(**{name: getattr(config, name) for name in EngineOptions.model_fields}),
                    model_folder=located.folder,
                    adapter_folder=adapter,
                    sampling=sampling,
                    form=form,
                    name=self._name,
                )
            )
            ready = self._receive("starting")
        except BaseException:  # Ctrl-C too: nobody else would end it
            self.close()
            raise
        assert isinstance(ready, Ready), ready
        self.engine, self._room = ready.engine, ready.room
        self._describe()

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion | Failure]:
        """Yield a completion or a failure per slot as they finish. Raises PolicyError if the engine dies; what was not
        yielded by then is sampled by the next run."""
        stream = iter(slots)
        more = True
        try:
            while more or self._in_flight:
                while more and len(self._in_flight) < self._room:
                    batch, more = taken(stream, _SEND_ROWS)
                    self._send(batch)
                    if len(batch) < _SEND_ROWS:
                        break
                if not self._in_flight:
                    break
                for result in self._receive("sampling"):
                    del self._in_flight[result.trace_id]
                    self._num_done += 1
                    yield result
        except GeneratorExit:  # the caller has had enough
            self._forget()
            raise
        except BaseException:  # Ctrl-C may have torn a message in two: nobody can talk to the worker any more
            self.close()
            raise
        finally:
            self._in_flight.clear()

    def load_weights(self, weights: Path | Mapping[str, torch.Tensor]) -> None:
        """Replace the weights in the running engine; the adapter, if there is one, stays. Changes the fingerprint.

        The tokenizer must be the one that was loaded. Raises PolicyError, and leaves the old weights, if tensors are
        missing or have other shapes.
        """
        assert not self._in_flight, "load_weights() while sampling"
        if isinstance(weights, Path):
            check_folder(weights, name=weights.name)
            self._check_tokenizer(weights)
            self._replace(weights, name=weights.name)
            self._identity = {**self._identity, "weights": content_hash(weights)}
            self._checkpoint = weights.name
        else:
            from safetensors.torch import save_file

            with tempfile.TemporaryDirectory(dir=temporary_folder(), prefix="trace-factory-") as name:
                shutil.copy(self._folder / "config.json", name)
                save_file(_plain(weights), Path(name) / "model.safetensors")
                self._replace(Path(name), name="tensors")
            self._identity = {**self._identity, "weights": tensors_hash(weights)}
            self._checkpoint = None
        self._describe()

    def status(self) -> PolicyStatus:
        """Say what is in flight."""
        server = ServerStatus(
            name="engine",
            state="down" if self._worker.poll() is not None else "up",
            in_flight=len(self._in_flight),
            limit=self._room,
            num_done=self._num_done,
            num_faults=0,
        )
        return PolicyStatus(in_flight=len(self._in_flight), servers=(server,))

    def close(self) -> None:
        """End the engine and wait until its processes are gone and its memory is free."""
        self._in_flight.clear()
        with contextlib.suppress(OSError):
            self._connection.send(None)  # let it clean up; it ends then, and the listener with it
        self._listener.join(_GRACE_SECONDS)
        self._worker.stop()
        self._listener.join()  # its end of the connection is gone now, and ours may be closed
        self._connection.close()
        if not self._keep_log:
            self._log_path.unlink(missing_ok=True)

    def _start(self) -> tuple[Path, guard.Guarded]:
        self._connection, theirs = Pipe()
        descriptor, path = tempfile.mkstemp(prefix="trace-factory-vllm-", suffix=".log")
        # Not `-m`: the messages' classes would be others there than here.
        code = "from factory.policy.vllm_worker import main; main()"
        command = [sys.executable, "-P", "-c", code, "--connection", str(theirs.fileno())]
        fds = (theirs.fileno(),)
        with os.fdopen(descriptor, "wb") as log, theirs:
            worker = guard.start(command, log=log, env=engine_environment(), pass_fds=fds, grace_s=_GRACE_SECONDS)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return Path(path), worker

    def _listen(self) -> None:
        """Take the worker's messages as they come, so that it never waits for us."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                message = _Gone()
            self._messages.put(message)
            if isinstance(message, _Gone):
                return

    def _send(self, batch: list[Slot]) -> None:
        self._in_flight.update({slot.trace_id: slot for slot in batch})
        with contextlib.suppress(OSError):  # it is gone: the messages that it sent before come first, and then say so
            self._connection.send(batch)

    def _receive(self, doing: str) -> Any:
        """Return the next message. Raises PolicyError if the engine is broken or gone."""
        message = self._messages.get()
        if isinstance(message, _Gone):
            self._messages.put(message)  # whoever asks again hears the same
        if not isinstance(message, (Broken, _Gone)):
            return message
        if isinstance(message, Broken) and message.hint is not None:
            error: PolicyError | UsageError = (UsageError if message.is_usage else PolicyError)(
                message.message, hint=message.hint
            )
        else:
            said = message.message if isinstance(message, Broken) else ""
            self._worker.stop()
            text = self._log_path.read_text(encoding="utf-8", errors="replace")
            error = explain(text, said, doing=doing, name=self._name, status=self._worker.poll(), log=self._log_path)
            self._keep_log = True  # the message names it
        self._in_flight.clear()
        self.close()
        raise error

    def _forget(self) -> None:
        if not self._in_flight:
            return
        with contextlib.suppress(OSError, PolicyError):  # an engine that is dead needs to forget nothing
            self._connection.send(Forget())
            while not isinstance(self._receive("stopping"), Forget):
                pass

    def _replace(self, folder: Path, *, name: str) -> None:
        _check_shapes(folder, self._folder, name=name)
        self._connection.send(NewWeights(folder=folder))
        self._receive("taking new weights")

    def _check_tokenizer(self, folder: Path) -> None:
        theirs, ours = folder / "tokenizer.json", self._folder / "tokenizer.json"
        if theirs.is_file() and ours.is_file() and theirs.read_bytes() != ours.read_bytes():
            raise PolicyError(
                f"{folder.name!r} has another tokenizer than {self._name!r}",
                hint="weights alone can be replaced in a running engine; open a policy for the new model",
            )

    def _describe(self) -> None:
        self.fingerprint = digest(self._identity)
        self.description: dict[str, Any] = {
            "kind": self._config.kind,
            "model": self._name,
            **({} if self._checkpoint is None else {"checkpoint": self._checkpoint}),
            **({} if self._config.adapter is None else {"adapter": model_name(self._config.adapter)}),
            "revision": self._identity["weights"],
            "dtype": self._identity["dtype"],
            "form": config_json(self._form),
            "sampling": sampling_facts(self._sampling),
            "identity": self._identity,
        }


class _Gone:
    """The worker ended."""


def engine_environment() -> dict[str, str]:
    """Return the environment of an engine's process: ours, with vLLM's usage reports off and, where only a CPU is, a
    gigabyte of key-value cache unless the user says how much."""
    environment = dict(os.environ)
    environment.setdefault("VLLM_NO_USAGE_STATS", "1")
    environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    environment.setdefault("TOKENIZERS_PARALLELISM", "false")
    return environment


_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"out of memory|OutOfMemoryError|Cannot allocate memory|can't allocate memory|MemoryError|bad_alloc",
        "out of memory while {doing} {name!r}",
        "lower max_model_len, max_num_seqs or gpu_memory_utilization, or spread it with tensor_parallel_size",
    ),
    (
        r"No available memory for the cache blocks|larger than the available KV cache memory"
        r"|Free memory on device|less than desired GPU memory|KV cache is needed",
        "the key-value cache of {name!r} does not fit into memory",
        "lower max_model_len, raise gpu_memory_utilization (on a CPU: VLLM_CPU_KVCACHE_SPACE, in GB), or raise "
        "tensor_parallel_size",
    ),
    (
        r"Model architectures? .* (?:is|are) not supported|not supported for now",
        "vLLM does not support the architecture of {name!r}",
        "sample it with `kind: torch`, or with a newer vLLM",
    ),
    (
        r"World size \(\d+\) is larger|not enough GPUs|invalid device ordinal|Invalid device id",
        "there are fewer GPUs than {name!r} is told to use",
        "lower tensor_parallel_size, pipeline_parallel_size or data_parallel_size",
    ),
)
"""What a log says, what that means, what to do."""


_ROOT_CAUSE_ELSEWHERE = "root cause"


def explain(log_text: str, said: str, *, doing: str, name: str, status: int | None, log: Path) -> PolicyError:
    """Turn an engine's end into one sentence and a hint; the log's path is in it. Pure, but for the path it names."""
    text = f"{log_text}\n{said}"
    for pattern, meaning, hint in _CAUSES:
        if found := re.search(rf"^.*(?:{pattern}).*$", text, re.MULTILINE):
            detail = _shortened(found.group())
            return PolicyError(f"{meaning.format(doing=doing, name=name)}: {detail}", hint=f"{hint}; its log: {log}")
    if status is not None and status in (-9, 137):
        return PolicyError(
            f"the engine of {name!r} was killed while {doing}, as the system does when memory runs out",
            hint=f"give it more memory, or lower max_model_len or max_num_seqs; its log: {log}",
        )
    own = [line for line in log_text.splitlines() if re.search(r"\b\w*(?:Error|Exception)\b: ?\S", line)]
    own = [line for line in own if _ROOT_CAUSE_ELSEWHERE not in line]
    if said and _ROOT_CAUSE_ELSEWHERE not in said:
        own = [" ".join(said.split())]
    detail = _shortened(own[-1]) if own else "it says nothing"
    return PolicyError(f"the engine of {name!r} ended while {doing}: {detail}", hint=f"its log: {log}")


def _shortened(line: str) -> str:
    """Drop vLLM's own prefix (process, level, time, place) from a line of its log, and what is too long to read."""
    line = re.sub(r"^\(.*?\)\s*", "", line.strip())
    line = re.sub(r"^(?:ERROR|WARNING|INFO)\s+[\d-]+ [\d:]+ \[[^]]*\]\s*", "", line).strip()
    return line if len(line) <= 400 else line[:400] + "…"


def _plain(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors that a file can hold: on the CPU, contiguous, and each with memory of its own, as tied ones have
    not."""
    plain: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for key, tensor in weights.items():
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        plain[key] = own.clone() if place in seen else own
        seen.add(place)
    return plain


def _check_shapes(folder: Path, own: Path, *, name: str) -> None:
    """Raise PolicyError unless the files of a checkpoint hold every tensor of the model's own, in its shape.

    vLLM itself only warns about weights that it did not get, and samples on with a mixture.
    """
    theirs, ours = _shapes(folder), _shapes(own)
    tied = _read(own / "config.json").get("tie_word_embeddings", True)
    lacking = sorted(ours.keys() - theirs.keys() - ({"lm_head.weight"} if tied else set()))
    if lacking:
        raise PolicyError(f"{name!r} lacks {len(lacking)} weights of the model, e.g. {lacking[0]}")
    for key, shape in ours.items():
        if key in theirs and theirs[key] != shape:
            raise PolicyError(f"the tensor {key!r} of {name!r} has the shape {theirs[key]}, not {shape}")


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Read names and shapes from the headers of safetensors files: no weights are loaded."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            header = _header(file, path)
        shapes |= {key: tuple(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}
    return shapes


def _header(file: IO[bytes], path: Path) -> dict[str, Any]:
    """Read a safetensors header: eight bytes of length, then JSON."""
    size = int.from_bytes(file.read(8), "little")
    try:
        header = json.loads(file.read(size)) if size <= path.stat().st_size else None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise PolicyError(f"{path.name} is no file in the safetensors format")
    return header


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
