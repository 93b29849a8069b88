"""One run: its process, its folder, its limits, and what it gives up before the program has the word.

In: a `Box` and what the fork server has set up. Out: a started process. It is the first of its process namespace: when
it ends, the kernel ends everything else in there. Who watches it is outside (`watch.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from verifiers.sandbox import folders, kernel, landlock, python_run, rootfs, seccomp
from verifiers.sandbox.protocol import Box
from verifiers.sandbox.syscalls import ARCHITECTURES
from verifiers.sandbox.watch import Run

INSIDE_USER = 1000
"""Who a run is inside; outside it is the ordinary user who started the fork server, or nobody."""
_STACK_OF_OTHERS = 256 << 20
"""Stack of programs that are no Python; their threads get as much, as far as the address space goes."""
_NEW = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
START = "work"
"""The folder that a run starts in."""
_FOLDERS = (START, "tmp", "shm")
_CHUNK = 1 << 20
_MAX_KEPT_BYTES = 256 << 20
_OUT_OF_THE_WAY = 200
"""Descriptors of a run are moved above this before they are put into place; no process of ours has more open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Filters on system calls, laid out before any run needs them."""

    python: seccomp.Filter | None
    """For Python; None where it must name the run's process and is built there."""
    others: seccomp.Filter | None
    """For programs in other languages; None as above."""
    making: seccomp.Filter
    """For compilers, which start processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What holds runs of this fork server."""

    namespaces: bool
    """Whether each run gets namespaces of its own."""
    proc: bool
    """Whether a run's own /proc can be mounted."""
    rules: int | None
    """Landlock's rules for every run that has the place of all runs to itself; None without Landlock."""
    landlock: bool
    """Whether Landlock restricts it."""
    filters: Filters | None
    """The filters on system calls; None without them."""
    readable: tuple[str, ...]
    """Paths outside of its folder that it reads and executes."""
    python_path: tuple[str, ...]
    """Where its Python finds modules."""
    scratch: str
    """Where the folders of runs lie if there are no namespaces."""

    @property
    def is_none(self) -> bool:
        """Whether nothing holds runs at all, because the user said so."""
        return not (self.namespaces or self.landlock or self.filters)


def start(box: Box, isolation: Isolation, peer: int | None) -> Run:
    """Fork the process of a run, in new namespaces where there are any. Raises OSError."""
    folder = None if isolation.namespaces else f"{isolation.scratch}/run-{time.monotonic_ns()}"
    if folder is not None:
        os.mkdir(folder, 0o700)
    began, beginning = os.pipe()
    started = time.monotonic()
    pid = fork(_NEW if isolation.namespaces else 0)
    if pid == 0:
        _become(box, isolation, folder or rootfs.BOX, peer, beginning)  # never returns
    os.close(beginning)
    return Run(box=box, pid=pid, folder=folder, began=began, started=started)


def fork(flags: int = 0) -> int:
    """Fork as cheaply as can be: nothing here has threads, locks or open buffers that a fork would have to mend."""
    if kernel.MACHINE in ARCHITECTURES and sys.platform == "linux":
        return kernel.clone(flags)
    return os.fork()


def kernel_safe(action: Callable[[], object]) -> None:
    """Do what only Linux can where it can be done."""
    with contextlib.suppress(OSError, AttributeError):
        action()


def _fill_folder(box: Box, isolation: Isolation, folder: str) -> None:
    """Make what is in the run's folder: `work`, where it starts, `tmp` and `shm`; in memory, with namespaces."""
    if isolation.namespaces:
        size = f"mode=0755,size={box.limits.disk_mb}m,nr_inodes={box.limits.max_files}"
        kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, size)
        if isolation.proc:
            kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        else:
            kernel.mount("tmpfs", "/proc", "tmpfs", kernel.MS_RDONLY)
    for name in _FOLDERS:
        os.mkdir(f"{folder}/{name}")
    for name, content in box.files:
        _write_file(f"{folder}/{START}/{name}", content)


def remove_folder(folder: str) -> None:
    """Remove a run's folder; mostly nothing is left in it."""
    try:
        for name in (*_FOLDERS, ""):
            os.rmdir(f"{folder}/{name}")
        return
    except OSError:
        pass  # the program has left something
    folders.remove_folder(folder)


def _write_file(path: str, content: int) -> None:
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    place = 0
    while data := os.pread(content, _CHUNK, place):
        os.write(target, data)
        place += len(data)
    os.close(target)


def _become(box: Box, isolation: Isolation, folder: str, peer: int | None, beginning: int) -> None:
    """Turn this process into the program: nothing of ours is left but what it is meant to have. Does not return.

    What goes wrong until then is written to `beginning`; nothing there says that the program has begun.
    """
    status = 127
    try:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            kernel_safe(lambda: kernel.die_with_parent(signal.SIGKILL))
            os.setpgid(0, 0)  # signals to its group are for it alone
            _fill_folder(box, isolation, folder)
            if box.collected is not None and (maker := fork()):
                status = _collected(maker, f"{folder}/{START}/{box.collected[0]}", box.collected[1])
                return
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os.chdir(f"{folder}/{START}")
            for name, value in _environment(box, isolation, folder):
                os.environ[name] = value
            _limit(box)
            _give_up(box, isolation, folder, peer)
            files = _arrange_files(box, peer, beginning)
        except BaseException as error:
            os.write(beginning, f"{type(error).__name__}: {error}".encode()[:500])
            raise
        os.close(files.pop("beginning"))
        if box.run[0] in python_run.MODES:
            status = python_run.run(box.run[0], files, isolation.python_path)
        else:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            _set_limit(resource.RLIMIT_STACK, _STACK_OF_OTHERS, _STACK_OF_OTHERS)
            os.execve(box.run[0], list(box.run), dict(os.environ))
    finally:  # this process must never go on as the fork server
        os._exit(status)


