"""What a run is doing, in a small file that another shell can read: `factory status`.

    recording    a block that is a run: its reporter also writes the file
    read_runs    the runs of a ledger, living and ended -> RunState

The file is `runs/<start>-<pid>.json` in the ledger's folder, replaced as a whole every two seconds and at the end. A
lock on the file beside it tells a living run from a dead one, also after SIGKILL; on another machine, where locks may
not be seen, the file's age does. It is a convenience: a disk that is full or read-only costs a run its state file and
nothing else. It is no part of the ledger's data.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from factory.errors import FactoryError
from factory.ledger.journal import lock_file
from factory.progress import LONG_WINDOW_SECONDS, Meter, Reading, Reporter, Task
from factory.records import PolicyStatus, ServerStatus

WRITE_SECONDS = 2.0
"""Between two versions of the file."""
SILENT_SECONDS = 60.0
"""A run of another machine whose file is older than this is taken for dead."""
KEPT_RUNS = 20
"""Files that are kept, the newest."""
FOLDER = "runs"

Outcome = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run's file says of it."""

    recipe: str
    """The recipe's name."""
    started_at: float
    """Unix time."""
    updated_at: float
    """Unix time of this version of the file."""
    pid: int
    """Its process."""
    host: str
    """Its machine."""
    alive: bool
    """Whether it still runs."""
    outcome: Outcome | None
    """How it ended; None while it runs, and for one that was killed."""
    message: str
    """Why it failed."""
    step: str
    """The step it is at; empty between steps."""
    unit: str
    """What is counted."""
    finished: dict[str, int]
    """Units of the steps that are behind it."""
    reading: Reading | None
    """Counts and rates of the step, those of the last minute where they have a window; None between steps."""

    def as_json(self) -> dict[str, Any]:
        """Return it as flat JSON data: what `factory status --json` prints."""
        data: dict[str, Any] = {name: value for name, value in asdict(self).items() if name != "reading"}
        if self.reading is None:
            return data
        figures = asdict(self.reading)
        status = figures.pop("status")
        data |= {**figures, **status, "eta_s": self.reading.eta_s}
        return data


class Recorder:
    """Writes a run's file while the run works. Safe to use from several threads."""

    def __init__(self, folder: Path, *, recipe: str) -> None:
        self._folder = folder
        self._started_at = time.time()
        self._recipe = recipe
        self._guard = threading.RLock()
        self._step = self._unit = self._message = ""
        self._outcome: Outcome | None = None
        self._finished: dict[str, int] = {}
        self._meter: Meter | None = None
        self._ended = threading.Event()
        self._lock: int | None = None
        start = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._started_at))
        micros = int(self._started_at * 1e6) % 1_000_000
        self._path = folder / f"{start}.{micros:06d}-{os.getpid()}.json"
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            self._lock = lock_file(_lock_of(self._path), wait=False)
            _remove_old(folder)
        self._thread = threading.Thread(target=self._write_now_and_then, name="run state", daemon=True)
        if self._lock is not None:
            self._write()
            self._thread.start()

    def begin(self, step: str, total: int, unit: str) -> Meter:
        """Say that a step's counted work begins; returns its meter."""
        with self._guard:
            self._step, self._unit, self._meter = step, unit, Meter(total)
            self._write()
            return self._meter

    def finish(self) -> None:
        """Say that the step's counted work is over."""
        with self._guard:
            if self._meter is not None:
                self._finished[self._step] = self._finished.get(self._step, 0) + self._meter.read().done
            self._step = self._unit = ""
            self._meter = None

    def end(self, outcome: Outcome, message: str = "") -> None:
        """Write the last version and let go."""
        with self._guard:
            self._outcome, self._message = outcome, message
            self._write()
        self._ended.set()
        if self._lock is not None:
            self._thread.join()
            os.close(self._lock)
            self._lock = None

    def _write_now_and_then(self) -> None:
        while not self._ended.wait(WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        with self._guard:
            if self._lock is None:
                return
            data = {
                "recipe": self._recipe,
                "started_at": self._started_at,
                "updated_at": time.time(),
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "outcome": self._outcome,
                "message": self._message,
                "step": self._step,
                "unit": self._unit,
                "finished": self._finished,
                "reading": None if self._meter is None else asdict(self._meter.read(LONG_WINDOW_SECONDS)),
            }
            temporary = self._path.with_name(f".{self._path.name}.tmp")
            try:
                temporary.write_text(json.dumps(data), encoding="utf-8")
                temporary.replace(self._path)
            except OSError:  # full or read-only: the next version may get through
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)


