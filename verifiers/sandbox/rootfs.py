"""The files a run can see: a root of its own in memory, with the system's libraries and an interpreter, read-only.

In: paths to show. Out: this process in a new mount namespace with that root. Home folders, /etc (but for what loaders
and compilers need), /var, this project and its data are not there at all.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

from verifiers.sandbox import kernel

BOXES = "/box"
BOX = f"{BOXES}/run"
"""Where each run gets a folder of its own; /tmp and /dev/shm lead into it."""
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_MOUNT_SETATTR, _RECURSIVE = 442, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2


def shown_at(path: str) -> str:
    """Return where a path stands in the root: where it always does, unless that is a place that runs write to."""
    return f"/visible{path}" if path.startswith(("/tmp/", "/dev/", f"{BOXES}/")) else path


def build(visible: Iterable[str]) -> None:
    """Make the root of this mount namespace, which must be this process's own, from the paths that exist."""
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=1m")
    os.mkdir("/tmp/new")
    os.mkdir("/tmp/old")
    # as its own mount, so that it can become the root
    kernel.mount("/tmp/new", "/tmp/new", flags=kernel.MS_BIND)
    os.chdir("/tmp")
    kernel.call("pivot_root", kernel.PIVOT_ROOT, b".", b"old")
    os.chdir("/")
    for path in (*SYSTEM, *_ETC, *dict.fromkeys(visible)):
        _show(path)
    for name in _DEVICES:
        _make_file(f"/new/dev/{name}")
        kernel.mount(f"/old/dev/{name}", f"/new/dev/{name}", flags=kernel.MS_BIND)
    for name, target in (("stdin", "0"), ("stdout", "1"), ("stderr", "2")):
        os.symlink(f"/proc/self/fd/{target}", f"/new/dev/{name}")
    os.symlink("/proc/self/fd", "/new/dev/fd")
    os.symlink(f"{BOX}/shm", "/new/dev/shm")
    os.symlink(f"{BOX}/tmp", "/new/tmp")
    os.makedirs(f"/new{BOX}")
    os.mkdir("/new/proc")
    # runs mount their own over it; the kernel allows that only where one is visible already
    kernel.mount("/old/proc", "/new/proc", flags=kernel.MS_BIND | kernel.MS_REC)
    kernel.unmount("/old")
    kernel.pivot_root("/new")
    kernel.mount(
        "", "/", flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    )


def _show(path: str) -> None:
    """Bind a path of the old root into the new one, read-only; a link stays a link."""
    old, new = f"/old{path}", f"/new{shown_at(path)}"
    if os.path.lexists(new) or not os.path.lexists(old):
        return
    os.makedirs(os.path.dirname(new), mode=0o755, exist_ok=True)
    if os.path.islink(old):
        os.symlink(os.readlink(old), new)
        return
    if os.path.isdir(old):
        os.mkdir(new)
    else:
        _make_file(new)
    kernel.mount(old, new, flags=kernel.MS_BIND | kernel.MS_REC)
    _make_read_only(new)


def _make_read_only(path: str) -> None:
    attributes = ctypes.create_string_buffer((_ATTR_RDONLY | _ATTR_NOSUID).to_bytes(8, "little") + bytes(24), 32)
    try:
        kernel.call("mount_setattr", _MOUNT_SETATTR, -100, path.encode(), _RECURSIVE, attributes, 32)
    except OSError:  # before Linux 5.12; what is mounted below stays as it is, and closed by owner and by Landlock
        with contextlib.suppress(OSError):
            flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID
            kernel.mount("", path, flags=flags)


def _make_file(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
