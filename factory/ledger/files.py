"""Writing files so that a kill at any moment leaves the old state or the new one.

Every write that matters passes a named failpoint before and after it; tests stop the process there.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from factory.errors import LedgerError

_failpoint_hook: Callable[[str], None] | None = None


def failpoint(name: str) -> None:
    """Mark a moment between two writes. Does nothing unless a test has set a hook."""
    if _failpoint_hook is not None:
        _failpoint_hook(name)


@contextmanager
def failpoints(hook: Callable[[str], None]) -> Iterator[None]:
    """Call `hook` with the name of every failpoint passed inside the block."""
    global _failpoint_hook  # noqa: PLW0603 - one process, one hook; only tests set it
    _failpoint_hook = hook
    try:
        yield
    finally:
        _failpoint_hook = None


def write_new(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write a whole file durably under its final name.

    The bytes are synced under a temporary name first. With `exclusive` the final name must not exist yet: raises
    FileExistsError if another process made it, which is how the order of commits is agreed on.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")  # not the process id: machines that share a disk share those
    try:
        failpoint(f"write:{path.parent.name}")
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        failpoint(f"written:{path.parent.name}")
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
        sync_folder(path.parent)
        failpoint(f"named:{path.parent.name}")
    except OSError as error:
        if isinstance(error, FileExistsError):
            raise
        raise disk_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(error: OSError, path: Path) -> LedgerError:
    """Say what an operating system's error means for the ledger."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LedgerError(
            f"the disk is full: cannot write {path}",
            hint="what was finished is kept; free some space and run the same command again",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LedgerError(f"cannot write {path}: {error.strerror}", hint="check the folder's owner and mode")
    return LedgerError(f"cannot write {path}: {error.strerror or error}")
