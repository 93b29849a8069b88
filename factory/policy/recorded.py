"""Completions that exist already: a file of generations that a user wants judged, filtered and published.

In: a JSONL or Parquet file with a completion per row, and which of its columns says whose completion it is: the key
of the problem in its source, or the prompt's text. Out: for each slot its completion; the slot's index is its number in
the file. A file that names several models becomes one policy per model.

A row that holds no completion is kept as a `BadRow` with its place, to be reported and counted. Texts stay in the file
(JSONL) or in one compact column (Parquet): the index holds a few numbers per row.

It samples nothing, so that sampling parameters and the prompt's form are no part of its identity. It knows no tokens:
`num_completion_tokens` is what a column says, and 0 where none does: words are not tokens, and a count that was made up
would end in a card.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from factory.config import Config
from factory.conversation import read_messages, split_completion
from factory.errors import PolicyError, UsageError
from factory.identity import config_json, digest, hash_file, problem_id
from factory.policy.protocol import Policy, PolicyConfig, PromptForm, Sampling
from factory.records import BadRow, Completion, Failure, FinishReason, PolicyStatus, Slot

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_length": "length",
    "loop": "loop",
    "repetition": "loop",
}
"""What engines and services call the end of a completion, in our words."""

UNNAMED = "unknown"
"""The stated model of a file that states none."""


class RecordedColumns(Config):
    """Which column is what. One of `problem` and `prompt` says whose completion a row is."""

    problem: str | None = None
    """The key of the problem in its source: the source's id column, else its row number, from 0."""
    prompt: str | None = None
    """The prompt: its text (one user message, space around it aside) or a list of messages."""
    completion: str = "completion"
    """The text of the completion, a list of such texts, or messages that end with the assistant's."""
    model: str | None = None
    """The model that wrote it."""
    finish_reason: str | None = None
    """Why it ended; without it, and where it is null, `stop`."""
    index: str | None = None
    """Which of the problem's completions it is, from 0; without it the order in the file counts."""
    num_tokens: str | None = None
    """How many tokens the completion has; without it 0, which means that it is not known."""

    @model_validator(mode="after")
    def _one_key(self) -> RecordedColumns:
        if (self.problem is None) == (self.prompt is None):
            raise ValueError("map exactly one of `problem` (the problem's key) and `prompt` (its text)")
        return self


class RecordedPolicyConfig(PolicyConfig):
    """Completions from a file."""

    kind: Literal["recorded"] = "recorded"
    path: Path
    """The file: `.jsonl`, `.ndjson` or `.parquet`."""
    columns: RecordedColumns
    """Which column is what."""
    model: str | None = None
    """The model that wrote the completions, as far as is known, where no column says it."""
    only: str | None = None
    """Take the completions of this model only; a plan makes one such policy per model in the file."""
    source: str | None = None
    """Name of the source whose problems are completed, e.g. `local:problems.jsonl`; needed where keys of several
    sources of a recipe could be the same."""
    prefill: str = ""
    """Text that the prompt ended with and that the recorded completions lack, e.g. `<think>\\n`. It is put back at the
    start of each completion that does not begin with it."""

    needs_group_size: ClassVar[bool] = False

    @model_validator(mode="after")
    def _one_model(self) -> RecordedPolicyConfig:
        if self.model is not None and self.columns.model is not None:
            raise ValueError("`model` and `columns.model` both say which model it was: remove one")
        if self.only is not None and self.columns.model is None:
            raise ValueError("`only` needs `columns.model`, the column that names the models")
        return self

    def resolve(self) -> tuple[RecordedPolicyConfig, ...]:
        """Return one policy per model that the file names, in the order of their first rows."""
        if self.columns.model is None or self.only is not None:
            return (self,)
        return tuple(self.model_copy(update={"only": model}) for model in self._index().models)

    def fingerprint(self, sampling: Sampling, form: PromptForm) -> str:  # noqa: ARG002
        """Hash the file's content, the mapping and the stated model. Raises UsageError if there is no such file."""
        return digest(self._identity())

    def available(self, source: str, row: str, prompt: Any) -> list[int]:
        """Return the indices of a problem's completions, in file order or in that of the index column.

        The index of a recorded completion is its number in the file, from 0: whatever a mapping of keys says, a slot
        then stands for one text, and a mapping that is corrected later finds no trace of the wrong one.
        """
        entries = self._entries(source, row, prompt)
        return [entries[position].number for position in sorted(entries)]

    def open(self, sampling: Sampling, form: PromptForm) -> RecordedPolicy:  # noqa: ARG002
        """Index the file. Raises UsageError if it is missing or lacks a mapped column."""
        return RecordedPolicy(self)

    def num_completions(self) -> int:
        """Return how many completions of this model the file has."""
        model = self._stated_model()
        return sum(len(group) for (of, _), group in self._index().entries.items() if of == model)

    def bad_rows(self) -> tuple[BadRow, ...]:
        """Return the rows that hold no completion, in file order; of all models in the file."""
        return tuple(self._index().bad_rows)

    def _index(self) -> _Index:
        stat = _stat(self.path)
        return _read_index(self.path, stat.st_size, stat.st_mtime_ns, self.columns)

    def _entries(self, source: str, row: str, prompt: Any) -> dict[int, _Entry]:
        if self.source is not None and source != self.source:
            return {}
        key = row if self.columns.prompt is None else _prompt_key(prompt)
        return self._index().entries.get((self._stated_model(), key), {})

    def _stated_model(self) -> str:
        """Return the model whose completions these are, as the index names it."""
        if self.columns.model is None:
            return ""
        if self.only is not None:
            return self.only
        models = self._index().models
        if len(models) != 1:
            raise PolicyError(
                f"{self.path.name} holds completions of {len(models)} models: {', '.join(models[:5])}",
                hint="set `only` to one of them",
            )
        return models[0]

    def _identity(self) -> dict[str, Any]:
        return {
            "engine": self.kind,
            "content": _content_hash(self.path),
            "columns": config_json(self.columns),
            "model": self._stated_model() or self.model or UNNAMED,
            "prefill": self.prefill,
            **({} if self.source is None else {"source": self.source}),
        }


