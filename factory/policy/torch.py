"""The embedded policy: transformers on a CPU or one GPU, without a server.

In: slots. Out: completions, in batches of `batch_size` consecutive slots. A batch is a unit: the same slots together
give the same text again, whatever ran before, with the same number of threads on the same kind of machine. In another
batch size or with other threads a few texts in a thousand differ, where rounding moves a draw over the border between
two tokens; that is not another policy. What belongs to its identity is written down in `_identity`: batch size,
device and number of threads do not, the dtype does.

It renders nothing (`prompt`), decodes nothing (`torch_decoding`), shards nothing over several GPUs, and runs no code
that comes with a model. torch and transformers are imported when a policy is opened, so that a plan needs neither.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from factory.errors import MissingExtra, PolicyError
from factory.identity import config_json, digest
from factory.policy.devices import has_gpu_device
from factory.policy.hub_model import HubModelConfig
from factory.policy.model_files import (
    TOKENIZER_FILES,
    Located,
    check_folder,
    content_hash,
    locate,
    model_name,
    tensors_hash,
)
from factory.policy.prompt import form_hash, read_chat_template
from factory.policy.protocol import Policy, PromptForm, Sampling, taken
from factory.policy.tokens import EncodedPrompt, TextCodec, load_tokenizer, quiet
from factory.records import Completion, Failure, PolicyStatus, Slot

if TYPE_CHECKING:
    import torch

BATCH_SIZE = 128
"""Where the throughput of a model of a million parameters on one core levels off."""

SMALL_MODEL_BYTES = 64 * 2**20
"""Weights up to this size are sampled on one thread unless the recipe says otherwise."""


class TorchPolicyConfig(HubModelConfig):
    """A causal language model that transformers loads, sampled in this process."""

    kind: Literal["torch"] = "torch"
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type of the weights and activations; float32 on a CPU and bfloat16 on a GPU unless given."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`auto` takes the first GPU where there is one."""
    batch_size: int = Field(default=BATCH_SIZE, ge=1, le=65536)
    """Slots that are sampled together."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads torch may use. Unless given: 1 for a small model, which more threads only slow down, else torch's."""

    def resolve(self) -> tuple[TorchPolicyConfig, ...]:
        """Pin what depends on the machine or the day: the commit of a Hub id, and the dtype."""
        return (self.model_copy(update={"revision": self.pinned_revision(), "dtype": self._dtype()}),)

    def fingerprint(self, sampling: Sampling, form: PromptForm) -> str:
        """Return the policy's fingerprint. Hashes a folder's files (once per content), loads nothing into memory."""
        return digest(self._identity(locate(self.model, revision=self.revision, with_weights=False), sampling, form))

    def open(self, sampling: Sampling, form: PromptForm) -> TorchPolicy:
        """Load model and tokenizer. Raises PolicyError for a model that is missing or no causal language model."""
        return TorchPolicy(self, sampling, form)

    def _identity(self, located: Located, sampling: Sampling, form: PromptForm) -> dict[str, Any]:
        """Return what the fingerprint is the hash of: all that decides which text is sampled."""
        return {
            "engine": self.kind,
            "weights": located.weights,
            "dtype": self._dtype(),
            "form": form_hash(read_chat_template(located.folder), form),
            "sampling": sampling_identity(sampling),
        }

    def _dtype(self) -> str:
        return self.dtype or ("float32" if self._device() == "cpu" else "bfloat16")

    def _device(self) -> str:
        if self.device != "auto":
            return self.device
        if not has_gpu_device():  # importing torch takes seconds, and there is nothing to ask it
            return "cpu"
        try:
            import torch
        except ModuleNotFoundError:
            return "cpu"
        return "cuda" if torch.cuda.is_available() else "cpu"


def _threads_for(folder: Path) -> int | None:
    num_bytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return 1 if num_bytes <= SMALL_MODEL_BYTES else None


def sampling_identity(sampling: Sampling) -> dict[str, Any]:
    """Return the sampling parameters that decide the text: those that are not the default, and always temperature
    and max_tokens. What is merely kept (`token_ids`, `logprobs`) changes no text."""
    data = config_json(sampling)
    for kept in ("token_ids", "logprobs"):
        data.pop(kept, None)
    return {**data, "temperature": sampling.temperature, "max_tokens": sampling.max_tokens}


