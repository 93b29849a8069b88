"""The process that holds a vLLM engine. `vllm.py` starts it and runs `main` there.

In, over the connection: one `Setup`, then batches of slots and new weights. Out: `Ready` or `Broken`, then completions
and failures in batches as they finish. Rendering, tokenizing and detokenizing happen here, beside the engine and not in
the process that writes the ledger. The engine's own log goes to stdout and stderr, which the parent keeps in a file.

vLLM's `AsyncLLM` does the batching: every slot is one request with its own seed, and goes in as soon as it arrives. The
process ends when the connection does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from factory.errors import FactoryError, UsageError
from factory.policy.engine_options import EngineOptions
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.tokens import EncodedPrompt, TextCodec, load_tokenizer
from factory.records import Completion, Failure, FinishReason, Slot

FINISH_REASONS: dict[str | None, FinishReason] = {"stop": "stop", "length": "length", "repetition": "loop"}
"""What vLLM's finish reasons are stored as."""

_SEND_SECONDS = 0.05
_ADAPTER_NAME = "adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the engine is told at its start."""

    options: EngineOptions
    """How it is set up."""
    model_folder: Path
    """The model's files."""
    adapter_folder: Path | None
    """A LoRA adapter's files."""
    sampling: Sampling
    """How completions are drawn."""
    form: PromptForm
    """How prompts are rendered."""
    name: str
    """The model's name in messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The engine takes slots."""

    engine: str
    """Engine and version."""
    room: int
    """Slots that it can be given at once and still have some waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The engine cannot be set up, or cannot take new weights."""

    message: str
    """What is wrong."""
    hint: str | None
    """What to do about it."""
    is_usage: bool
    """Whether the recipe is to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWeights:
    """Replace the weights. The answer is None or `Broken`."""

    folder: Path
    """config.json and safetensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Give up all slots in flight. The answer is the same, after which nothing of them comes any more."""


def main() -> None:
    """Serve one parent until it is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection", type=int, required=True)
    connection = Connection(parser.parse_args().connection)
    # The tokenizers library warns in every process that is forked after its use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    asyncio.run(_serve(connection))
    os._exit(0)  # the engine is shut down; nothing may keep the process from ending