class RecordedPolicy(Policy):
    """Looks completions up. Pulls one slot at a time."""

    def __init__(self, config: RecordedPolicyConfig) -> None:
        self._config = config
        identity = config._identity()
        self.fingerprint = digest(identity)
        self.description: dict[str, Any] = {
            "kind": config.kind,
            "model": identity["model"],
            "file": config.path.name,
            "revision": identity["content"],
            "identity": identity,
        }
        self.engine = "recorded"
        self.unit_size: int | None = None
        self.bad_rows = config.bad_rows()

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion | Failure]:
        """Yield the recorded completion of each slot in turn, or the failure `not_recorded`."""
        index = self._config._index()
        with index.open_texts() as text_of:
            for slot in filter(None, slots):
                entries = self._config._entries(slot.source, slot.row, slot.prompt)
                entry = next((e for e in entries.values() if e.number == slot.index), None)
                if entry is None:
                    have = f"{len(entries)} completions" if entries else "no completion"
                    message = f"{self._config.path.name} has {have} of this problem, and none of number {slot.index}"
                    yield Failure(trace_id=slot.trace_id, error="not_recorded", message=message)
                    continue
                yield Completion(
                    trace_id=slot.trace_id,
                    text=self._restored(text_of(entry)),
                    finish_reason=entry.finish_reason,
                    num_prompt_tokens=0,
                    num_completion_tokens=entry.num_tokens,
                )

    def load_weights(self, weights: object) -> None:
        """Refuse: what is recorded has no weights."""
        del weights
        raise PolicyError(
            "recorded completions have no weights to replace",
            hint="name a policy that samples, e.g. `kind: torch`",
        )

    def status(self) -> PolicyStatus:
        """Return an empty status: nothing is in flight outside this thread."""
        return PolicyStatus()

    def close(self) -> None:
        """Nothing is held open."""

    def _restored(self, text: str) -> str:
        prefill = self._config.prefill
        return text if text.lstrip().startswith(prefill.strip()) else prefill + text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Where a completion is, and what the index knows of it."""

    number: int
    """The how-manieth completion of the file it is, from 0; where each row holds one, the number of the row."""
    place: int | None
    """Its place in the row's list of completions; None where the row holds one."""
    at: int
    """Offset of the line in bytes (JSONL) or number of the row (Parquet)."""
    finish_reason: FinishReason
    num_tokens: int


