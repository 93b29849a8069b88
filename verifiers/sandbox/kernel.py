"""Linux calls that Python has no name for, through the C library: namespaces, mounts, capabilities, process controls.

In: plain values. Out: nothing, or a number; OSError with the call's name where the kernel refuses. No policy stands
here: which of them are made, and in what order, is `fork_server.py` and `box.py`.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x0002_0000, 0x0400_0000, 0x0800_0000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x1000_0000, 0x2000_0000, 0x4000_0000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER, _PR_CAPBSET_DROP = 1, 4, 38, 36, 24
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LAST_CAPABILITY = 63
_CAPABILITIES_OF_THIS = ctypes.create_string_buffer(struct.pack("Ii", 0x2008_0522, 0))
_NO_CAPABILITIES = ctypes.create_string_buffer(24)
_SIGCHLD = 17
_CALLS = {
    "x86_64": {"clone": 56, "pivot_root": 155, "capset": 126},
    "aarch64": {"clone": 220, "pivot_root": 41, "capset": 91},
}

MACHINE = platform.machine()
PIVOT_ROOT = _CALLS.get(MACHINE, {}).get("pivot_root", -1)
"""Number of the call, for a root whose old one is still needed."""
_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call by its number. Raises OSError with the call's name."""
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *given))


def clone(flags: int) -> int:
    """Fork into new namespaces: 0 in the child, its process id in the parent.

    The C library does not know of the child, so all that the child may do is to set things up and fork once more.
    """
    order = (flags | _SIGCHLD, 0, 0, 0, 0)
    return call("clone", _CALLS[MACHINE]["clone"], *order)


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _checked("unshare", _libc.unshare(flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount a filesystem, or change a mount."""
    arguments = [part.encode() if part else None for part in (source, target, kind)]
    _checked(f"mount on {target}", _libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() if data else None))


def unmount(target: str) -> None:
    """Detach a mount."""
    _checked(f"umount {target}", _libc.umount2(target.encode(), MNT_DETACH))


def pivot_root(new_root: str) -> None:
    """Make a mounted folder the root and drop the old one."""
    os.chdir(new_root)
    call("pivot_root", PIVOT_ROOT, b".", b".")
    unmount(".")
    os.chdir("/")


def become_subreaper() -> None:
    """Have orphans among the descendants handed to this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when the thread that started it ends."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def set_dumpable(value: int) -> None:
    """Say whether others of the same user may look into this process (0: they may not)."""
    _prctl(_PR_SET_DUMPABLE, value)


def forbid_new_privileges() -> None:
    """Give up what set-uid programs could give, for this process and all that it starts."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def bound_capabilities() -> None:
    """Have no program that is started from here on get any capability; this process keeps those that it has."""
    for capability in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            break  # the kernel has no more of them, or we hold none to drop with


def drop_capabilities() -> None:
    """Give up all capabilities of this process."""
    call("capset", _CALLS[MACHINE]["capset"], _CAPABILITIES_OF_THIS, _NO_CAPABILITIES)


def set_filter(header: ctypes.Array[ctypes.c_char]) -> None:
    """Put a filter on system calls on this process (a `struct sock_fprog`)."""
    _checked("seccomp", _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0))


def set_thread_stacks(size: int) -> None:
    """Give new threads stacks of this size, whatever the main thread's may grow to. Raises AttributeError elsewhere
    than in GNU's C library."""
    attributes = ctypes.create_string_buffer(64)
    _libc.pthread_attr_init(attributes)
    _libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(size))
    _libc.pthread_setattr_default_np(attributes)


def _prctl(option: int, value: int) -> None:
    _checked(f"prctl {option}", _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _checked(name: str, result: int) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
