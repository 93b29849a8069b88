"""Problems from a file of the user: JSONL, CSV or Parquet, with a mapping of its columns.

A row that is no problem is yielded as a `BadRow` with file and line, so that it is reported and counted.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from factory.errors import UsageError
from factory.identity import hash_file
from factory.records import BadRow, Problem
from factory.source.columns import RowReader, check_columns, to_problems
from factory.source.source import Source

_NUM_PROBED = 100
_FROM_ARRAY = "jq -c '.[]' array.json > rows.jsonl turns one into the other"


class Local(Source, RowReader):
    """Rows of a local file."""

    kind: Literal["local"] = "local"
    path: Path
    """The file: .jsonl (or .ndjson), .csv or .parquet."""
    limit: int | None = Field(default=None, gt=0)
    """Read only the first rows."""

    @property
    def name(self) -> str:
        """`local:` and the file's name."""
        return f"local:{self.path.name}"

    def current_revision(self) -> str:
        """Hash the file."""
        try:
            return hash_file(self.path)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from error

    def read(self) -> Iterator[Problem | BadRow]:
        """Yield the rows in file order. Raises UsageError if a mapped column is in none of the first hundred rows."""
        yield from to_problems(self._rows(), self, source=self.name)

    def _rows(self) -> Iterator[tuple[int, str, dict[str, Any]] | BadRow]:
        rows = enumerate(itertools.islice(read_rows(self.path), self.limit))
        probed = list(itertools.islice(rows, _NUM_PROBED))
        found = dict.fromkeys(name for _, row in probed if isinstance(row, FileRow) for name in row.values)
        if found:
            check_columns(self.columns.names(), found, place=f"{self.path.name}:1")
        for number, row in itertools.chain(probed, rows):
            yield row if isinstance(row, BadRow) else (number, row.place, row.values)


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of a file."""

    place: str
    """`file:line`, or `file:row` for Parquet."""
    values: dict[str, Any]
    """Its columns."""


def read_rows(path: Path) -> Iterator[FileRow | BadRow]:
    """Yield the rows of a JSONL, CSV or Parquet file, or what is wrong with one.

    Raises UsageError if the format is not known or the file cannot be read at all.
    """
    suffix = path.suffix.lower()
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if suffix not in readers:
        message = f"{path.name}: a {suffix or 'file without extension'} is not read"
        raise UsageError(message, hint=f"use {', '.join(readers)}")
    try:
        yield from readers[suffix](path)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"{path.name} cannot be read: {reason}") from error


def _jsonl(path: Path) -> Iterator[FileRow | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path.name}:{number}"
            if number == 1 and line.lstrip(b"\xef\xbb\xbf \t\r").startswith(b"["):
                raise UsageError("is a JSON array; what is read is one object per line", place=place, hint=_FROM_ARRAY)
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except RecursionError:
                yield BadRow(place=place, message="the JSON is nested too deeply")
            except ValueError as error:
                yield BadRow(place=place, message=f"no JSON: {str(error).splitlines()[0]}")
            else:
                if isinstance(row, dict):
                    yield FileRow(place, row)
                else:
                    yield BadRow(place=place, message=f"a JSON {type(row).__name__}, not an object")


def _csv(path: Path) -> Iterator[FileRow | BadRow]:
    csv.field_size_limit(2**30)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        # strict: a quote that is never closed would silently swallow the rest of the file
        reader = csv.reader(file, strict=True)
        names: list[str] | None = None
        while True:
            place = f"{path.name}:{reader.line_num + 1}"
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield BadRow(place=place, message=f"no CSV: {error}")
                continue
            if fields is None:
                return
            if not fields:
                continue
            if names is None:
                names = _header(fields, place)
            elif len(fields) != len(names):
                yield BadRow(place=place, message=f"{len(fields)} fields, the header has {len(names)}")
            else:
                yield FileRow(place, dict(zip(names, fields, strict=True)))


def _header(names: list[str], place: str) -> list[str]:
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise UsageError(f"two columns are called {twice!r}", place=place)
    return names


def _parquet(path: Path) -> Iterator[FileRow | BadRow]:
    with pq.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield FileRow(f"{path.name}:{number}", row)