def sampling_facts(sampling: Sampling) -> dict[str, Any]:
    """Return all sampling parameters that decide the text, for a reader: also those that are the default today."""
    return sampling.model_dump(mode="json", exclude={"token_ids", "logprobs"})


class TorchPolicy(Policy):
    """A loaded model. Not for several threads at once."""

    def __init__(self, config: TorchPolicyConfig, sampling: Sampling, form: PromptForm) -> None:
        torch, _ = _import_engine()
        self.engine = f"torch {torch.__version__}"
        self.unit_size: int | None = config.batch_size
        self._config, self._sampling, self._form = config, sampling, form
        located = locate(config.model, revision=config.revision, with_weights=True)
        if (threads := config.threads or _threads_for(located.folder)) is not None:
            torch.set_num_threads(threads)
        self._identity = config._identity(located, sampling, form)
        self._name = model_name(config.model)
        self._checkpoint: str | None = None
        self._tokenizer_folder = located.folder
        self._model: Any = None
        self._use(self._load_model(located.folder), load_tokenizer(located.folder))
        self._describe()

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion | Failure]:
        """Yield a completion or a failure per slot, batch by batch, each as soon as it ends."""
        stream, more = iter(slots), True
        while more:
            batch, more = taken(stream, self._config.batch_size)
            yield from self._sample_batch(batch)

    def load_weights(self, weights: Path | Mapping[str, torch.Tensor]) -> None:
        """Replace the weights, and the tokenizer if a folder holds one; changes the fingerprint."""
        if not isinstance(weights, Path):
            self._load_tensors(weights)
            return
        checkpoint = weights
        check_folder(checkpoint, name=checkpoint.name)
        identity = content_hash(checkpoint)
        if (checkpoint / "tokenizer.json").is_file():
            self._use(self._load_model(checkpoint), load_tokenizer(checkpoint))
            self._tokenizer_folder = checkpoint
        else:
            self._use(self._load_model(checkpoint), self._tokenizer)
            identity = digest([identity, content_hash(self._tokenizer_folder, only=TOKENIZER_FILES)])
        form = form_hash(read_chat_template(self._tokenizer_folder), self._form)
        self._identity = {**self._identity, "weights": identity, "form": form}
        self._checkpoint = checkpoint.name
        self._describe()

    def _load_tensors(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Copy tensors into the model; all or none."""
        from factory.policy.torch_decoding import prepare

        own = self._model.state_dict()
        tied = set(getattr(self._model, "all_tied_weights_keys", None) or ())
        if lacking := sorted(own.keys() - tensors.keys() - tied):
            raise PolicyError(f"the tensors lack {len(lacking)} weights of {self._name!r}, e.g. {lacking[0]}")
        if unknown := sorted(tensors.keys() - own.keys()):
            raise PolicyError(f"{self._name!r} has no weight {unknown[0]!r}")
        for name, tensor in tensors.items():
            if own[name].shape != tensor.shape:
                shapes = f"{tuple(tensor.shape)}, not {tuple(own[name].shape)}"
                raise PolicyError(f"the tensor {name!r} has the shape {shapes}")
        self._model.load_state_dict(dict(tensors), strict=False)
        prepare(self._model)
        self._identity = {**self._identity, "weights": tensors_hash(tensors)}
        self._checkpoint = None
        self._describe()

    def status(self) -> PolicyStatus:
        """Return an empty status: nothing is in flight outside this thread."""
        return PolicyStatus()

    def close(self) -> None:
        """Let go of the model; on a GPU its memory is free again afterwards."""
        import torch

        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _sample_batch(self, slots: Sequence[Slot]) -> Iterator[Completion | Failure]:
        from factory.policy.torch_decoding import Request, decode

        assert self._model is not None, "sample() after close()"
        started_at, clock = time.time(), time.perf_counter()
        accepted: list[tuple[Slot, EncodedPrompt]] = []
        for slot in slots:
            prompt = self._codec.encode(slot)
            if isinstance(prompt, Failure):
                yield prompt
            else:
                accepted.append((slot, prompt))
        if not accepted:
            return
        try:
            for sampled in decode(
                self._model,
                [Request(prompt_ids=prompt.ids, seed=slot.seed) for slot, prompt in accepted],
                sampling=self._sampling,
                eos_ids=self._eos_ids,
                ends_with_stop=self._codec.ends_with_stop if self._sampling.stop else None,
                stop_tail=self._stop_tail,
            ):
                slot, prompt = accepted[sampled.row]
                seconds = time.perf_counter() - clock
                yield self._codec.completion(
                    slot,
                    prompt,
                    sampled.token_ids,
                    sampled.finish_reason,
                    logprobs=sampled.logprobs,
                    started_at=started_at,
                    seconds=seconds,
                )
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise PolicyError(
                f"out of memory while sampling a batch of {len(accepted)}",
                hint=f"set a `batch_size` below {self._config.batch_size} for this policy, or lower `max_tokens`",
            ) from error

    def _load_model(self, folder: Path) -> Any:
        torch, transformers = _import_engine()
        from safetensors import SafetensorError

        from factory.policy.torch_decoding import prepare

        device = self._config._device()
        if device != "cpu" and not torch.cuda.is_available():
            raise PolicyError(f"device {device!r} is not usable here", hint="set `device: cpu`, or leave it out")
        with quiet(transformers):
            try:
                model, loading = transformers.AutoModelForCausalLM.from_pretrained(
                    str(folder),
                    dtype=getattr(torch, self._config._dtype()),
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
                model.to(device)
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                if _is_out_of_memory(error):
                    raise PolicyError(f"{folder.name!r} does not fit into the memory of {device}") from error
                raise PolicyError(f"the model {folder.name!r} cannot be loaded: {error}") from error
        if loading["missing_keys"] or loading["mismatched_keys"]:
            # transformers fills such weights with random numbers and goes on.
            lacking = sorted(str(key) for key in (loading["missing_keys"] or loading["mismatched_keys"]))
            raise PolicyError(f"the files of {folder.name!r} lack {len(lacking)} weights, e.g. {lacking[0]}")
        prepare(model)
        return model

    def _use(self, model: Any, tokenizer: Any) -> None:
        """Take a model and a tokenizer that were both loaded: if one fails to load, the policy stays as it was."""
        eos_ids = _eos_ids(model, tokenizer)
        codec = TextCodec(
            tokenizer,
            self._sampling,
            self._form,
            context=_context_length(model, tokenizer),
            eos_ids=eos_ids,
            name=self._name,
            vocabulary=int(model.get_input_embeddings().weight.shape[0]),
        )
        self._model, self._tokenizer, self._codec, self._eos_ids = model, tokenizer, codec, eos_ids
        # A stop string spans at most as many tokens as it has bytes; special tokens between them do not count.
        self._stop_tail = 8 + max((len(stop.encode()) for stop in self._sampling.stop), default=0)

    def _describe(self) -> None:
        self.fingerprint = digest(self._identity)
        config = self._config
        self.description: dict[str, Any] = {
            "kind": config.kind,
            "model": self._name,
            **({} if self._checkpoint is None else {"checkpoint": self._checkpoint}),
            "revision": self._identity["weights"],
            "dtype": self._identity["dtype"],
            "form": config_json(self._form),
            "sampling": sampling_facts(self._sampling),
            "identity": self._identity,
        }


def _import_engine() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", extra="train", needed_for="the policy kind `torch`") from error
    return torch, transformers


def _context_length(model: Any, tokenizer: Any) -> int:
    """Return how many tokens prompt and completion may have together."""
    text_config = model.config.get_text_config(decoder=True)
    length = getattr(text_config, "max_position_embeddings", None)
    return int(length or tokenizer.model_max_length)


def _eos_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end a text: those of generation_config.json (one or several), and the tokenizer's."""
    found: set[int] = set()
    for declared in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        if declared is not None:
            found.update([declared] if isinstance(declared, int) else declared)
    return tuple(sorted(found))


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    # The CPU allocator raises a plain RuntimeError.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
