"""Commits: the list of files that are valid, in one agreed order.

A commit is `commits/<seq>.json`, immutable and created exclusively: whoever links a number first has it, the other
takes the next. It lists files with their rows, sizes and checksums, what they replace, and which writer's journal they
hold. Valid data is the union of the commits, never a glob.

A commit that replaces a file which is no longer valid has lost a race and is void as a whole, for every reader alike.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory.errors import LedgerError
from factory.ledger.files import write_new
from factory.ledger.tables import SCHEMA_VERSION

_NAME = re.compile(r"(\d{8})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One Parquet file of a table."""

    table: str
    """Table it belongs to."""
    path: str
    """Relative to the ledger, `<table>/<checksum>.parquet`."""
    num_rows: int
    """Rows."""
    num_bytes: int
    """Size."""
    checksum: str
    """blake2b-128 of the bytes, hex."""
    instead_of: str = ""
    """Path whose place in the order it takes: a merged or rewritten file must not come later than what it replaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One entry of the ledger's history."""

    seq: int
    """Place in the order, from 1."""
    writer: str
    """The journal whose rows these are; a journal whose writer stands in a commit is spent."""
    action: str
    """What was done: `append`, `compact`, `forget`, `drop` or `import`."""
    files: tuple[DataFile, ...]
    """Files that become valid."""
    replaces: tuple[str, ...]
    """Paths that stop being valid."""
    created_at: float
    """Unix time."""


def read_commits(folder: Path) -> list[Commit]:
    """Read all commits in order. Raises LedgerError naming the file if one is damaged or newer than this software."""
    commits = []
    for path in sorted(p for p in folder.iterdir() if _NAME.fullmatch(p.name)):
        try:
            data = json.loads(path.read_bytes())
            if data["schema"] > SCHEMA_VERSION:
                raise LedgerError(
                    f"{path} was written by a newer version (schema {data['schema']}, this one knows {SCHEMA_VERSION})",
                    hint="upgrade trace-factory",
                )
            commits.append(_commit(data))
        except (ValueError, KeyError, TypeError) as error:
            raise LedgerError(
                f"{path} is damaged: {error}", hint="restore it from a backup; the other files are untouched"
            ) from error
    return commits


def write_commit(
    folder: Path, *, writer: str, action: str, files: tuple[DataFile, ...], replaces: tuple[str, ...] = ()
) -> Commit:
    """Append a commit and return it with the number it got."""
    last = max((int(m[1]) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))), default=0)
    while True:
        last += 1
        commit = Commit(seq=last, writer=writer, action=action, files=files, replaces=replaces, created_at=time.time())
        data = json.dumps({"schema": SCHEMA_VERSION, **asdict(commit)}, indent=1).encode()
        try:
            write_new(folder / f"{last:08d}.json", data, exclusive=True)
        except FileExistsError:
            continue
        return commit


def valid_files(commits: list[Commit]) -> list[DataFile]:
    """Fold the history into the files that are valid now, in the order of their commits."""
    valid: dict[str, DataFile] = {}
    places: dict[str, tuple[int, int]] = {}
    for commit in commits:
        if any(path not in valid for path in commit.replaces):
            continue
        for number, file in enumerate(commit.files):
            places.setdefault(file.path, places.get(file.instead_of, (commit.seq, number)))
        for path in commit.replaces:
            del valid[path]
        for file in commit.files:
            valid.setdefault(file.path, file)
    return sorted(valid.values(), key=lambda file: places[file.path])


def _commit(data: dict[str, Any]) -> Commit:
    return Commit(
        seq=data["seq"],
        writer=data["writer"],
        action=data["action"],
        files=tuple(DataFile(**file) for file in data["files"]),
        replaces=tuple(data["replaces"]),
        created_at=data["created_at"],
    )
