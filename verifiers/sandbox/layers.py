"""Which layers of isolation hold on this machine, and whether they are enough.

In: nothing. Out: one finding per layer, tried for real in a child process, and what to do about those that are missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

MIN_LANDLOCK = 3
"""The first version that keeps files from being cut short; it must hold alone where there are no namespaces."""
_ENOUGH = "namespaces and seccomp, or Landlock (ABI 3 or newer) and seccomp"


class SandboxUnavailableError(RuntimeError):
    """This machine cannot isolate programs; the message says what is missing and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What holds here."""

    namespaces: str | None
    """None if user, pid, mount, net, ipc and uts namespaces can be made; else why not."""
    seccomp: str | None
    """None if filters on system calls can be set; else why not."""
    landlock_abi: int
    """Version of Landlock; 0 if there is none."""

    @property
    def suffices(self) -> bool:
        """Whether a submission may run: it is held by two independent layers at least."""
        return self.seccomp is None and (self.namespaces is None or self.landlock_abi >= MIN_LANDLOCK)

    def lacking(self) -> str:
        """Say what is missing and what to do."""
        if sys.platform != "linux":
            return (
                "isolating programs needs Linux; run it in a Linux container or virtual machine, or, where every "
                "program is trusted, say `sandbox: none`"
            )
        missing = [f"namespaces ({self.namespaces})"] if self.namespaces else []
        missing += [f"seccomp ({self.seccomp})"] if self.seccomp else []
        if self.landlock_abi < MIN_LANDLOCK:
            missing.append(f"Landlock (ABI {self.landlock_abi}; Linux 6.2 has 3)" if self.landlock_abi else "Landlock")
        return (
            f"this machine lacks {', '.join(missing)}. Programs are run with {_ENOUGH}. "
            "In a container, allow user namespaces (docker run --security-opt seccomp=unconfined --security-opt "
            "apparmor=unconfined; on Ubuntu sysctl kernel.apparmor_restrict_unprivileged_userns=0); or, where every "
            "program is trusted, say `sandbox: none`"
        )


@lru_cache(maxsize=1)
def layers() -> Layers:
    """Try each layer, in a small process of its own, the first time."""
    if sys.platform != "linux":
        return Layers(namespaces="not Linux", seccomp="not Linux", landlock_abi=0)
    boot = (
        "import sys, types; own = types.ModuleType('verifiers'); own.__path__ = [sys.argv[1]]; "
        "sys.modules['verifiers'] = own; from verifiers.sandbox import layers; layers.try_all()"
    )
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-S", "-B", "-c", boot, str(Path(__file__).resolve().parent.parent)],
        capture_output=True,
        check=False,
        env={},
    )
    try:
        return Layers(**json.loads(done.stdout))
    except (ValueError, TypeError):
        why = done.stderr.decode(errors="replace").strip()[-200:] or f"the try ended with {done.returncode}"
        return Layers(namespaces=why, seccomp=why, landlock_abi=0)


def try_all() -> None:
    """Try each layer in a child of this process and print what holds, as JSON."""
    from verifiers.sandbox import kernel, landlock, seccomp

    def set_filter() -> None:
        kernel.forbid_new_privileges()
        seccomp.Filter().install()

    def make_namespaces() -> None:
        if os.geteuid() == 0:
            kernel.unshare(kernel.CLONE_NEWNS)
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            kernel.set_dumpable(1)
        uid = os.getuid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        # in bytes: the interpreter may lie where nobody but root can read its encodings
        Path("/proc/self/uid_map").write_bytes(f"1000 {uid} 1".encode())
        kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
        kernel.mount(
            "", "/", flags=kernel.MS_REC | kernel.MS_SLAVE
        )  # some systems give namespaces without their rights

    found = {"namespaces": _tried(make_namespaces), "seccomp": _tried(set_filter), "landlock_abi": landlock.abi()}
    sys.stdout.write(json.dumps(found))


def _tried(action: Callable[[], None]) -> str | None:
    """Do something in a child process. Returns None if it went well, else what went wrong."""
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"+"
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - the parent is told
            said = str(error).encode()[:200] or type(error).__name__.encode()
        finally:
            os.write(its, said)
            os._exit(0)
    os.close(its)
    with os.fdopen(ours, "rb") as stream:
        said = stream.read()
    os.waitpid(pid, 0)
    return None if said == b"+" else said.decode(errors="replace") or "the try died"
