"""Progress of long work, said on stderr: a live bar on a terminal, a line now and then elsewhere.

    Reporter            says nothing; what a library caller gets
    TerminalReporter    speaks on stderr
    Task                one piece of counted work: what a step tells
    Meter               a Task that counts and reckons rates; Reading is what it shows at one moment

A completion can take twenty minutes, so what is shown moves without results coming in: requests in flight, servers.
stdout is never written to.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.progress import Task as RichTask
from rich.table import Table
from rich.text import Text

from factory.records import PolicyStatus, ServerStatus

LINE_SECONDS = 10.0
"""Between two lines where there is no terminal."""
WINDOW_SECONDS = 30.0
"""The rate that is shown is that of so many seconds."""
LONG_WINDOW_SECONDS = 60.0
"""The longest window that can be asked for."""
MAX_SERVER_LINES = 10
"""Servers that a live display shows, those in trouble first."""
_GRAIN_SECONDS = 0.5


class Task:
    """One piece of counted work."""

    def advance(self, by: int = 1, *, note: str = "", tokens: int = 0, accepted: int | None = None) -> None:
        """Count `by` more units as done, `tokens` more tokens, and `accepted` more accepted units where that is known.

        `note` is a short live figure of the step's own.
        """

    def watch(self, status: Callable[[], PolicyStatus]) -> None:
        """Ask `status` from now on, from another thread, how the policy is doing. Rates count from here if nothing has
        come yet: loading a model is no sampling."""


class Reporter:
    """Says nothing. The base of the others, and what a library caller gets."""

    def say(self, text: str) -> None:
        """Say one line to the person at the terminal."""

    @contextmanager
    def task(self, step: str, total: int, unit: str) -> Iterator[Task]:
        """Show counted work while the block runs."""
        del step, total, unit
        yield Task()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a meter shows at one moment."""

    done: int
    """Units done."""
    total: int
    """Units to do."""
    seconds: float
    """Since the task began."""
    note: str
    """The step's own figure."""
    tokens: int
    """Tokens so far."""
    tokens_per_second: float
    """Over the window."""
    tokens_per_second_overall: float
    """Since the work began."""
    silent_s: float
    """Since the last unit was done."""
    done_per_second: float
    """Since the work began."""
    accepted: int | None
    """Accepted units; None where that is not known."""
    accepted_per_second: float | None
    """Over the window."""
    status: PolicyStatus
    """What the policy says of itself; empty where there is none."""

    @property
    def eta_s(self) -> float | None:
        """Seconds that are left at the rate so far; None before anything is done."""
        return (self.total - self.done) / self.done_per_second if self.done_per_second > 0 else None

    def text(self) -> str:
        """Say it in a line, e.g. `3,800 tokens/s · 212 in flight · 2 servers up`."""
        parts = [self.note] if self.note else []
        if self.tokens:
            parts.append(self._rate())
        if self.accepted is not None:
            parts.append(f"{self.accepted:,} accepted, {_rate(self.accepted_per_second or 0.0)}/s")
        if self.status.in_flight:
            parts.append(f"{self.status.in_flight:,} in flight")
        if servers := self.status.servers:
            num_up = sum(server.state == "up" for server in servers)
            of = "" if num_up == len(servers) else f" of {len(servers)}"
            parts.append(f"{num_up}{of} server{'s' if len(servers) > 1 else ''} up")
        if (eta := self.eta_s) and self.seconds > 5:
            parts.append(f"{clock_text(eta)} left")
        return " · ".join(parts)

    def _rate(self) -> str:
        now, overall = self.tokens_per_second, self.tokens_per_second_overall
        if self.done >= self.total:
            return f"{overall:,.0f} tokens/s"
        if now <= 0:
            return f"{overall:,.0f} tokens/s overall, no result for {self.silent_s:,.0f} s"
        both = abs(now - overall) > 0.1 * overall
        return f"{now:,.0f} tokens/s" + (f" ({overall:,.0f} overall)" if both else "")


