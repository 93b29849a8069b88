"""Hold a fork server: start it, send it runs, read what came out, end it.

In: boxes and the contents of their files. Out: reports. One run, or two connected ones, at a time; a caller that wants
more at once holds more of these. The fork server ends with the thread that started it, so use one from one thread that
lives as long: judges run in the main thread of a worker process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from verifiers.sandbox import cgroups
from verifiers.sandbox.folders import remove_folder
from verifiers.sandbox.layers import MIN_LANDLOCK, SandboxUnavailableError, layers
from verifiers.sandbox.protocol import Box, Limits, Report, report_of, send_boxes

BOOT = (
    "import sys, types; own = types.ModuleType('verifiers'); own.__path__ = [sys.argv[1]]; "
    "sys.modules['verifiers'] = own; "
)
"""Import single modules of this package without the package: its judges and their libraries stay outside."""
PACKAGE = str(Path(__file__).resolve().parent.parent)
_FLAGS = ("-s", "-P", "-S", "-B")
_SERVE = (
    "import os, resource; "
    "limit = resource.getrlimit(resource.RLIMIT_STACK)[1]; "
    "wide = 1 << 30 if limit < 0 else min(limit, 1 << 30); "
    # the room that a stack can grow into is laid out when a program starts: once more, with the wider limit
    "len(sys.argv) > 3 or (resource.setrlimit(resource.RLIMIT_STACK, (wide, limit)), "
    f"os.execv(sys.executable, [sys.executable, *{_FLAGS!r}, '-c', sys.orig_argv[-3], *sys.argv[1:], 'again'])); "
    "from verifiers.sandbox import fork_server; fork_server.main(int(sys.argv[2]))"
)
_LENGTH = struct.Struct(">I")
_START_S = 60.0
_GRACE_S = 20.0
_END_S = 5.0
_MAX_MEMORY_MB = 16384
"""Memory of all that runs at one time, where the kernel can bound it; each run has a bound of its own besides."""
_ADD_SEALS, _SEALED = 1033, 0x1 | 0x2 | 0x4 | 0x8
_SELF_TEST = """
import ctypes, os, socket
def tried(name, action):
    try: action()
    except BaseException: return
    print(name)
if os.getuid() == 0: print("it is root")
known = {"PATH", "HOME", "TMPDIR", "LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}
if set(os.environ) - known: print("it sees our environment")
tried("it reads /etc/passwd", lambda: open("/etc/passwd").close())
tried("it lists home folders", lambda: os.listdir("/home"))
tried("it makes a socket", socket.socket)
if os.getppid(): tried("it signals who started it", lambda: os.kill(os.getppid(), 0))
tried("it writes to /usr", lambda: open("/usr/written-by-a-test", "w").close())
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000) == 0: print("it makes a user namespace")
if libc.ptrace(0, 0, 0, 0) == 0: print("it traces")
for fd in range(3, 256):
    try: os.fstat(fd)
    except OSError: continue
    print("it inherits a file"); break
