"""One run: its folder, its limits, the watch over it, its end. Runs in a process that the fork server has forked.

In: a `Box` and what the fork server has set up. Out: a `Report`. Two processes: the keeper, which is the first of the
run's process namespace, prepares the folder and watches; and the program's, which gives up all that it could misuse and
then runs it. When the keeper ends, the kernel ends everything else in the namespace.
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

from verifiers.sandbox import kernel, landlock, python_run, rootfs, seccomp
from verifiers.sandbox.protocol import Box, Report, Stopped

INSIDE_USER = 1000
"""Who a run is inside; outside it is the ordinary user who started the fork server, or nobody."""
_FIRST_LOOK_S, _LATER_LOOKS_S = 0.01, 0.03
_SLACK_MB = 32
"""Memory that belongs to the interpreter, not to the program."""
_STACK_OF_OTHERS = 256 << 20
"""Stack of programs that are no Python; their threads get as much, as far as the address space goes."""
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)
_CHUNK = 1 << 20
_MAX_KEPT_BYTES = 256 << 20
_OUT_OF_THE_WAY = 200
"""Descriptors of a run are moved above this before they are put into place; no process of ours has more open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What holds runs of this fork server."""

    namespaces: bool
    """Whether each run gets namespaces of its own."""
    proc: bool
    """Whether a run's own /proc can be mounted."""
    rules: int | None
    """Landlock's rules that hold for every run; None where they differ, or there is no Landlock."""
    landlock: bool
    """Whether Landlock restricts it."""
    filters: tuple[seccomp.Filter, seccomp.Filter | None] | None
    """The filters on system calls for runs that may start processes and for those that may not; the second is None
    where it must name the run."""
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


def keep(box: Box, isolation: Isolation, peer: int | None) -> Report:
    """Run the box's program to its end, in this process's own namespaces, and report."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    folder = _make_folder(box, isolation)
    try:
        program = fork()
        if program == 0:
            _become(box, isolation, folder, peer)  # never returns
        if peer is not None:
            os.close(peer)
        kernel_safe(lambda: kernel.set_dumpable(0))
        report = _watch(program, box, isolation, folder)
        if box.collected is not None and report.ended_well:
            _keep_files(f"{folder}/work/{box.collected[0]}", box.collected[1])
        return report
    finally:
        if not isolation.namespaces:
            remove_folder(folder)


def fork() -> int:
    """Fork as cheaply as can be: nothing here has threads, locks or open buffers that a fork would have to mend."""
    return kernel.clone(0) if kernel.MACHINE in seccomp.ARCHITECTURES and sys.platform == "linux" else os.fork()


def kernel_safe(action: Callable[[], object]) -> None:
    """Do what only Linux can where it can be done."""
    with contextlib.suppress(OSError, AttributeError):
        action()


def _make_folder(box: Box, isolation: Isolation) -> str:
    """Make the run's folder: `work`, where it starts, `tmp` and `shm`."""
    folder = rootfs.BOX
    if isolation.namespaces:
        kernel.mount(
            "tmpfs",
            folder,
            "tmpfs",
            kernel.MS_NOSUID | kernel.MS_NODEV,
            f"mode=0755,size={box.limits.disk_mb}m,nr_inodes={box.limits.max_files}",
        )
        if isolation.proc:
            kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        else:
            kernel.mount("tmpfs", "/proc", "tmpfs", kernel.MS_RDONLY)
    else:
        folder = f"{isolation.scratch}/run-{os.getpid()}"
        os.mkdir(folder, 0o700)
    for name in ("work", "tmp", "shm"):
        os.mkdir(f"{folder}/{name}")
    for name, content in box.files:
        _write_file(f"{folder}/work/{name}", content)
    return folder


def remove_folder(folder: str) -> None:
    """Remove a run's folder; what the program has closed to itself is opened again."""
    for place, folders, names in os.walk(folder, topdown=False, onerror=lambda error: os.chmod(error.filename, 0o700)):
        for name in (*names, *folders):
            path = f"{place}/{name}"
            with contextlib.suppress(OSError):
                os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _write_file(path: str, content: int) -> None:
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755)
    place = 0
    while data := os.pread(content, _CHUNK, place):
        os.write(target, data)
        place += len(data)
    os.close(target)