@dataclass(slots=True)
class _RecordedTask(Task):
    """Tells the terminal's task and the file's meter alike."""

    shown: Task
    meter: Meter

    def advance(self, by: int = 1, *, note: str = "", tokens: int = 0, accepted: int | None = None) -> None:
        self.shown.advance(by, note=note, tokens=tokens, accepted=accepted)
        self.meter.advance(by, note=note, tokens=tokens, accepted=accepted)

    def watch(self, status: Any) -> None:
        self.shown.watch(status)
        self.meter.watch(status)


@dataclass(slots=True)
class _RecordingReporter(Reporter):
    """Speaks as another reporter does, and keeps the file."""

    shown: Reporter
    recorder: Recorder

    def say(self, text: str) -> None:
        self.shown.say(text)

    @contextlib.contextmanager
    def task(self, step: str, total: int, unit: str) -> Iterator[Task]:
        meter = self.recorder.begin(step, total, unit)
        with self.shown.task(step, total, unit) as task:
            yield _RecordedTask(task, meter)
        self.recorder.finish()  # not after an exception: the last version says where it stopped


@contextlib.contextmanager
def recording(ledger: Path, *, recipe: str, reporter: Reporter) -> Iterator[Reporter]:
    """Keep a run's file in a ledger's folder while the block runs; yields the reporter that the run is to use."""
    recorder = Recorder(ledger / FOLDER, recipe=recipe)
    try:
        yield _RecordingReporter(reporter, recorder)
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
            recorder.end("interrupted")
        else:
            recorder.end("failed", error_text(error))
        raise
    recorder.end("done")


def error_text(error: BaseException) -> str:
    """Return an error's own words in one line, without credentials: those in a URL, those in the environment."""
    text = error.message if isinstance(error, FactoryError) else f"{type(error).__name__}: {error}"
    text = re.sub(r"(\w://)[^/@\s]+@", r"\1", " ".join(text.split()))
    for name, value in os.environ.items():
        if len(value) >= 8 and re.search(r"KEY|TOKEN|SECRET|PASSWORD", name, re.IGNORECASE):
            text = text.replace(value, "***")
    return text[:500]


def read_runs(ledger: Path) -> list[RunState]:
    """Return the runs of a ledger that are on record, the oldest first. A file that cannot be read is left out."""
    try:
        paths = sorted((ledger / FOLDER).glob("[0-9]*.json"))
    except OSError:
        return []
    runs = (_read(path) for path in paths)
    return sorted((run for run in runs if run is not None), key=lambda run: run.started_at)


def _read(path: Path) -> RunState | None:
    # The lock first: a run that ends in between has written its outcome by then.
    locked = _is_locked(_lock_of(path))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        reading = data.pop("reading")
        here = data["host"] == socket.gethostname()
        fresh = time.time() - data["updated_at"] < SILENT_SECONDS
        alive = data["outcome"] is None and (locked if here and locked is not None else fresh)
        state = RunState(**data, alive=alive, reading=None if reading is None else _reading(reading))
        return TypeAdapter(RunState).validate_python(asdict(state))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _reading(data: dict[str, Any]) -> Reading:
    status = data.pop("status")
    servers = tuple(ServerStatus(**server) for server in status["servers"])
    return Reading(**data, status=PolicyStatus(in_flight=status["in_flight"], servers=servers))


def _is_locked(path: Path) -> bool | None:
    """Tell whether a living process holds a lock file; None where that cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        # Shared, so that two readers do not take each other for the run.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(descriptor)


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _remove_old(folder: Path) -> None:
    """Delete all but the newest files; never those of a run that lives."""
    for path in sorted(folder.glob("[0-9]*.lock"))[:-KEPT_RUNS]:
        if not _is_locked(path):
            for old in (path.with_suffix(".json"), path):
                old.unlink(missing_ok=True)
