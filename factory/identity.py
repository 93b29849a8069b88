"""Content hashes: the identities that everything in the ledger is keyed by.

All are blake2b with a digest of 128 bits, in hex, over canonical JSON: sorted keys, UTF-8, text in NFC, no NaN and no
insignificant space. The hash of a configuration leaves out the fields that hold their default, so that an option added
later never changes an old identity. Golden tests keep these functions as they are.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from verifiers.verdict import Judge, Messages

NO_REFERENCE = ""
"""The reference hash of a verdict whose judge uses no reference."""


def canonical_json(value: Any) -> str:
    """Write `value` (JSON types, nested) in the one form that is hashed. Raises ValueError on NaN and infinities."""
    return json.dumps(_nfc(value), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def digest(value: Any) -> str:
    """Hash JSON data: 32 hex digits."""
    return hash_bytes(canonical_json(value).encode("utf-8", errors="surrogatepass"))


def hash_bytes(data: bytes | memoryview) -> str:
    """Hash bytes as they are: 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def hash_file(path: Path) -> str:
    """Hash a file's bytes: 32 hex digits. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def problem_id(prompt: Messages) -> str:
    """Hash the prompt's messages. The reference is left out: correcting it must not change what was sampled."""
    return digest([{"role": m["role"], "content": m["content"]} for m in prompt])


def reference_hash(reference: Any) -> str:
    """Hash a reference in its JSON form."""
    return digest(reference)


def trace_id(problem_id: str, policy_fingerprint: str, index: int | str, parent: str | None = None) -> str:
    """Name a slot: the index-th completion of this problem by this policy (of this parent, if it is a rewrite)."""
    slot: dict[str, Any] = {"problem_id": problem_id, "policy": policy_fingerprint, "index": index}
    if parent is not None:
        slot["parent"] = parent
    return digest(slot)


def text_hash(completion: str) -> str:
    """Hash a completion: the content of a slot."""
    return digest(completion)


def seed_of(trace_id: str) -> int:
    """Return the slot's seed: the first 63 bits of its trace_id."""
    return int(trace_id[:16], 16) >> 1


def order_of(seed: int, identity: str) -> str:
    """Place an id in a seeded, timing-free order: sort by this hash."""
    return digest([seed, identity])


def config_json(config: BaseModel) -> dict[str, Any]:
    """Return a configuration as JSON data without the fields that hold their default; `kind` always stays.

    Of a path only the file's name stays: where a file lies on one machine is no part of what it is.
    """
    fields = type(config).model_fields
    data: dict[str, Any] = {"kind": getattr(config, "kind")} if "kind" in fields else {}
    for name, field in fields.items():
        value = getattr(config, name)
        if field.is_required() or value != field.get_default(call_default_factory=True):
            data[field.alias or name] = _plain(value)
    return data


def judge_json(judge: Judge) -> dict[str, Any]:
    """Return what identifies a judge: kind, version and the configuration that is not the default."""
    return {**config_json(judge), "kind": judge.kind, "version": judge.version}


def judge_fingerprint(judge: Judge) -> str:
    """Hash a judge's kind, version and configuration."""
    return digest(judge_json(judge))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return config_json(value)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    return value


def _nfc(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return {_nfc(str(k)): _nfc(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_nfc(v) for v in value]
    return value
