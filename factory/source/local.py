"""Problems from a file of the user: JSONL, CSV or Parquet, with a mapping of its columns.

A row that is no problem is yielded as a `BadRow` with file and line, so that it is reported and counted.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from factory.errors import UsageError
from factory.identity import hash_file
from factory.records import Problem
from factory.source.columns import BadValue, RowReader, check_columns, to_problem
from factory.source.source import BadRow, Source

_NUM_PROBED = 100


class Local(Source, RowReader):
    """Rows of a local file."""

    kind: Literal["local"] = "local"
    path: Path
    """The file: .jsonl (or .ndjson), .csv or .parquet."""
    limit: int | None = None
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
        found: dict[str, None] = {}
        held: list[tuple[int, FileRow | BadRow]] = []
        checked = False
        for number, row in enumerate(read_rows(self.path)):
            if self.limit is not None and number >= self.limit:
                break
            held.append((number, row))
            if isinstance(row, FileRow):
                found.update(dict.fromkeys(row.values))
            if not checked and len(held) < _NUM_PROBED:
                continue
            if not checked:
                self._check(found)
                checked = True
            yield from self._problems(held)
            held = []
        if not checked and found:
            self._check(found)
        yield from self._problems(held)

    def _check(self, found: dict[str, None]) -> None:
        check_columns(self.columns.names(), found, place=f"{self.path.name}:1")

    def _problems(self, rows: list[tuple[int, FileRow | BadRow]]) -> Iterator[Problem | BadRow]:
        for number, row in rows:
            if isinstance(row, BadRow):
                yield row
                continue
            try:
                yield to_problem(row.values, number, self, source=self.name)
            except BadValue as error:
                yield BadRow(place=row.place, message=str(error))


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
    except (OSError, ValueError) as error:
        raise UsageError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error


def _jsonl(path: Path) -> Iterator[FileRow | BadRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path.name}:{number}"
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
        reader = csv.DictReader(file)
        for row in reader:
            place = f"{path.name}:{reader.line_num}"
            if None in row:
                yield BadRow(place=place, message=f"more fields than the header's {len(reader.fieldnames or [])}")
            else:
                yield FileRow(place, row)


def _parquet(path: Path) -> Iterator[FileRow | BadRow]:
    with pq.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield FileRow(f"{path.name}:{number}", row)