@dataclass(slots=True, kw_only=True)
class _Index:
    """What is in a file."""

    path: Path
    columns: RecordedColumns
    entries: dict[tuple[str, str], dict[int, _Entry]] = field(default_factory=dict)
    """By model and problem, then by index."""
    models: list[str] = field(default_factory=list)
    """Distinct models, in the order of their first rows."""
    bad_rows: list[BadRow] = field(default_factory=list)
    num_completions: int = 0
    """Completions seen, bad ones and bad rows counted."""
    texts: Any = None
    """The completion column of a Parquet file (pyarrow)."""

    def open_texts(self) -> _Texts:
        """Return what reads completions, as a context."""
        return _Texts(self)


class _Texts:
    """Reads the text of an entry; holds a JSONL file open meanwhile."""

    def __init__(self, index: _Index) -> None:
        self._index = index

    def __enter__(self) -> Callable[[_Entry], str]:
        if self._index.texts is not None:
            self._file = None
            return lambda entry: _text_at(self._index.texts[entry.at].as_py(), entry.place)
        self._file = self._index.path.open("rb")
        return self._from_line

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _from_line(self, entry: _Entry) -> str:
        assert self._file is not None
        self._file.seek(entry.at)
        try:
            return _text_at(json.loads(self._file.readline())[self._index.columns.completion], entry.place)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise PolicyError(f"{self._index.path.name} changed while it was read") from error


@functools.lru_cache(maxsize=4)
def _read_index(path: Path, size: int, mtime_ns: int, columns: RecordedColumns) -> _Index:  # noqa: ARG001
    """Read a file once per content: size and time of change are there for the cache."""
    index = _Index(path=path, columns=columns)
    seen_columns: dict[str, None] = {}
    num_rows = 0
    for place, at, row in _read_rows(index):
        num_rows += 1
        if isinstance(row, str):
            index.num_completions += 1
            index.bad_rows.append(BadRow(place=place, message=row))
            continue
        seen_columns.update(dict.fromkeys(row))
        index.bad_rows += [BadRow(place=place, message=message) for message in _add(index, at, row)]
    if num_rows == 0:
        raise UsageError("the file has no rows", place=f"{path.name}:1")
    if not seen_columns and index.texts is None:
        raise UsageError(
            f"none of the {num_rows} rows can be read: {index.bad_rows[0].message}", place=f"{path.name}:1"
        )
    _check_columns(index, list(seen_columns))
    return index


def _read_rows(index: _Index) -> Iterator[tuple[str, int, dict[str, Any] | str]]:
    """Yield place, position and columns of each row, or what is wrong with it."""
    suffix = index.path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return _read_jsonl(index)
    if suffix == ".parquet":
        return _read_parquet(index)
    raise UsageError(
        f"{index.path.name}: {suffix or 'a file without extension'} is not read", hint="use JSONL or Parquet"
    )


def _read_jsonl(index: _Index) -> Iterator[tuple[str, int, dict[str, Any] | str]]:
    at = 0
    with index.path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            start, at = at, at + len(line)
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                line, start = line[3:], start + 3  # noqa: PLW2901
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except RecursionError:
                yield f"{index.path.name}:{number}", start, "the JSON is nested too deeply"
            except ValueError as error:
                yield f"{index.path.name}:{number}", start, f"not JSON: {str(error).splitlines()[0]}"
            else:
                wrong = f"a JSON {type(row).__name__}, not an object"
                yield f"{index.path.name}:{number}", start, row if isinstance(row, dict) else wrong


def _read_parquet(index: _Index) -> Iterator[tuple[str, int, dict[str, Any] | str]]:
    """Yield all mapped columns; the completions, the bulk, are then kept as one column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = index.columns
    try:
        with pq.ParquetFile(index.path) as file:
            names = file.schema_arrow.names
            _check_columns(index, names)
            wanted = [name for name in _mapped(columns) if name in names]
            kept: list[Any] = []
            number = 0
            for batch in file.iter_batches(batch_size=4096, columns=wanted):
                kept.append(batch.column(columns.completion))
                for row in batch.to_pylist():
                    number += 1
                    yield f"{index.path.name}:{number}", number - 1, row
            index.texts = pa.chunked_array(kept) if kept else pa.chunked_array([], type=pa.string())
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{index.path.name} cannot be read: {str(error).splitlines()[0]}") from error


def _add(index: _Index, at: int, row: dict[str, Any]) -> list[str]:
    """Enter a row's completions into the index; return what is wrong with each that is none."""
    value = row.get(index.columns.completion)
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], Mapping):
        wrong = [_add_one(index, at, row, place) for place in range(len(value))]
    else:
        wrong = [_add_one(index, at, row, None)]
    return [message for message in wrong if message is not None]


