"""Look into and remove folders that an untrusted program has filled, on a machine where no filesystem bounds it.

In: a path. Out: nothing, or whether there is too much in it. The tree may be deeper than a path can be long, closed to
its owner, and full of links: links are never followed, and what lies deep is moved up before it is removed. Removing
expects that all processes which could change it have ended.
"""

from __future__ import annotations

import contextlib
import os
import stat

_MAX_PATH = 2000
"""Below this length a folder counts as too full: deeper ones soon have no name that the kernel takes."""


def remove_folder(folder: str) -> None:
    """Remove a folder with all that is in it, as far as this user may."""
    moved = 0
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)
        waiting = os.listdir(folder)
        while waiting:
            path = f"{folder}/{waiting.pop()}"
            with contextlib.suppress(OSError):
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    os.unlink(path)
                    continue
                os.chmod(path, 0o700)
                for name in os.listdir(path):
                    child, place = f"{path}/{name}", f"{os.getpid()}-{moved}.moved"
                    moved += 1
                    if stat.S_ISDIR(os.lstat(child).st_mode):
                        os.chmod(child, 0o700)  # else it cannot be moved
                        os.rename(child, f"{folder}/{place}")
                        waiting.append(place)
                    else:
                        os.unlink(child)
                os.rmdir(path)
        os.rmdir(folder)


def is_too_full(folder: str, disk_mb: int, max_files: int) -> bool:
    """Look whether a folder has more than it may, or is deeper than can be looked at."""
    size = count = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    size, count = size + found.st_blocks * 512, count + 1
                    if size > disk_mb << 20 or count > max_files or len(entry.path) > _MAX_PATH:
                        return True
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
        except OSError:
            continue
    return False