async def _serve(connection: Connection) -> None:
    setup: Setup = connection.recv()
    try:
        engine = _Engine(setup)
    except FactoryError as error:
        connection.send(Broken(message=error.message, hint=error.hint, is_usage=isinstance(error, UsageError)))
        return
    except Exception as error:  # noqa: BLE001 - whatever vLLM raises is said to the parent, which knows its log
        connection.send(Broken(message=f"{type(error).__name__}: {error}", hint=None, is_usage=False))
        return
    connection.send(Ready(engine=engine.name, room=engine.room))
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[list[Slot] | NewWeights | Forget | None] = asyncio.Queue()

    def listen() -> None:
        message: list[Slot] | NewWeights | Forget | None = None
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                message = None
            loop.call_soon_threadsafe(inbox.put_nowait, message)
            if message is None:
                return

    threading.Thread(target=listen, daemon=True).start()
    outbox = _Outbox(connection)
    running: set[asyncio.Task[None]] = set()
    flusher = asyncio.create_task(outbox.flush_regularly())

    def start(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        running.add(task)
        task.add_done_callback(lambda done: _check(done, running))

    while (message := await inbox.get()) is not None:
        if isinstance(message, NewWeights):
            connection.send(await engine.load(message.folder))
        elif isinstance(message, Forget):
            await _cancel(running)
            outbox.clear()
            connection.send(message)
        else:
            for slot in message:
                start(engine.answer(slot, outbox))
    flusher.cancel()
    engine.shutdown()


def _check(task: asyncio.Task[None], running: set[asyncio.Task[None]]) -> None:
    """Let a failed request end the process: its engine is dead, and the parent reads why in the log."""
    running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        print(f"ERROR the engine failed: {type(error).__name__}: {error}", flush=True)  # noqa: T201 - this is the log
        os._exit(1)


async def _cancel(running: set[asyncio.Task[None]]) -> None:
    tasks = list(running)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Outbox:
    """Sends results in batches: one message per completion would cost more than the completion."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[Completion | Failure] = []

    def put(self, result: Completion | Failure) -> None:
        self._waiting.append(result)

    def clear(self) -> None:
        self._waiting.clear()

    async def flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SEND_SECONDS)
            if self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    self._connection.send(batch)
                except OSError:  # the parent is gone; the listener ends us
                    return


class _Engine:
    """vLLM's engine with what it needs on both sides."""

    def __init__(self, setup: Setup) -> None:
        import vllm
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.inputs.engine import tokens_input
        from vllm.lora.request import LoRARequest
        from vllm.sampling_params import RepetitionDetectionParams, RequestOutputKind, SamplingParams
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.engine.exceptions import EngineGenerateError

        self.name = f"vllm {vllm.__version__}"
        self._request_errors = (ValueError, EngineGenerateError)
        self._tokens_input = tokens_input
        tokenizer = load_tokenizer(setup.model_folder)
        setup.options.check_names(AsyncEngineArgs.__dataclass_fields__)
        arguments = setup.options.arguments(setup.model_folder)
        arguments.setdefault("disable_log_stats", True)  # nobody reads them here, and they are counted per token
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        config = self._engine.vllm_config
        eos_ids = _eos_ids(setup.model_folder, tokenizer)
        self._codec = TextCodec(
            tokenizer,
            setup.sampling,
            setup.form,
            context=config.model_config.max_model_len,
            eos_ids=eos_ids,
            name=setup.name,
            vocabulary=config.model_config.get_vocab_size(),
        )
        # As many waiting as decoding: the engine never looks for work, and a kill loses little.
        self.room = 2 * config.scheduler_config.max_num_seqs * setup.options.data_parallel_size
        self._adapter = (
            None
            if setup.adapter_folder is None
            else LoRARequest(lora_name=_ADAPTER_NAME, lora_int_id=1, lora_path=str(setup.adapter_folder))
        )
        sampling = setup.sampling
        cut = sampling.loop_cut
        self._params = SamplingParams(
            n=1,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            stop_token_ids=list(eos_ids),
            logprobs=0 if sampling.logprobs else None,
            # The text is made from the tokens, at once and by the same code for every engine; only stop strings need
            # the text while it grows.
            detokenize=bool(sampling.stop),
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            repetition_detection=None
            if cut is None
            else RepetitionDetectionParams(
                max_pattern_size=cut.max_pattern_size,
                min_pattern_size=cut.min_pattern_size,
                min_count=cut.min_count,
            ),
        )

    async def answer(self, slot: Slot, outbox: _Outbox) -> None:
        prompt = self._codec.encode(slot)
        outbox.put(prompt if isinstance(prompt, Failure) else await self._sample(slot, prompt))

    async def _sample(self, slot: Slot, prompt: EncodedPrompt) -> Completion | Failure:
        params = self._params.clone()
        params.seed = slot.seed
        started_at, clock = time.time(), time.perf_counter()
        inputs = self._tokens_input(list(prompt.ids))
        stream = self._engine.generate(inputs, params, slot.trace_id, lora_request=self._adapter)
        try:
            (best,) = [output async for output in stream][-1].outputs
        except self._request_errors as error:  # of this request alone: the engine goes on
            return Failure(trace_id=slot.trace_id, error="engine", message=f"{type(error).__name__}: {error}"[:500])
        seconds = time.perf_counter() - clock
        finish_reason = FINISH_REASONS.get(best.finish_reason)
        if finish_reason is None:
            message = f"vLLM ended the request with {best.finish_reason!r}"
            return Failure(trace_id=slot.trace_id, error="engine", message=message)
        token_ids = list(best.token_ids)
        logprobs = None
        if best.logprobs is not None:
            steps: Any = best.logprobs
            logprobs = [step[token].logprob for step, token in zip(steps, token_ids, strict=True)]
        return self._codec.completion(
            slot, prompt, token_ids, finish_reason, logprobs=logprobs, started_at=started_at, seconds=seconds
        )

    async def load(self, folder: Path) -> Broken | None:
        try:
            await self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            await self._engine.reset_prefix_cache()  # computed with the old weights
        except Exception as error:  # noqa: BLE001 - the parent is told, and lets go of the engine
            return Broken(message=f"{type(error).__name__}: {error}", hint=None, is_usage=False)
        return None

    def shutdown(self) -> None:
        self._engine.shutdown(timeout=0)


def _eos_ids(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end a text: those of generation_config.json and config.json, and the tokenizer's."""
    import json

    found: set[int] = set()
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        declared = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.is_file() else None
        if declared is not None:
            found.update([declared] if isinstance(declared, int) else declared)
    if tokenizer.eos_token_id is not None:
        found.add(tokenizer.eos_token_id)
    return tuple(sorted(found))


def temporary_folder() -> Path:
    """Return where weights in memory are handed over: memory where there is a file system for it."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
