"""Progress of long work, said on stderr: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal."""


class Task:
    """One piece of counted work."""

    def advance(self, by: int = 1, *, note: str = "") -> None:
        """Count `by` more units as done; `note` is a short live figure, e.g. tokens per second."""


class Reporter:
    """Says nothing. The base of the others, and what a library caller gets."""

    def say(self, text: str) -> None:
        """Say one line to the person at the terminal."""

    @contextmanager
    def task(self, step: str, total: int, unit: str) -> Iterator[Task]:
        """Show counted work while the block runs."""
        del step, total, unit
        yield Task()


class TerminalReporter(Reporter):
    """Speaks on stderr; stdout carries data only."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(
            "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text), markup=False
        )

    @contextmanager
    def task(self, step: str, total: int, unit: str) -> Iterator[Task]:
        """Show a bar on a terminal, a line every ten seconds elsewhere."""
        if not self.console.is_terminal:
            task = _LineTask(step, total, unit)
            yield task
            task.finish()
            return
        columns = (
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit + " {task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with RichProgress(*columns, console=self.console, transient=False) as bar:
            yield _BarTask(bar, bar.add_task(step, total=total, note=""))


@dataclass(slots=True)
class _BarTask(Task):
    bar: RichProgress
    row: int

    def advance(self, by: int = 1, *, note: str = "") -> None:
        self.bar.update(self.row, advance=by, note=note)  # type: ignore[arg-type]


class _LineTask(Task):
    def __init__(self, step: str, total: int, unit: str) -> None:
        self._step, self._total, self._unit = step, total, unit
        self._done, self._note, self._start = 0, "", time.monotonic()
        self._said = self._start

    def advance(self, by: int = 1, *, note: str = "") -> None:
        self._done, self._note = self._done + by, note
        if time.monotonic() - self._said >= LINE_SECONDS:
            self._say()

    def finish(self) -> None:
        self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        seconds = self._said - self._start
        print(  # noqa: T201 - this is the place that prints
            f"{self._step:<8} {self._done:,}/{self._total:,} {self._unit} {self._note} {seconds:.0f} s".replace(
                "  ", " "
            ),
            file=sys.stderr,
            flush=True,
        )