def _collected(maker: int, path: str, target: int) -> int:
    """Wait for the process that makes a file, and keep the file. Returns its exit status."""
    kernel_safe(lambda: kernel.set_dumpable(0))
    while (ended := os.wait())[0] != maker:
        pass  # an orphan
    status = os.waitstatus_to_exitcode(ended[1])
    if status == 0:
        _keep_files(path, target)
    return status if status >= 0 else 128 - status


def _environment(box: Box, isolation: Isolation, folder: str) -> tuple[tuple[str, str], ...]:
    """Return what this run's environment has besides that of all runs, which the fork server has set."""
    own = () if isolation.namespaces else (("HOME", f"{folder}/{START}"), ("TMPDIR", f"{folder}/tmp"))
    return (*own, *box.environment)


def _arrange_files(box: Box, peer: int | None, beginning: int) -> dict[str, int]:
    """Put the box's files where the program looks for them, and close all others."""
    null = os.open("/dev/null", os.O_RDWR)
    wanted = {"stdin": box.stdin, "stdout": box.stdout, "stderr": box.stderr}
    others = {"code": box.code, "data": box.data, "result": box.result, "peer": peer, "beginning": beginning}
    sources = [null if fd is None else fd for fd in wanted.values()]
    kept = {name: fd for name, fd in others.items() if fd is not None}
    # first out of the way, then into place
    moved = [_moved(fd) for fd in (*sources, *kept.values())]
    for target, fd in enumerate(moved):
        os.dup2(fd, target, inheritable=target < 3)
    os.closerange(len(moved), 2 * _OUT_OF_THE_WAY)
    return {name: place for place, name in enumerate(kept, 3)}


def _moved(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)


def _limit(box: Box) -> None:
    limits = box.limits
    memory = (2 * limits.memory_mb + 2048) << 20
    seconds = math.ceil(limits.cpu_s) + 1
    wanted = [
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_FSIZE, limits.output_mb << 20, limits.output_mb << 20),
        (resource.RLIMIT_NOFILE, limits.max_open, limits.max_open),
    ]
    if limits.bounded_address_space:
        wanted.append((resource.RLIMIT_AS, memory, memory))
    if hasattr(resource, "RLIMIT_NPROC"):
        wanted.append((resource.RLIMIT_NPROC, limits.max_processes, limits.max_processes))
    for name in ("RLIMIT_MSGQUEUE", "RLIMIT_MEMLOCK", "RLIMIT_RTPRIO"):
        if (what := getattr(resource, name, None)) is not None:
            wanted.append((what, 0, 0))
    for what, soft, hard in wanted:
        _set_limit(what, soft, hard)


def _set_limit(what: int, soft: int, hard: int) -> None:
    most = resource.getrlimit(what)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (soft, hard))


def _give_up(box: Box, isolation: Isolation, folder: str, peer: int | None) -> None:
    """Give up privileges, then files, then system calls."""
    if isolation.is_none:
        return
    kernel.forbid_new_privileges()
    kernel.drop_capabilities()
    kernel.set_dumpable(1)  # else its own /proc/self/fd is not its own
    is_alone = isolation.namespaces or (peer is None and box.run[0] in python_run.MODES)
    if isolation.rules is not None and is_alone:
        landlock.restrict(isolation.rules)
        os.close(isolation.rules)
    elif isolation.landlock:
        readable = (*isolation.readable, f"/proc/{os.getpid()}")
        rules = landlock.ruleset(readable=readable, writable=(folder, "/dev/null"))
        landlock.restrict(rules)
        os.close(rules)
    if isolation.filters is not None:
        filters = isolation.filters
        chosen = filters.python if box.run[0] in python_run.MODES else filters.others
        if box.collected is not None:
            chosen = filters.making
        if chosen is None:
            chosen = seccomp.Filter(is_hidden=False, may_fork=False, signals_only_to=os.getpid())
        chosen.install()


def _keep_files(path: str, target: int) -> None:
    """Write a file, or a folder as a zip archive, of the run's folder to a descriptor."""
    if os.path.isdir(path) and not os.path.islink(path):
        import zipfile

        with zipfile.ZipFile(os.fdopen(os.dup(target), "w+b"), "w") as archive:
            for place, _, names in os.walk(path):
                for name in sorted(names):
                    full = os.path.join(place, name)
                    if stat.S_ISREG(os.lstat(full).st_mode):
                        archive.write(full, os.path.relpath(full, path))
        return
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    kept = 0
    while (data := os.read(source, _CHUNK)) and kept < _MAX_KEPT_BYTES:
        os.write(target, data)
        kept += len(data)
    os.close(source)