class Meter(Task):
    """Counts a task's work and reckons its rates. Safe to read from any thread."""

    def __init__(self, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._guard = threading.Lock()
        self._start = self._since = self._last = clock()
        self._done = self._tokens = 0
        self._accepted: int | None = None
        self._note = ""
        self._status: Callable[[], PolicyStatus] | None = None
        self._marks: deque[tuple[float, int, int]] = deque()  # time, tokens and accepted before it

    def advance(self, by: int = 1, *, note: str = "", tokens: int = 0, accepted: int | None = None) -> None:
        """Count."""
        with self._guard:
            self._last = now = self._clock()
            if not self._marks or now - self._marks[-1][0] >= _GRAIN_SECONDS:
                self._marks.append((now, self._tokens, self._accepted or 0))
            while len(self._marks) > 1 and self._marks[1][0] < now - LONG_WINDOW_SECONDS - _GRAIN_SECONDS:
                self._marks.popleft()
            self._done += by
            self._tokens += tokens
            self._note = note
            if accepted is not None:
                self._accepted = (self._accepted or 0) + accepted

    def watch(self, status: Callable[[], PolicyStatus]) -> None:
        """Ask `status` from now on."""
        with self._guard:
            self._status = status
            if not self._done:
                self._since = self._last = self._clock()

    def read(self, window_s: float = WINDOW_SECONDS) -> Reading:
        """Return what it shows now, with rates over the last `window_s` seconds (at most LONG_WINDOW_SECONDS)."""
        status = self._ask()
        with self._guard:
            now = self._clock()
            worked = max(now - self._since, 1e-9)
            window = min(window_s, worked)
            tokens, accepted = self._before(now - window)
            return Reading(
                done=self._done,
                total=self._total,
                seconds=now - self._start,
                note=self._note,
                tokens=self._tokens,
                tokens_per_second=(self._tokens - tokens) / window,
                tokens_per_second_overall=self._tokens / worked,
                silent_s=now - self._last,
                done_per_second=self._done / worked,
                accepted=self._accepted,
                accepted_per_second=None if self._accepted is None else (self._accepted - accepted) / window,
                status=status,
            )

    def _before(self, moment: float) -> tuple[int, int]:
        """Return tokens and accepted units that were counted before a moment."""
        for at, tokens, accepted in self._marks:
            if at >= moment:
                return tokens, accepted
        return self._tokens, self._accepted or 0

    def _ask(self) -> PolicyStatus:
        if self._status is None:
            return PolicyStatus()
        try:
            return self._status()
        except Exception:  # noqa: BLE001 - the policy may be closing; a progress line must not end the run
            return PolicyStatus()


class TerminalReporter(Reporter):
    """Speaks on stderr; stdout carries data only."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(_printable(text), markup=False)

    @contextmanager
    def task(self, step: str, total: int, unit: str) -> Iterator[Task]:
        """Show a bar on a terminal, a line every ten seconds elsewhere."""
        meter = Meter(total)
        if self.console.is_terminal:
            with _Bar(self.console, meter, step, unit):
                yield meter
        else:
            with _lines(meter, step, unit):
                yield meter


class _Bar(RichProgress):
    """A bar, below it the meter's figures, and a line for each server."""

    def __init__(self, console: Console, meter: Meter, step: str, unit: str) -> None:
        self._meter = meter
        super().__init__(
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            _Count(meter, unit),
            console=console,
            refresh_per_second=4,
        )
        self.add_task(step, total=meter.read().total)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar, the figures and, while it runs, the servers."""
        reading = self._meter.read()
        for row in self.task_ids:
            self.update(row, completed=reading.done)
        yield self.make_tasks_table(self.tasks)
        if text := reading.text():
            yield Text(f"         {_printable(text)}", no_wrap=True, overflow="ellipsis")
        if reading.status.servers and not self.finished:
            yield servers_table(reading.status.servers, most=MAX_SERVER_LINES)


class _Count(ProgressColumn):
    """How many of how many."""

    def __init__(self, meter: Meter, unit: str) -> None:
        super().__init__()
        self._meter, self._unit = meter, unit

    def render(self, task: RichTask) -> Text:
        """Return the text."""
        del task
        reading = self._meter.read()
        return Text(f"{reading.done:,}/{reading.total:,} {self._unit}")


def clock_text(seconds: float) -> str:
    """Write a time for a reader, e.g. `12 min`."""
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def servers_table(servers: Sequence[ServerStatus], *, most: int | None = None) -> Table:
    """Draw servers as a table, a line each; with `most`, only so many, those that are not up first."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for column in ("", "server", "state", "in flight", "limit", "done", "faults"):
        table.add_column(column, justify="right" if column in ("in flight", "limit", "done", "faults") else "left")
    shown = servers if most is None or len(servers) <= most else sorted(servers, key=lambda s: s.state == "up")[:most]
    for server in shown:
        style = {"up": "green", "starting": "yellow", "down": "red"}[server.state]
        numbers = (server.in_flight, server.limit, server.num_done, server.num_faults)
        state = Text(server.state, style=style)
        table.add_row("       ", Text(_printable(server.name)), state, *(f"{n:,}" for n in numbers))
    if len(shown) < len(servers):
        table.add_row("", f"… and {len(servers) - len(shown):,} more")
    return table


@contextmanager
def _lines(meter: Meter, step: str, unit: str) -> Iterator[None]:
    """Print a line every ten seconds, results or not, and one at the end."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(LINE_SECONDS):
            _print_line(meter, step, unit)

    thread = threading.Thread(target=tick, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    _print_line(meter, step, unit)


def _print_line(meter: Meter, step: str, unit: str) -> None:
    reading = meter.read()
    down = [f"{s.name} is down ({s.num_faults:,} faults)" for s in reading.status.servers if s.state == "down"]
    when = f"{'in' if reading.done >= reading.total else 'after'} {clock_text(reading.seconds)}"
    figures = " · ".join(filter(None, (reading.text(), *down, when)))
    text = f"{step:<8} {reading.done:,}/{reading.total:,} {unit} · {figures}"
    print(_printable(text), file=sys.stderr, flush=True)  # noqa: T201 - this is the place that prints


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:,.1f}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
