"""The fork server: a small Python, warmed with the usual imports, that forks a box for every run.

In: runs over one socket (`protocol.py`). Out: their reports over the same. It is started by `client.py` with nothing of
the environment, builds the root that runs see, becomes nobody in particular, and holds no secret: sources, inputs and
outputs are files that it only hands on. It ends with the process that started it, and every run with it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, NoReturn

from verifiers.sandbox import box as boxes
from verifiers.sandbox import kernel, landlock, python_run, rootfs, seccomp
from verifiers.sandbox.box import INSIDE_USER, Isolation
from verifiers.sandbox.protocol import Box, Report, receive_boxes, report_json

_NOBODY = 65534
_NEW = (
    kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
)
_GRACE_S = 5.0
"""Seconds that a keeper may take on top of its run's wall time."""
_THREAD_STACK = 8 << 20
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": f"{rootfs.BOX}/work",
    "TMPDIR": f"{rootfs.BOX}/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_LEAVE_S = 2.0
"""Seconds in which a submission must end when its tests have."""
_LENGTH = struct.Struct(">I")
_WARM = (
    "abc", "array", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum",
    "fractions", "functools", "heapq", "io", "itertools", "math", "operator", "queue", "random", "re", "string",
    "threading", "time", "types", "typing",
)  # fmt: skip


def main(channel_fd: int, plan: dict[str, Any]) -> None:
    """Serve runs until the other end of the channel closes. `plan` is what `client.py` has decided."""
    parent = int(plan["parent"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for who started us
    signal.signal(signal.SIGTERM, _leave)
    os.setsid()
    for what in (resource.RLIMIT_AS, resource.RLIMIT_DATA):  # a judging worker's own, not a run's
        most = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most, most))
    boxes.kernel_safe(kernel.become_subreaper)
    boxes.kernel_safe(lambda: kernel.set_thread_stacks(_THREAD_STACK))
    channel = socket.socket(fileno=channel_fd)
    _warm()
    try:
        isolation = _isolate(plan)
    except (OSError, KeyError) as error:
        _answer(channel, {"failure": f"{type(error).__name__}: {error}"})
        return
    _end_with(parent)
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    hidden = [sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "verifiers"]
    gc.collect()
    gc.freeze()
    _answer(channel, {"ready": True, "user": os.getuid(), "proc": isolation.proc})
    try:
        while (order := receive_boxes(channel)) is not None:
            together, files = order
            reports = _run(together, isolation, channel_fd)
            for fd in files:
                os.close(fd)
            _answer(channel, {"reports": [report_json(report) for report in reports]})
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        boxes.end_children()
        if not isolation.namespaces:
            boxes.remove_folder(isolation.scratch)
    del hidden  # until here: what runs import under these names is none of ours, and these stay in memory


def _leave(_signal: int, _frame: object) -> NoReturn:
    """Leave the loop, through its end: who started us has ended, or wants us to."""
    raise SystemExit(0)


def _answer(channel: socket.socket, data: dict[str, Any]) -> None:
    packed = json.dumps(data).encode()
    channel.sendall(_LENGTH.pack(len(packed)) + packed)


def _end_with(parent: int) -> None:
    boxes.kernel_safe(lambda: kernel.die_with_parent(signal.SIGTERM))
    if os.getppid() != parent:
        os._exit(0)


def _isolate(plan: dict[str, Any]) -> Isolation:
    """Take this process out of the system as far as the plan says. Raises OSError where a layer does not hold."""
    has_namespaces, visible = bool(plan["namespaces"]), tuple(plan["visible"])
    is_root = os.geteuid() == 0
    if has_namespaces:
        if is_root:
            kernel.unshare(kernel.CLONE_NEWNS)
            rootfs.build(visible)  # while paths under root's own home can still be shown
            _become_nobody()
            _own_user_namespace(0)
        else:
            _own_user_namespace(kernel.CLONE_NEWNS)
            rootfs.build(visible)
    elif is_root and not plan["bare"]:
        os.chown(plan["scratch"], _NOBODY, _NOBODY)
        _become_nobody()
    if not plan["bare"]:
        kernel.bound_capabilities()
    has_landlock, scoped = bool(plan["landlock"]), bool(plan["landlock"]) and landlock.abi() >= 6
    return Isolation(
        namespaces=has_namespaces,
        proc=has_namespaces and _can_mount_proc(),
        landlock=has_landlock,
        rules=_rules() if has_landlock and has_namespaces else None,
        filters=_filters(has_namespaces or scoped) if plan["seccomp"] else None,
        readable=(*rootfs.SYSTEM, "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", *visible, *_DEVICES),
        python_path=tuple(plan["python_path"]),
        scratch=str(plan["scratch"]),
    )