print("end of test")
"""


class SandboxLostError(RuntimeError):
    """The fork server died or did not answer; nothing is known of the run."""


class Sandbox:
    """A place to run untrusted programs.

    Example:
        >>> with Sandbox() as sandbox:
        ...     out = sandbox.file()
        ...     report = sandbox.run(
        ...         Box(run=("stdin",), limits=Limits(), code=sandbox.file(b"print(6 * 7)"), stdout=out)
        ...     )
        ...     report.exit_status, read_file(out)
        (0, b'42\\n')
    """

    def __init__(self, *, bare: bool = False, visible: Iterable[str] = (), namespaces: bool | None = None) -> None:
        """Start a fork server and try whether it holds. Raises SandboxUnavailableError if it does not.

        `bare` isolates nothing: the user has said so by name. `visible` are further paths that runs may read.
        `namespaces` False does without them although they are there.
        """
        found = layers()
        if not bare and not found.suffices:
            raise SandboxUnavailableError(found.lacking())
        self.bare = bare
        self.namespaces = not bare and found.namespaces is None and namespaces is not False
        if not bare and not self.namespaces and found.landlock_abi < MIN_LANDLOCK:
            raise SandboxUnavailableError(found.lacking())
        self._files: list[int] = []
        # with namespaces the folders of runs lie in memory of their own
        self._scratch = None if self.namespaces else _scratch_folder()
        self._plan = {
            "parent": os.getpid(),
            "namespaces": self.namespaces,
            "landlock": not bare and found.landlock_abi > 0,
            "seccomp": not bare,
            "bare": bare,
            "scratch": self._scratch,
            "visible": [*_python_paths(), *visible],
            "python_path": _module_paths(),
        }
        try:
            self._start()
            if not bare:
                self._test()
        except BaseException:
            self.close()
            raise

    def run(self, *boxes: Box) -> list[Report]:
        """Run a box, or two that are connected, to the end. Raises SandboxLostError if nothing can be known of it."""
        wall = max(box.limits.wall_s for box in boxes)
        try:
            send_boxes(self._channel, boxes)
            reports = [report_of(row) for row in self._answer(wall + _GRACE_S)["reports"]]
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise SandboxLostError(f"the fork server is lost: {type(error).__name__}: {error}{self._said()}") from error
        return reports

    def file(self, content: bytes | None = None) -> int:
        """Make a file in memory: with fixed content to be read, or empty to be written to. Ends with `free_files`."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("sandbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        else:
            fd, path = tempfile.mkstemp()
            Path(path).unlink()
        self._files.append(fd)
        if content is not None:
            place = 0
            while place < len(content):
                place += os.pwrite(fd, memoryview(content)[place : place + (1 << 24)], place)
            if hasattr(os, "memfd_create"):
                fcntl.fcntl(fd, _ADD_SEALS, _SEALED)
        return fd

    def free_files(self) -> None:
        """Close all files that `file` has made."""
        for fd in self._files:
            os.close(fd)
        self._files.clear()

    def close(self) -> None:
        """End the fork server and all that runs in it. Closing twice is fine."""
        self.free_files()
        if hasattr(self, "_channel"):
            self._channel.close()
        if hasattr(self, "_server"):
            self._server.terminate()
            try:
                self._server.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._errors.close()
            cgroups.remove(self._groups)
        if self._scratch is not None:
            remove_folder(self._scratch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._channel, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the server lives
        self._groups: list[str] = []
        with its:
            self._server = subprocess.Popen(
                [
                    os.path.realpath(sys.executable),
                    *_FLAGS,
                    "-c",
                    BOOT + _SERVE,
                    PACKAGE,
                    str(its.fileno()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
                pass_fds=(its.fileno(),),
                cwd="/",
            )
        self._channel.sendall(json.dumps(self._plan).encode())
        if not self.bare:
            self._groups = cgroups.enclose(self._server.pid, _MAX_MEMORY_MB)
        try:
            hello = self._answer(_START_S)
        except (OSError, ValueError) as error:
            raise SandboxUnavailableError(f"the sandbox did not start: {error}{self._said()}") from None
        if "failure" in hello:
            raise SandboxUnavailableError(f"the sandbox did not start: {hello['failure']}")

    def _test(self) -> None:
        """Run a program that tries to get out, and refuse to go on if it can."""
        out, err = self.file(), self.file()
        box = Box(run=("stdin",), limits=Limits(), code=self.file(_SELF_TEST.encode()), stdout=out, stderr=err)
        [report] = self.run(box)
        said = read_file(out).decode(errors="replace").split("\n")
        if said != ["end of test", ""]:
            found = "; ".join(said[:-2]) or read_file(err).decode(errors="replace")[-500:] or str(report)
            raise SandboxUnavailableError(f"the sandbox does not hold: its own test program says: {found}")
        self.free_files()

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        self._channel.settimeout(timeout_s)
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        return json.loads(self._exactly(length))  # type: ignore[no-any-return]  # our own fork server

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._channel.recv(size - len(data))
            if not part:
                raise ConnectionError("it has ended")
            data += part
        return data

    def _said(self) -> str:
        """Return the end of what the fork server has written to its standard error."""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(0)
            said = self._errors.read()[-2000:].decode(errors="replace").strip()
            return f" ({said})" if said else ""
        return ""


def read_file(fd: int, limit: int = 1 << 30) -> bytes:
    """Return what a file holds, from its start, up to a limit."""
    parts, place = [], 0
    while place < limit and (part := os.pread(fd, min(limit - place, 1 << 24), place)):
        parts.append(part)
        place += len(part)
    return b"".join(parts)


def _scratch_folder() -> str:
    """Make a folder for the folders of runs, in memory where that can be."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return tempfile.mkdtemp(prefix="sandbox-", dir=place)


def _python_paths() -> list[str]:
    """Return what an interpreter reads: its library, compiled modules, shared libraries, installed packages."""
    base = Path(sys.base_prefix) / "lib"
    paths = [*map(os.path.realpath, _module_paths()), str(base.resolve()), os.path.realpath(sys.executable)]
    return list(dict.fromkeys(paths))


def _module_paths() -> list[str]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [sysconfig.get_path(name) for name in names]
    dynamic = str(Path(found[1]) / "lib-dynload")
    base = sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix, "base": sys.base_prefix})
    every = [found[0], found[1], str(Path(base) / "lib-dynload"), dynamic, found[2], found[3]]
    return [path for path in dict.fromkeys(every) if Path(path).is_dir()]
