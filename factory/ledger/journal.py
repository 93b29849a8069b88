"""The journal: finished rows of one writer that are not in Parquet yet.

A journal is a folder `journal/<writer>/` with one log per table. A log is a row of frames: length and CRC-32 of the
payload (both unsigned 32 bit, little endian), then the payload, a JSON array of rows. The rows of one `append` are one
frame, so they are there together or not at all; a torn tail is dropped when the log is read.

The writer holds a lock on its folder for as long as it lives. A journal whose lock is free belongs to a dead writer:
the next run adopts its rows.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import time
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from factory.ledger.files import disk_error, failpoint, sync_folder

Row = dict[str, Any]

_HEADER = struct.Struct("<II")


class Journal:
    """One writer's journal, open for appending."""

    def __init__(self, root: Path) -> None:
        """Create a new journal folder under `root` and lock it."""
        self.writer = f"{time.time_ns():019d}-{uuid.uuid4().hex[:8]}"
        self.folder = root / self.writer
        try:
            # Locked before it has its name: nobody can take the folder for a dead writer's in between.
            unnamed = root / f".{self.writer}"
            unnamed.mkdir(parents=True)
            self._lock = lock_file(unnamed / "lock", wait=False)
            unnamed.rename(self.folder)
            sync_folder(root)
        except OSError as error:
            raise disk_error(error, self.folder) from error
        self._logs: dict[str, int] = {}
        self.num_bytes = 0

    def append(self, table: str, rows: list[Row]) -> None:
        """Write rows as one frame. Raises LedgerError if the disk refuses; the log then ends where it ended before."""
        payload = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
        frame = _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        path = self.folder / f"{table}.log"
        failpoint(f"append:{table}")
        try:
            if table not in self._logs:
                self._logs[table] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                sync_folder(self.folder)
            log = self._logs[table]
            start = os.lseek(log, 0, os.SEEK_END)
            try:
                written = os.write(log, frame)
                while written < len(frame):
                    written += os.write(log, frame[written:])
            except OSError:
                os.ftruncate(log, start)
                raise
        except OSError as error:
            raise disk_error(error, path) from error
        self.num_bytes += len(frame)
        failpoint(f"appended:{table}")

    def sync(self) -> None:
        """Make what was appended survive a power cut."""
        for log in self._logs.values():
            os.fsync(log)

    def close(self) -> None:
        """Let go of the files and the lock; the rows stay. Closing twice is fine."""
        for log in self._logs.values():
            os.close(log)
        self._logs.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def remove(self) -> None:
        """Delete the journal: its rows are committed."""
        self.close()
        remove_journal(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What one log holds."""

    rows: list[Row]
    """Rows of all whole frames, in the order they were written."""
    num_bytes: int
    """Bytes of those frames."""
    torn_bytes: int
    """Bytes behind them that are no whole frame: the tail of a killed write, or damage."""


def read_log(path: Path) -> Log:
    """Read a log up to its first frame that is not whole."""
    data = path.read_bytes()
    rows: list[Row] = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, at)
        payload = data[at + _HEADER.size : at + _HEADER.size + length]
        # No payload is empty: a tail of zeros is what a power cut leaves.
        if not length or len(payload) < length or zlib.crc32(payload) != checksum:
            break
        rows.extend(json.loads(payload))
        at += _HEADER.size + length
    return Log(rows=rows, num_bytes=at, torn_bytes=len(data) - at)


def lock_file(path: Path, *, wait: bool) -> int:
    """Take an exclusive lock on a file and return its descriptor; closing it, or dying, frees the lock.

    Raises BlockingIOError if another process holds it and `wait` is False.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_alive(folder: Path) -> bool:
    """Tell whether a journal's writer still holds its lock."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def remove_journal(folder: Path) -> None:
    """Delete a journal folder whose rows are committed."""
    failpoint("remove:journal")
    shutil.rmtree(folder, ignore_errors=True)
    failpoint("removed:journal")