def _filters(hides_others: bool) -> tuple[seccomp.Filter, seccomp.Filter | None]:
    """Build the filters for runs that may fork and for those that may not."""
    if hides_others:
        return seccomp.Filter(), seccomp.Filter(may_fork=False)
    return seccomp.Filter(), None  # the second names the run's own process: it is built there


def _rules() -> int:
    """Make the rules that hold in the root that `rootfs` has built, where nothing needs to be hidden any more."""
    return landlock.ruleset(readable=("/",), writable=(rootfs.BOXES, "/dev/null"))


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    kernel.set_dumpable(1)  # else the maps of our own user namespace belong to root


def _own_user_namespace(more: int) -> None:
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | more)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_USER} {uid} 1"),
        ("gid_map", f"{INSIDE_USER} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "wb") as file:
            file.write(content.encode())


def _can_mount_proc() -> bool:
    """Try in a namespace of a child: a container that hides parts of /proc forbids it."""
    pid = kernel.clone(kernel.CLONE_NEWPID | kernel.CLONE_NEWNS)
    if pid == 0:
        status = 1
        try:
            kernel.mount("proc", "/proc", "proc")
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def _warm() -> None:
    """Import what most programs do, and give programs what the module `site` gives."""
    import site

    for name in _WARM:
        __import__(name)
    site.setquit()
    site.setcopyright()
    python_run.open_standard_streams()


def _run(together: tuple[Box, ...], isolation: Isolation, channel_fd: int) -> list[Report]:
    """Run boxes at the same time, two of them connected, and return their reports."""
    peers: list[int | None] = [None] * len(together)
    if len(together) == 2:
        first, second = socket.socketpair()
        peers = [first.detach(), second.detach()]
    keepers = []
    try:
        for box, peer in zip(together, peers, strict=True):
            others = {fd for fd in peers if fd is not None and fd != peer}
            keepers.append(_start(box, isolation, peer, others | {channel_fd} | {fd for _, fd in keepers}))
    finally:
        for peer in peers:
            if peer is not None:
                os.close(peer)
    deadline = time.monotonic() + max(box.limits.wall_s for box in together) + _GRACE_S
    reports = []
    for pid, fd in keepers:
        reports.append(_report(pid, fd, deadline))
        deadline = min(deadline, time.monotonic() + _LEAVE_S)  # the other has nobody to speak with any more
    if not isolation.namespaces:
        boxes.end_children()
    return reports


def _start(box: Box, isolation: Isolation, peer: int | None, foreign: set[int]) -> tuple[int, int]:
    """Fork the keeper of a run. Returns its process id and where its report is read."""
    ours, its = os.pipe()
    pid = kernel.clone(_NEW) if isolation.namespaces else boxes.fork()
    if pid == 0:
        _keep(box, isolation, peer, its, foreign | {ours})
    os.close(its)
    return pid, ours


def _keep(box: Box, isolation: Isolation, peer: int | None, its: int, foreign: set[int]) -> NoReturn:
    """Be the keeper of a run, and report."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for fd in foreign:
            os.close(fd)
        boxes.kernel_safe(lambda: kernel.die_with_parent(signal.SIGKILL))
        boxes.kernel_safe(kernel.become_subreaper)
        report = boxes.keep(box, isolation, peer)
    except BaseException as error:  # noqa: BLE001 - the fork server must hear of it, and this process must not go on
        report = Report(fault=f"{type(error).__name__}: {error}")
    with contextlib.suppress(OSError):
        os.write(its, json.dumps(report_json(report)).encode())
    os._exit(0)


def _report(pid: int, fd: int, deadline: float) -> Report:
    """Read what a keeper reports, and bury it; one that says nothing in time is killed."""
    data = b""
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        chunk = os.read(fd, 1 << 16)
        data += chunk
        if not chunk:
            break
    os.close(fd)
    if not ready:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return Report(stopped="wall")
    os.waitpid(pid, 0)
    with contextlib.suppress(ValueError, TypeError):
        return Report(**json.loads(data))
    return Report(fault="the keeper of the run ended without a report")