def _add_one(index: _Index, at: int, row: dict[str, Any], place: int | None) -> str | None:
    columns = index.columns
    number = index.num_completions
    index.num_completions += 1
    try:
        text = _text_at(row.get(columns.completion), place)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return f"column {columns.completion!r}: half of a surrogate pair, not valid text"
    except ValueError as error:
        return f"column {columns.completion!r}: {error}"
    key = _row_key(row, columns)
    if key is None:
        column = columns.problem or columns.prompt or ""
        return f"column {column!r}: {_what(row.get(column))}, which names no problem"
    model = "" if columns.model is None else _of(row, columns.model, place)
    if not isinstance(model, str) or (columns.model is not None and not model):
        return f"column {columns.model!r}: {_what(model)}, not a model's name"
    reason = "stop" if columns.finish_reason is None else _of(row, columns.finish_reason, place) or "stop"
    if not isinstance(reason, str) or reason.lower() not in FINISH_REASONS:
        return f"column {columns.finish_reason!r}: the finish reason {reason!r} is not known"
    num_tokens = 0 if columns.num_tokens is None else _of(row, columns.num_tokens, place) or 0
    if not _is_count(num_tokens):
        return f"column {columns.num_tokens!r}: {_what(num_tokens)}, not a number of tokens"
    group = index.entries.get((model, key), {})
    position = len(group) if columns.index is None else _of(row, columns.index, place)
    if not isinstance(position, int) or not _is_count(position):
        return f"column {columns.index!r}: {_what(position)}, not an index from 0"
    if position in group:
        return f"column {columns.index!r}: the problem has a completion of index {position} already"
    if model not in index.models and columns.model is not None:
        index.models.append(model)
    entry = _Entry(
        number=number, place=place, at=at, finish_reason=FINISH_REASONS[reason.lower()], num_tokens=num_tokens
    )
    index.entries.setdefault((model, key), {})[position] = entry
    return None


def _of(row: dict[str, Any], column: str, place: int | None) -> Any:
    """Return a column's value for one of the row's completions: a list beside a list of completions goes with it."""
    value = row.get(column)
    if place is not None and isinstance(value, (list, tuple)):
        return value[place] if place < len(value) else None
    return value


def _text_at(value: Any, place: int | None) -> str:
    """Return a completion: the text, the text at a place of a list, or an assistant's last message."""
    if place is not None:
        value = value[place]
    elif isinstance(value, (list, tuple)):
        _, value = split_completion(read_messages(value))
        if value is None:
            raise ValueError("the messages do not end with the assistant's")
    if not isinstance(value, str):
        raise ValueError(f"{_what(value)}, not a text")
    return value


def _row_key(row: dict[str, Any], columns: RecordedColumns) -> str | None:
    if columns.problem is not None:
        value = row.get(columns.problem)
        # A JSON true is a Python int.
        return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None
    try:
        return _prompt_key(row.get(columns.prompt or ""))
    except ValueError:
        return None


def _prompt_key(prompt: Any) -> str:
    """Hash a prompt, a text or messages, so that a text is the same as one user message. Raises on anything else."""
    messages, _ = split_completion(read_messages(prompt))
    return problem_id([{"role": m["role"], "content": m["content"].strip()} for m in messages])


def _mapped(columns: RecordedColumns) -> list[str]:
    return [str(name) for name in columns.model_dump().values() if name is not None]


def _check_columns(index: _Index, present: list[str]) -> None:
    for name in _mapped(index.columns):
        if name not in present:
            close = difflib.get_close_matches(name, present, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the file has the columns {', '.join(present)}"
            raise UsageError(f"no row has a column {name!r}", place=f"{index.path.name}:1", hint=hint)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _what(value: Any) -> str:
    """Describe a value that is not what was expected, in a few words."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "an empty text" if not value else f"the text {value[:40]!r}"
    return f"the {type(value).__name__} {str(value)[:40]}"


def _stat(path: Path) -> os.stat_result:
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}", hint="check `path` of the recorded policy")
    return path.stat()


def _content_hash(path: Path) -> str:
    stat = _stat(path)
    return _hash_of_content(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _hash_of_content(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001
    try:
        return hash_file(path)
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}") from error
