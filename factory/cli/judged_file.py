"""The output file of bulk judging, which a second run of the same command goes on with.

    OUT.partial       the rows so far; what a killed run leaves. Renamed to OUT when the last row is written
    OUT.judge.json    the judge and the input: who has judged this file. Written before the first row

In: where to write, the judge, the input. Out: a sink for rows, and how many rows it holds already. Rows of another
judge or input are never mixed in: that is an error, and so is overwriting a file that this command cannot account for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from factory.errors import UsageError

STANDARD = "-"
"""The name of standard input and output."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What identifies an input file."""

    num_lines: int
    """Its lines; a last one without its end counts."""
    digest: str
    """Hash of its bytes."""


@dataclass(slots=True, kw_only=True)
class JudgedFile:
    """An output that is open for rows."""

    sink: IO[bytes]
    """Where rows are written."""
    done: Iterator[dict[str, Any]] = field(default_factory=lambda: iter(()))
    """The rows that it holds already, in order; read them before the first row is written."""
    num_done: int = 0
    """How many of them were read."""
    is_complete: bool = False
    """Whether it holds all rows, so that there is nothing to do."""

    def write(self, row: dict[str, Any]) -> None:
        """Write one row, and leave none in memory: the process may be killed at any moment."""
        self.sink.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        self.sink.flush()


def facts_of(name: str) -> InputFacts | None:
    """Read an input file through; None for standard input. Raises UsageError if it cannot be read."""
    if name == STANDARD:
        return None
    digest, num_lines, last = hashlib.blake2b(digest_size=16), 0, b"\n"
    try:
        with Path(name).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                num_lines += block.count(b"\n")
                last = block[-1:]
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}", place="--input") from error
    return InputFacts(num_lines=num_lines + (last != b"\n"), digest=digest.hexdigest())


@contextlib.contextmanager
def judged_file(
    name: str, judge: dict[str, Any], facts: InputFacts | None, *, overwrite: bool = False, source: Path | None = None
) -> Iterator[JudgedFile]:
    """Open an output; on a clean end it gets its name, on an error or an interrupt it stays partial.

    Raises UsageError if it cannot be written, or holds what another judge said or what was said of another input.
    """
    if name == STANDARD:
        yield JudgedFile(sink=sys.stdout.buffer)
        return
    final, partial = Path(name), Path(f"{name}.partial")
    if final.exists() and (final.is_symlink() or not final.is_file()):
        raise UsageError("is no plain file", place=f"--output {name}", hint="write to - and redirect it")
    if source is not None and final.exists() and final.samefile(source):
        raise UsageError("is the input itself", place=f"--output {name}", hint="choose another --output")
    mark = {"judge": judge, "input": None if facts is None else {"lines": facts.num_lines, "blake2b": facts.digest}}
    try:
        sink = _opened(final, partial, mark, overwrite=overwrite)
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}", place="--output") from error
    if sink is None:
        yield JudgedFile(sink=sys.stdout.buffer, done=_rows(final), is_complete=True)
        return
    with sink:
        yield JudgedFile(sink=sink, done=_rows(partial))
        os.fsync(sink.fileno())
        partial.replace(final)


def _opened(final: Path, partial: Path, mark: dict[str, Any], *, overwrite: bool) -> IO[bytes] | None:
    """Open the partial file at its end; None if the final one is there and it is ours."""
    mark_file = Path(f"{final}.judge.json")
    if final.exists() and not overwrite:
        _check(mark_file, mark, final)
        if mark["input"] is None:
            raise UsageError("is complete, and standard input may hold anything", place=str(final), hint=_hint(final))
        return None
    with contextlib.ExitStack() as on_error:
        sink = on_error.enter_context(partial.open("ab"))
        try:
            fcntl.flock(sink, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "another command is writing it", place=str(final), hint="choose another --output"
            ) from None
        if overwrite:
            final.unlink(missing_ok=True)
            sink.truncate(0)
        if _cut_torn_line(partial):
            _check(mark_file, mark, partial)
        else:
            temporary = Path(f"{mark_file}.new")
            temporary.write_text(json.dumps(mark, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            temporary.replace(mark_file)
        on_error.pop_all()
        return sink


def _check(mark_file: Path, mark: dict[str, Any], path: Path) -> None:
    """Refuse to go on with what another command wrote."""
    hint = _hint(Path(str(mark_file).removesuffix(".judge.json")))
    try:
        stored = json.loads(mark_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"exists, and no {mark_file.name} says who judged it", place=str(path), hint=hint) from None
    except ValueError:
        stored = {}
    if stored.get("judge") != mark["judge"]:
        was, now = (json.dumps(found, ensure_ascii=False) for found in (stored.get("judge"), mark["judge"]))
        raise UsageError(f"was judged by {was}, now it is {now}", place=str(path), hint=hint)
    if stored.get("input") != mark["input"]:
        raise UsageError("holds the verdicts on another input", place=str(path), hint=hint)


def _hint(final: Path) -> str:
    return f"choose another --output, or replace {final} with --overwrite"


def _cut_torn_line(path: Path) -> bool:
    """Cut what follows the last whole line. Returns whether a line is left."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            end = start + at + 1 if at >= 0 else start
            if at >= 0:
                break
        if end < size:
            file.truncate(end)
    return end > 0


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                final = Path(str(path).removesuffix(".partial"))
                raise UsageError("is no row of this command", place=f"{path}:{number}", hint=_hint(final))
            yield row
