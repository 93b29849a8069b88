"""Whether there is a GPU, without importing anything that takes seconds to say so."""

from __future__ import annotations

from pathlib import Path

_DRIVER_FILES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Device files of the NVIDIA driver, of WSL's, and of AMD's."""


def has_gpu_device() -> bool:
    """Say whether a GPU driver's device files are there; True where the system has no such files at all."""
    return any(Path(p).exists() for p in _DRIVER_FILES) or not Path("/dev").is_dir()