def _become(box: Box, isolation: Isolation, folder: str, peer: int | None) -> None:
    """Turn this process into the program: nothing of ours is left but what it is meant to have. Does not return."""
    status = 127
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        kernel_safe(lambda: kernel.die_with_parent(signal.SIGKILL))
        os.chdir(f"{folder}/work")
        for name, value in _environment(box, isolation, folder):
            os.environ[name] = value
        _limit(box)
        _give_up(box, isolation, folder)
        files = _arrange_files(box, peer)
        if box.run[0] in python_run.MODES:
            status = python_run.run(box.run[0], files, isolation.python_path)
        else:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            _set_limit(resource.RLIMIT_STACK, _STACK_OF_OTHERS, _STACK_OF_OTHERS)
            os.execve(box.run[0], list(box.run), dict(os.environ))
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not go on as the fork server
        with contextlib.suppress(OSError):
            os.write(2, f"the sandbox could not start the program: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _environment(box: Box, isolation: Isolation, folder: str) -> tuple[tuple[str, str], ...]:
    """Return what this run's environment has besides that of all runs, which the fork server has set."""
    own = () if isolation.namespaces else (("HOME", f"{folder}/work"), ("TMPDIR", f"{folder}/tmp"))
    return (*own, *box.environment)


def _arrange_files(box: Box, peer: int | None) -> dict[str, int]:
    """Put the box's files where the program looks for them, and close all others."""
    null = os.open("/dev/null", os.O_RDWR)
    wanted = {"stdin": box.stdin, "stdout": box.stdout, "stderr": box.stderr}
    others = {"code": box.code, "data": box.data, "result": box.result, "peer": peer}
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


def _give_up(box: Box, isolation: Isolation, folder: str) -> None:
    """Give up privileges, then files, then system calls."""
    if isolation.is_none:
        return
    kernel.forbid_new_privileges()
    kernel.drop_capabilities()
    kernel.set_dumpable(1)  # else its own /proc/self/fd is not its own
    if isolation.rules is not None:
        landlock.restrict(isolation.rules)
        os.close(isolation.rules)
    elif isolation.landlock:
        readable = (*isolation.readable, f"/proc/{os.getpid()}")
        rules = landlock.ruleset(readable=readable, writable=(folder, "/dev/null"))
        landlock.restrict(rules)
        os.close(rules)
    if isolation.filters is not None:
        forking, alone = isolation.filters
        if not (box.may_fork or isolation.namespaces):
            forking = alone or seccomp.Filter(may_fork=False, signals_only_to=os.getpid())
        forking.install()


def _watch(program: int, box: Box, isolation: Isolation, folder: str) -> Report:
    """Wait for the program's end, or end it at a limit; then end all that it started."""
    started = time.monotonic()
    stopped: Stopped | None = None
    look_s = _FIRST_LOOK_S
    status, usage = None, None
    while status is None:
        signal.sigtimedwait({signal.SIGCHLD}, look_s)
        look_s = _LATER_LOOKS_S
        status, usage = _reaped(program)
        if status is None and stopped is None:
            stopped = _passed_limit(program, box, isolation, folder, time.monotonic() - started)
            if stopped is not None:
                os.kill(program, signal.SIGKILL)
    wall = time.monotonic() - started
    _end_the_rest(isolation)
    assert usage is not None
    cpu, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if stopped is None and (number == signal.SIGXCPU or cpu > box.limits.cpu_s):
        stopped = "cpu"
    if stopped is None and memory > box.limits.memory_mb + _SLACK_MB:
        stopped = "memory"
    return Report(
        exit_status=None if number is not None else os.WEXITSTATUS(status),
        signal=number,
        stopped=stopped,
        cpu_s=cpu,
        wall_s=wall,
        memory_mb=memory,
    )


def _reaped(program: int) -> tuple[int | None, resource.struct_rusage | None]:
    """Reap what has ended; return the program's status and use if it has."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return None, None
        if pid == program:
            return status, usage
        if pid == 0:
            return None, None


def _passed_limit(program: int, box: Box, isolation: Isolation, folder: str, wall: float) -> Stopped | None:
    limits = box.limits
    cpu = _cpu_s(program)
    pids = _pids(program, isolation)
    if cpu + sum(_cpu_s(pid) for pid in pids if pid != program) > limits.cpu_s:
        return "cpu"
    if wall - cpu - _queued_s(program) > limits.idle_s:
        return "idle"
    if wall > limits.wall_s:
        return "wall"
    if _memory_mb(pids) > limits.memory_mb:
        return "memory"
    if not isolation.namespaces and _is_too_full(folder, limits.disk_mb, limits.max_files):
        return "disk"
    return None


def _queued_s(program: int) -> float:
    """Return how long the process's main thread was ready to run and had no core."""
    try:
        with open(f"/proc/{program}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads of a process; 0 if it has ended."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid returns
    except OSError:
        return 0.0


def _pids(program: int, isolation: Isolation) -> list[int]:
    """Return the processes of the run."""
    if isolation.namespaces:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and name != "1"] if isolation.proc else [program]
    return [program, *_children(program)]


def _memory_mb(pids: list[int]) -> float:
    """Return the memory of all processes of the run; what they share counts once."""
    resident = sum(_resident_mb(pid) for pid in pids)
    if len(pids) == 1:
        return resident - _SLACK_MB
    # cheap first: pages that a fork shares with its parent are counted for both here
    return resident - _SLACK_MB if resident < 256 else sum(_own_mb(pid) for pid in pids) - _SLACK_MB


def _resident_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_MB
    except (OSError, ValueError, IndexError):
        return 0.0


def _own_mb(pid: int) -> float:
    """Return its share of the pages that it has: private ones, and its part of those that several have."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        pass
    return 0.0


def _is_too_full(folder: str, disk_mb: int, max_files: int) -> bool:
    """Look whether a folder that no filesystem bounds has more than it may."""
    size = count = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    size, count = size + found.st_blocks * 512, count + 1
                    if size > disk_mb << 20 or count > max_files:
                        return True
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
        except OSError:
            continue
    return False


def _end_the_rest(isolation: Isolation) -> None:
    """End what the program has started and left."""
    if not isolation.namespaces:
        end_children()
        return
    assert os.getpid() == 1, os.getpid()  # of a namespace of our own: what follows ends everything else in it
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def end_children() -> None:
    """End all descendants of this process, which is a subreaper: orphans are its children."""
    while True:
        for pid in _children(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            direct = [int(word) for word in file.read().split()]
    except OSError:
        return []
    return [found for child in direct for found in (*_children(child), child)]


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
