"""The filter on system calls: what a submission may ask of the kernel at all.

In: how strict. Out: a classic BPF program (a list of calls that are allowed, some only with certain arguments), and a
call that puts it on this process for good. It holds for all threads and children, through every exec.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import Any

from verifiers.sandbox import kernel
from verifiers.sandbox.syscalls import ARCHITECTURES, allowed

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_NAMESPACES = 0x7E02_0000
"""All flags of clone that make a namespace."""
_THREAD = 0x0001_0000
_AF_UNIX = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_PR_SET_PDEATHSIG = 1
_X32 = 0x4000_0000
_SENDING = {"kill": 1, "tkill": 1, "tgkill": 2, "rt_sigqueueinfo": 1, "rt_tgsigqueueinfo": 2}
"""Calls that send a signal: which argument it is; the first is to whom."""
_METADATA = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat",
    "futimesat",
)  # fmt: skip
_LOOKING = ("inotify_add_watch", "getpriority", "getsid", "getpgid")
"""Calls that tell of other processes, or of files that may not be read."""
ENDING = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 19, 20, 24, 25, 31})
"""Signals that end or stop a program. Runtimes of other languages send others to their own threads."""


def program(
    *,
    is_hidden: bool = True,
    may_fork: bool = True,
    signals_only_to: int | None = None,
    deadly: frozenset[int] | None = None,
) -> bytes:
    """Build the filter of this architecture.

    `is_hidden` says that a root of its own hides all files of the machine: else modes, owners and times of files cannot
    be changed, which Landlock leaves free. `may_fork` allows processes, else only threads. `signals_only_to` is the one
    process that may be sent signals, where no namespace hides the others. `deadly` is for runs that are the first
    process of their namespace, which the kernel protects from signals: those that end the program when it sends them to
    itself, as they would end any other; the empty set stands for all. Raises KeyError on an architecture that the table
    of calls lacks.
    """
    calls = allowed(kernel.MACHINE)
    special: dict[int, list[tuple[int, int, int, int]]] = {}

    def rule(name: str, *steps: tuple[int, int, int, int]) -> None:
        if name in calls:
            special[calls.pop(name)] = list(steps)

    refuse, accept = (_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)
    if may_fork:
        rule("clone", _argument(0), (_JUMP_SET, 0, 1, _NAMESPACES), refuse, accept)
    else:
        rule(
            "clone",
            _argument(0),
            (_JUMP_SET, 0, 2, _NAMESPACES),
            refuse,
            refuse,
            (_JUMP_SET, 0, 1, _THREAD),
            accept,
            refuse,
        )
        rule("fork", refuse)
        rule("vfork", refuse)
    rule("socketpair", _argument(0), (_JUMP_EQUAL, 0, 1, _AF_UNIX), accept, refuse)
    rule("ioctl", _argument(1), (_JUMP_EQUAL, 2, 0, _TIOCSTI), (_JUMP_EQUAL, 1, 0, _TIOCLINUX), accept, refuse)
    rule("prctl", _argument(0), (_JUMP_EQUAL, 0, 1, _PR_SET_PDEATHSIG), refuse, accept)
    if not is_hidden:
        for name in (*_METADATA, *_LOOKING):
            rule(name, refuse)
    for name in ("prlimit64", "sched_setaffinity"):  # of this process, not of its keeper
        rule(name, _argument(0), (_JUMP_EQUAL, 0, 1, 0), accept, refuse)
    if signals_only_to is not None:
        to_us = (_argument(0), (_JUMP_EQUAL, 0, 1, signals_only_to), accept, refuse)
        for name in ("kill", "tgkill", "rt_tgsigqueueinfo", "rt_sigqueueinfo"):
            rule(name, *to_us)
        rule("tkill", refuse)
    if deadly is not None:
        for name, place in _SENDING.items():
            rule(name, *_deadly(place, deadly, to_group=name == "kill"))
    steps = [
        _loading(_ARCH),
        (_JUMP_EQUAL, 1, 0, ARCHITECTURES[kernel.MACHINE][0]),
        (_RETURN, 0, 0, _KILL),
        _loading(_NUMBER),
        (_JUMP_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number, body in special.items():
        steps += [(_JUMP_EQUAL, 0, len(body), number), *body]
    steps += _search(_runs(sorted(calls.values())))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


class Filter:
    """A filter, laid out in memory as the kernel reads it."""

    def __init__(self, **rules: Any) -> None:
        """Build it; `rules` are those of `program`."""
        filter_ = program(**rules)
        self._code = ctypes.create_string_buffer(filter_, len(filter_))
        packed = struct.pack("HxxxxxxP", len(filter_) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(packed)

    def install(self) -> None:
        """Put the filter on this process. New privileges must be forbidden already. Raises OSError."""
        kernel.set_filter(self._header)


def _deadly(place: int, deadly: frozenset[int], *, to_group: bool) -> list[tuple[int, int, int, int]]:
    """End the process if it sends itself, process 1, one of these signals."""
    accept, end = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _KILL)
    if deadly:
        chosen = sorted(deadly)
        signals = [(_JUMP_EQUAL, len(chosen) - at, 0, number) for at, number in enumerate(chosen)]
    else:
        signals = [(_JUMP_EQUAL, 0, 1, 0)]
    body = [_argument(place), *signals, accept, end]
    targets = (1, 0) if to_group else (1,)
    checks = [(_JUMP_EQUAL, len(targets) - at, 0, target) for at, target in enumerate(targets)]
    return [_argument(0), *checks, accept, *body]


def _search(runs: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """Find out by halving whether the number is in one of the runs: the kernel tries the filter on all its calls."""
    if len(runs) == 1:
        first, last = runs[0]
        refuse, accept = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS), (_RETURN, 0, 0, _ALLOW)
        return [(_JUMP_AT_LEAST, 0, 1, first), (_JUMP_AT_LEAST, 0, 1, last + 1), refuse, accept]
    middle = len(runs) // 2
    below = _search(runs[:middle])
    return [(_JUMP_AT_LEAST, len(below), 0, runs[middle][0]), *below, *_search(runs[middle:])]


def _loading(offset: int) -> tuple[int, int, int, int]:
    return (_LOAD, 0, 0, offset)


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the lower half of an argument: the kernel itself looks at no more of these."""
    return _loading(_ARGUMENTS + 8 * index)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
