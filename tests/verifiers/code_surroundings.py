"""The host that attacks on the judge of code are let loose on, and a look at it afterwards.

`Surroundings` sets up what the placeholders of attacks stand for (`code_attacks/attack.py`), `judged` has cases judged
in a process of its own, with this process as the reaper of all orphans among its descendants, and `changes` says what
is not as it was: processes, files, objects, descriptors. Linux only. No outcome is checked here.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RUNNER = Path(__file__).parent / "code_attack_runner.py"
CANARY = "canary-" + uuid.uuid4().hex
NOBODY = 65534
_SUBREAPER, _PLACEHOLDER = 36, re.compile(r"@(FILE|FOLDER|NAME|NUMBER|PID|PORT|SOCKET|ABSTRACT|SHM|FD|HOME|REPO)@")


class Surroundings:
    """What attacks aim at; use it as a context."""

    def __init__(self, *, user: int | None = None, python: Sequence[str] = (sys.executable,), path: str = "") -> None:
        """Set up for judging as `user` (None: as who we are) with that Python and PYTHONPATH."""
        self.user, self.python, self.path = user, list(python), path
        self.name = "tf-" + uuid.uuid4().hex[:12]
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Surroundings:
        stack = self._stack
        self.top = Path(tempfile.mkdtemp(prefix="tf-attacks-"))
        self.top.chmod(0o755)
        stack.callback(shutil.rmtree, self.top, ignore_errors=True)
        self.file, self.folder = self.top / f"{self.name}-file", self.top / f"{self.name}-folder"
        self.home, self.scratch = self.top / "home", self.top / "scratch"
        self.file.write_text(CANARY, encoding="utf-8")
        for folder in (self.folder, self.home, self.scratch):
            folder.mkdir()
            folder.chmod(0o777)
        (self.folder / "keep").touch()
        (self.home / "keep").touch()
        environment = {"TF_CANARY": CANARY, "PATH": os.environ["PATH"]}
        command = [*self.python, "-S", "-c", f"import time; time.sleep(3600) # {self.name}"]
        self.sleeper = subprocess.Popen(command, env=environment, **self._identity())
        stack.callback(_end, self.sleeper)
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.unix = stack.enter_context(_listening(str(self.top / "socket")))
        (self.top / "socket").chmod(0o777)
        self.abstract = stack.enter_context(_listening(f"\0{self.name}-abstract"))
        self.shm = _segment(CANARY)
        stack.callback(_remove_segment, self.shm)
        in_memory = Path(f"/dev/shm/{self.name}-shm")
        in_memory.write_text(CANARY, encoding="utf-8")
        stack.callback(in_memory.unlink, missing_ok=True)
        self.values = {
            "FILE": str(self.file),
            "FOLDER": str(self.folder),
            "NAME": self.name,
            "NUMBER": str(int(self.name[3:9], 16) | 1 << 24),
            "PID": str(self.sleeper.pid),
            "PORT": str(self.tcp.getsockname()[1]),
            "SOCKET": str(self.top / "socket"),
            "ABSTRACT": f"{self.name}-abstract",
            "SHM": str(self.shm),
            "HOME": str(self.home),
            "REPO": str(ROOT),
        }
        self.before = self._state()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def judged(self, cases: Sequence[Mapping[str, Any]], *, timeout_s: float) -> dict[str, Any]:
        """Have cases (name, completion, reference, times) judged; return the runner's last word and all verdicts.

        The result has `verdicts` (name to a list of outcome, reason, seconds), `harmed` (name to what was no longer as
        it was after that case), `left` (processes that outlived the runner) and the runner's own numbers.
        """
        self._become_reaper()
        descriptor = os.open(self.file, os.O_RDONLY)
        os.set_inheritable(descriptor, True)
        filled = {**self.values, "FD": str(descriptor)}
        filled_cases = [
            {**case, "completion": _PLACEHOLDER.sub(lambda match: filled[match[1]], case["completion"])}
            for case in cases
        ]
        watched = {"file": str(self.file), "folder": str(self.folder), "home": str(self.home), "pid": self.sleeper.pid}
        given = self.top / "cases.json"
        given.write_text(json.dumps({"cases": filled_cases, "watched": watched, "canary": CANARY}), encoding="utf-8")
        environment = {
            **os.environ,
            "TF_CANARY": CANARY,
            self.name.replace("-", "_"): CANARY,
            "TMPDIR": str(self.scratch),
            "HOME": str(self.home),
            "PYTHONPATH": self.path or str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        known = _children(os.getpid())
        said = self.top / "verdicts.jsonl"  # a pipe would stay open for as long as anything that is left behind
        with said.open("wb") as output:
            runner = subprocess.Popen(
                [*self.python, str(self._runner()), str(given)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                env=environment,
                cwd=self.scratch,
                pass_fds=[descriptor],
                start_new_session=True,
                **self._identity(),
            )
        try:
            runner.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _end(runner)
        os.close(descriptor)
        result: dict[str, Any] = {"verdicts": {}, "harmed": {}, "last": None, "exit_status": runner.returncode}
        for line in said.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if "name" not in row:
                result["last"] = row
                continue
            result["verdicts"].setdefault(row["name"], []).append(row)
            if row["harmed"]:
                result["harmed"][row["name"]] = row["harmed"]
        result["left"] = _orphans(known)
        return result

    def changes(self) -> list[str]:
        """Say what is not as it was before; empty if all is."""
        after = self._state()
        found = [f"{what}: {old!r} is now {after[what]!r}" for what, old in self.before.items() if after[what] != old]
        return found + [f"{path} was left" for path in self._marked()]

    def _identity(self) -> dict[str, Any]:
        return {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}

    def _runner(self) -> Path:
        if self.user is None:
            return RUNNER
        copied = self.top / RUNNER.name
        shutil.copy(RUNNER, copied)
        copied.chmod(0o644)
        return copied

    def _become_reaper(self) -> None:
        assert ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0) == 0
        self._stack.callback(ctypes.CDLL(None).prctl, _SUBREAPER, 0, 0, 0, 0)

    def _state(self) -> dict[str, Any]:
        return {
            "the canary file": (self.file.read_text(encoding="utf-8"), self.file.stat().st_mode)
            if self.file.exists()
            else None,
            "the open folder": _listing(self.folder),
            "the home": _listing(self.home),
            "the folder of temporary files": _listing(self.scratch),
            "the sleeper": self.sleeper.poll(),
            "System V objects": [
                row for kind in ("shm", "sem", "msg") for row in _sysv(kind, int(self.values["NUMBER"]))
            ],
            "mounts": sorted(line.split(" ", 4)[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
            "the name of the machine": os.uname().nodename,
            "the descriptors of this process": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - as many as are open
        }

    def _marked(self) -> list[str]:
        """Return what has this run's name in its own, wherever an attack may have put it."""
        import numpy

        places = ["/", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/etc", "/run", "/usr/lib", "/usr/local/bin"]
        places += [str(ROOT), str(ROOT / "tests" / "verifiers"), str(ROOT / "verifiers"), str(Path.home()), os.__file__]
        places += [
            str(Path(numpy.__file__).parents[1]),
            str(Path(json.__file__).parent / "__pycache__"),
            "/sys/fs/cgroup",
        ]
        mine = {f"{self.name}-shm"}
        found = []
        for place in {os.path.dirname(p) if p.endswith(".py") else p for p in places}:  # noqa: PTH120
            with contextlib.suppress(OSError):
                found += [f"{place}/{name}" for name in os.listdir(place) if self.name in name and name not in mine]  # noqa: PTH208
        names = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
        found += [line.split()[-1] for line in names.splitlines() if self.name in line and "-abstract" not in line]
        return found


def readable_python(folder: Path) -> tuple[list[str], str]:
    """Return a Python and a PYTHONPATH with the judges that an ordinary user may run, copied to `folder` if need be.

    Raises OSError if there is none.
    """
    folder.chmod(0o755)
    plain = ([sys.executable], "")
    if _runs(*plain):
        return plain
    base = Path(sys.base_prefix)
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    left_out = shutil.ignore_patterns(
        "test", "tests", "idlelib", "site-packages", "__pycache__", "ensurepip", "tkinter", "*.a", "config-*"
    )
    shutil.copytree(base / library, folder / "python" / library, ignore=left_out, symlinks=True)
    program = folder / "python" / "bin" / "python3"
    program.parent.mkdir()
    shutil.copy(Path(sys.executable).resolve(), program)
    for shared in (base / "lib").glob("libpython*.so*"):
        shutil.copy(shared, folder / "python" / "lib")
    packages = folder / "packages"
    shutil.copytree(ROOT / "verifiers", packages / "verifiers", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "typing_extensions",
        "typing_inspection",
        "numpy",
        "numpy.libs",
    ):
        origin = _package(name)
        if origin is not None and origin.is_dir():
            shutil.copytree(origin, packages / name, ignore=shutil.ignore_patterns("__pycache__", "tests"))
        elif origin is not None:
            shutil.copy(origin, packages)
    copied = ([str(program)], str(packages))
    if not _runs(*copied):
        raise OSError(f"no Python here that user {NOBODY} may run: {sys.executable} is out of reach and so is a copy")
    return copied


def _package(name: str) -> Path | None:
    import pydantic

    place = Path(pydantic.__file__).parents[1]
    return next((found for found in (place / name, place / f"{name}.py") if found.exists()), None)


def _runs(python: list[str], path: str) -> bool:
    command = [*python, "-c", "import verifiers, pydantic"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path or str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        identity: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return (
            subprocess.run(command, env=environment, cwd="/", capture_output=True, check=False, **identity).returncode
            == 0
        )
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _listening(name: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(name)
    found.listen()
    return found


def _segment(text: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    found = libc.shmget(0, ctypes.c_size_t(4096), 0o1444 | 0o222)
    if found < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    place = libc.shmat(found, None, 0)
    ctypes.memmove(place, text.encode(), len(text))
    libc.shmdt(ctypes.c_void_p(place))
    return int(found)


def _remove_segment(segment: int) -> None:
    ctypes.CDLL(None).shmctl(segment, 0, None)


def _listing(folder: Path) -> list[str] | None:
    return sorted(os.listdir(folder)) if folder.is_dir() else None  # noqa: PTH208


def _sysv(kind: str, number: int) -> list[str]:
    """Return the objects whose keys are this run's."""
    rows = Path(f"/proc/sysvipc/{kind}").read_text(encoding="utf-8").splitlines()[1:]
    return [f"{kind} {row.split()[0]}" for row in rows if 0 <= int(row.split()[0]) - number < 8]


def _children(parent: int) -> set[int]:
    found = set()
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with contextlib.suppress(OSError):
                if int((place / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]) == parent:
                    found.add(int(place.name))
    return found


def _orphans(known: set[int]) -> list[str]:
    """Return who is still there, of the runner's descendants, shortly after its end; end and reap them.

    All of them have become children of this process, for it is their reaper, however they tried to leave.
    """
    deadline = time.monotonic() + 3
    while (left := _reaped(_children(os.getpid()) - known)) and time.monotonic() < deadline:
        time.sleep(0.05)
    named = []
    for pid in left:
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            named.append(f"{pid} {Path(f'/proc/{pid}/comm').read_text(errors='replace').strip()}: {command}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return named


def _reaped(pids: set[int]) -> set[int]:
    left = set()
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                left.add(pid)
    return left
