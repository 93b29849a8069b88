"""The fork server: a small Python, warmed with the usual imports, that forks a box for every run.

In: runs over one socket (`protocol.py`). Out: their reports over the same. It is started by `client.py` with nothing of
the environment, builds the root that runs see, becomes nobody in particular, and holds no secret: sources, inputs and
outputs are files that it only hands on. It ends with the process that started it, and every run with it.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

from verifiers.sandbox import box as boxes
from verifiers.sandbox import kernel, landlock, python_run, rootfs, seccomp
from verifiers.sandbox.box import INSIDE_USER, Isolation
from verifiers.sandbox.protocol import MAX_MESSAGE, Box, Report, receive_boxes, report_json
from verifiers.sandbox.watch import Run, end_children, watch

_NOBODY = 65534
_LENGTH = struct.Struct(">I")
_THREAD_STACK = 8 << 20
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": f"{rootfs.BOX}/{boxes.START}",
    "TMPDIR": f"{rootfs.BOX}/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_DEVICES = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_WARM = (
    "abc", "array", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "heapq", "io", "itertools", "math", "operator", "queue", "random", "re", "string",
    "threading", "time", "types", "typing",
)  # fmt: skip


def main(channel_fd: int) -> None:
    """Serve runs until the other end of the channel closes. The first message is the plan that `client.py` made."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for who started us
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # it is waited for
    os.setsid()
    for what in (resource.RLIMIT_AS, resource.RLIMIT_DATA):  # a judging worker's own, not a run's
        most = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most, most))
    boxes.kernel_safe(kernel.become_subreaper)
    boxes.kernel_safe(lambda: kernel.set_thread_stacks(_THREAD_STACK))
    channel = socket.socket(fileno=channel_fd)
    plan = json.loads(channel.recv(MAX_MESSAGE))
    _warm()
    try:
        isolation = _isolate(plan)
    except (OSError, KeyError) as error:
        _answer(channel, {"failure": f"{type(error).__name__}: {error}"})
        return
    hidden = [sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "verifiers"]
    try:
        _end_with(int(plan["parent"]))
        if not plan["bare"]:
            kernel.set_dumpable(0)
        os.environ.clear()
        os.environ.update(_ENVIRONMENT)
        gc.collect()
        gc.freeze()
        _answer(channel, {"ready": True, "user": os.getuid(), "proc": isolation.proc})
        _serve(channel, isolation)
    finally:
        end_children()
        if not isolation.namespaces:
            boxes.remove_folder(isolation.scratch)
    del hidden  # until here: what runs import under these names is none of ours, and these stay in memory


def _serve(channel: socket.socket, isolation: Isolation) -> None:
    """Run what is asked for until the channel ends. The signal to leave comes at most once, and not after this."""
    try:
        while (order := receive_boxes(channel)) is not None:
            together, files = order
            reports = _run(together, isolation)
            for fd in files:
                os.close(fd)
            _answer(channel, {"reports": [report_json(report) for report in reports]})
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _leave(_signal: int, _frame: object) -> NoReturn:
    """Leave the loop, through its end: who started us has ended, or wants us to."""
    raise SystemExit(0)


def _answer(channel: socket.socket, data: dict[str, Any]) -> None:
    packed = json.dumps(data).encode()
    channel.sendall(_LENGTH.pack(len(packed)) + packed)


def _end_with(parent: int) -> None:
    boxes.kernel_safe(lambda: kernel.die_with_parent(signal.SIGTERM))
    if os.getppid() != parent:
        raise SystemExit(0)


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
    readable = (*rootfs.SYSTEM, "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", *visible, *_DEVICES)
    # in a root of our own nothing needs to be hidden any more
    rooted, boxes_at = (("/",), rootfs.BOXES) if has_namespaces else (readable, str(plan["scratch"]))
    python_path = tuple(map(rootfs.shown_at, plan["python_path"]) if has_namespaces else plan["python_path"])
    sys.path[:] = python_path
    has_landlock, scoped = bool(plan["landlock"]), bool(plan["landlock"]) and landlock.abi() >= 6
    return Isolation(
        namespaces=has_namespaces,
        proc=has_namespaces and _can_mount_proc(),
        landlock=has_landlock,
        rules=landlock.ruleset(readable=rooted, writable=(boxes_at, "/dev/null")) if has_landlock else None,
        filters=_filters(has_namespaces, scoped) if plan["seccomp"] else None,
        readable=readable,
        python_path=python_path,
        scratch=str(plan["scratch"]),
    )


def _filters(has_namespaces: bool, hides_others: bool) -> boxes.Filters:
    if has_namespaces:
        python, others = seccomp.Filter(deadly=frozenset()), seccomp.Filter(deadly=seccomp.ENDING)
        return boxes.Filters(python=python, others=others, making=seccomp.Filter())
    alone = seccomp.Filter(is_hidden=False, may_fork=False) if hides_others else None
    return boxes.Filters(python=alone, others=alone, making=seccomp.Filter(is_hidden=False))


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


def _run(together: tuple[Box, ...], isolation: Isolation) -> list[Report]:
    """Run boxes at the same time, two of them connected, and return their reports."""
    peers: list[int | None] = [None] * len(together)
    if len(together) == 2:
        first, second = socket.socketpair()
        peers = [first.detach(), second.detach()]
    runs: list[Run] = []
    try:
        try:
            for box, peer in zip(together, peers, strict=True):
                runs.append(boxes.start(box, isolation, peer))
        finally:
            for peer in peers:
                if peer is not None:
                    os.close(peer)
        reports = watch(runs)
    except OSError as error:
        end_children()
        return [Report(fault=f"the run could not be started: {error}")] * len(together)
    if not isolation.namespaces:
        end_children()
        for run in runs:
            boxes.remove_folder(str(run.folder))
    return reports
