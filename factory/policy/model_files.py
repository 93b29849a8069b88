"""Where a model's files are, and what identifies them: a folder, the model that ships, or a Hub id.

In: what a recipe says under `model` and `revision`. Out: a folder with `config.json`, and the identity of its weights:
the commit for the Hub, a hash of the content for a folder. Only a model on the Hub needs huggingface_hub, and only one
that is not in the local cache needs a network. Nothing is loaded; files are hashed once per content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.errors import MissingExtra, PolicyError
from factory.identity import digest, hash_bytes, hash_file

if TYPE_CHECKING:
    import torch

BUILTIN = "builtin:"
BUILTIN_FOLDER = Path(__file__).parent
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
MODEL_FILES = ("config.json", "generation_config.json")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
HUB_TEXT_FILES = ("*.json", "*.jinja", "*.txt", "tokenizer.model")

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where a model's files are."""

    folder: Path
    """Folder with config.json."""
    commit: str | None
    """Commit on the Hub; None for a folder of the user's."""

    @property
    def weights(self) -> str:
        """What identifies the files: the commit, or the hash of the content."""
        return self.commit or content_hash(self.folder)


def locate(model: str, *, revision: str | None, with_weights: bool) -> Located:
    """Find a model's files; those of a Hub id are downloaded where the cache lacks them, weights only if asked for.

    Raises PolicyError with a hint if there is no such model or its folder lacks something.
    """
    folder = local_folder(model)
    if folder is not None:
        if revision is not None:
            raise PolicyError(
                f"{model!r} is a folder and has no revision {revision!r}",
                hint="remove `revision`, or name a model on the Hub",
            )
        check_folder(folder, name=model)
        return Located(folder=folder, commit=None)
    commit = hub_commit(model, revision)
    folder = _hub_folder(model, commit, with_weights=with_weights)
    if with_weights:
        check_folder(folder, name=model)
    return Located(folder=folder, commit=commit)


def model_name(model: str) -> str:
    """Return what a reader knows a model by: a Hub id or `builtin:` name as it is, of a folder only its own name."""
    if model.startswith(BUILTIN) or local_folder(model) is None:
        return model
    return Path(model).expanduser().resolve().name


def local_folder(model: str) -> Path | None:
    """Return the model's folder, or None for a Hub id. Raises PolicyError for a path that does not exist."""
    if model.startswith(BUILTIN):
        folder = BUILTIN_FOLDER / model.removeprefix(BUILTIN)
        if "/" in model or not (folder / "config.json").is_file():
            raise PolicyError(f"there is no {model!r}", hint="`builtin:micro` is the model that ships")
        return folder
    path = Path(model).expanduser()
    if path.exists():
        return path
    if HUB_ID.fullmatch(model) is None or model.endswith((".safetensors", ".json", ".gguf")):
        raise PolicyError(
            f"there is no model at {model!r}",
            hint="name a folder with config.json and safetensors, a Hub id (org/name), or builtin:micro",
        )
    return None


def check_folder(folder: Path, *, name: str) -> None:
    """Raise PolicyError unless a folder holds a configuration and weights in the safetensors format."""
    if not (folder / "config.json").is_file():
        raise PolicyError(
            f"{name!r} is not a model's folder: it has no config.json",
            hint="name the folder that `save_pretrained` wrote",
        )
    if not any(folder.glob("*.safetensors")):
        raise PolicyError(
            f"{name!r} has no *.safetensors",
            hint="save the model in the safetensors format; pickled weights are not loaded, they can run code",
        )


def locate_adapter(adapter: str, *, revision: str | None) -> Located:
    """Find a LoRA adapter in peft's format: a folder, or a Hub id, which is downloaded where the cache lacks it.

    Raises PolicyError with a hint if there is none.
    """
    path = Path(adapter).expanduser()
    commit = None
    if not path.exists():
        if HUB_ID.fullmatch(adapter) is None:
            raise PolicyError(f"there is no adapter at {adapter!r}", hint="name peft's folder or a Hub id (org/name)")
        commit = hub_commit(adapter, revision)
        path = _hub_folder(adapter, commit, with_weights=True)
    for name in ADAPTER_FILES:
        if not (path / name).is_file():
            raise PolicyError(
                f"{adapter!r} is not a LoRA adapter: it has no {name}",
                hint="name the folder that peft's `save_pretrained` wrote, in the safetensors format",
            )
    return Located(folder=path, commit=commit)


def content_hash(folder: Path, *, only: Sequence[str] | None = None) -> str:
    """Hash the files that decide what a model samples: weights, configuration, tokenizer."""
    names = {*MODEL_FILES, *TOKENIZER_FILES, *ADAPTER_FILES} if only is None else set(only)
    files = [f for f in folder.iterdir() if f.name in names or (only is None and f.suffix == ".safetensors")]
    return digest({f.name: _file_hash(f) for f in files})


def tensors_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hash weights held in memory: names, types, shapes and bytes. One pass over the data."""
    import torch

    parts = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().to("cpu").contiguous().view(-1).view(torch.uint8)
        parts[name] = [str(tensor.dtype), list(tensor.shape), hash_bytes(flat.numpy().data)]
    return digest(parts)


def hub_commit(model: str, revision: str | None) -> str:
    """Return the commit a revision of a Hub model stands for: from the local cache, else by asking the Hub."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    hub = _import_hub()
    from huggingface_hub import constants

    repo = "models--" + model.replace("/", "--")
    ref = Path(constants.HF_HUB_CACHE) / repo / "refs" / (revision or "main")
    if ref.is_file():
        return ref.read_text(encoding="utf-8").strip()
    try:
        return str(hub.HfApi().model_info(model, revision=revision).sha)
    except _hub_errors() as error:
        raise PolicyError(
            f"the model {model!r} is neither a folder here nor reachable on the Hub: {_first_line(error)}",
            hint="check the spelling and the network, or name a local folder; `builtin:micro` needs no download",
        ) from error


def _hub_folder(model: str, commit: str, *, with_weights: bool) -> Path:
    hub = _import_hub()
    patterns = [*HUB_TEXT_FILES, "*.safetensors"] if with_weights else [*HUB_TEXT_FILES]
    try:
        return Path(hub.snapshot_download(model, revision=commit, allow_patterns=patterns))
    except _hub_errors() as error:
        raise PolicyError(
            f"the files of {model!r} at {commit[:12]} cannot be downloaded: {_first_line(error)}",
            hint="run once with a network, or name a local folder",
        ) from error


def _import_hub() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingExtra("huggingface_hub", extra="hub", needed_for="a model on the Hub") from error
    return huggingface_hub


def _hub_errors() -> tuple[type[Exception], ...]:
    import huggingface_hub.errors

    return (OSError, ValueError, getattr(huggingface_hub.errors, "HTTPError"))  # of whichever transport it uses


_HASHES: dict[tuple[str, int, int], str] = {}
"""Content hashes of this process, by path, size and time of change."""


def _file_hash(path: Path) -> str:
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _HASHES:
        _HASHES[key] = hash_file(path)
    return _HASHES[key]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
