"""Landlock: what a process may touch of the filesystem, the network and its neighbours, taken away by itself for good.

In: folders to read and folders to write. Out: the ABI version of the kernel (0: none), and a call that restricts this
process and all that it starts. Works without any privilege, as root or not; it does not hide that a path exists.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

from verifiers.sandbox import kernel

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
_FS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET = 3
"""Binding and connecting TCP (ABI 4)."""
_SCOPES = 3
"""Abstract unix sockets and signals outside of the own domain (ABI 6)."""
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def abi() -> int:
    """Return the version that the kernel offers; 0 where there is none."""
    try:
        return kernel.call("landlock_create_ruleset", _CREATE, None, 0, _VERSION)
    except OSError:
        return 0


def ruleset(*, readable: Iterable[str], writable: Iterable[str]) -> int:
    """Make a descriptor of rules: read and execute beneath some paths, do all beneath others, and nothing else.

    A path that does not exist is left out. Raises OSError.
    """
    version = abi()
    handled = _FS_BY_ABI[min(version, max(_FS_BY_ABI))]
    fields = struct.pack("QQQ", handled, _NET if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = kernel.call("landlock_create_ruleset", _CREATE, ctypes.create_string_buffer(fields[:size], size), size, 0)
    for path in readable:
        _allow(rules, path, (_EXECUTE | _READ_FILE | _READ_DIR) & handled)
    for path in writable:
        _allow(rules, path, handled)
    return rules


def restrict(rules: int) -> None:
    """Hold this process to rules, for good. New privileges must be forbidden already. Raises OSError."""
    kernel.call("landlock_restrict_self", _RESTRICT, rules, 0)


def _allow(rules: int, path: str, access: int) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(path):
                access &= _ON_FILES
            rule = struct.pack("=Qi", access, place)
            kernel.call(
                "landlock_add_rule", _ADD, rules, _PATH_BENEATH, ctypes.create_string_buffer(rule, len(rule)), 0
            )
        finally:
            os.close(place)
