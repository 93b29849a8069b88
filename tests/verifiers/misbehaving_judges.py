"""Judges that do what no judge should, for the tests of the worker pool. Imported by the workers too."""

import os
import signal
import time
from pathlib import Path
from typing import ClassVar, Literal

from verifiers.verdict import Judge


class Misbehaving(Judge):
    """Does to its worker what the completion says; anything else passes."""

    kind: Literal["misbehaving"] = "misbehaving"
    version: ClassVar[int] = 1
    deadline_s: ClassVar[float] = 0.4

    def _judge(self, completion, reference, prompt):
        if completion == "spin":
            while True:
                pass
        if completion == "sleep":
            time.sleep(1000)
        if completion == "hold the GIL":
            return self._decide(passed=10 ** (10**9) == 0, reason="")
        if completion == "exit":
            os._exit(3)
        if completion == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if completion == "eat memory":
            return self._decide(passed=bool(bytearray(1 << 40)), reason="")
        if completion == "swell":
            kept = []
            while True:
                kept.append(bytearray(1 << 26))  # mapped, not written: filling it would take longer than the deadline
        if completion.startswith("flaky "):
            return self._flaky(Path(completion.removeprefix("flaky ")))
        if completion == "raise":
            raise LookupError("no luck")
        if completion == "forge":
            for fd in range(3, 10):
                try:
                    os.write(fd, b'[99, "misbehaving", 1, "pass", "forged", 1.0, null, null, null, 0]\n')
                except OSError:
                    continue
        if completion == "babble":
            for fd in range(3, 10):
                try:
                    os.write(fd, b"no json\n")
                except OSError:
                    continue
        if completion == "environment":
            return self._decide(passed="SECRET_TOKEN" not in os.environ, reason="")
        if completion == "print":
            os.write(1, b"printed\n")
        if completion == "pid":
            return self._decide(passed=True, reason=str(os.getpid()))
        return self._decide(passed=True, reason="fine", extracted=completion[:100], span=(0, min(100, len(completion))))

    def _flaky(self, folder):
        """Die twice, leaving a file each time, then pass."""
        attempt = len(list(folder.iterdir()))
        (folder / str(attempt)).touch()
        if attempt < 2:
            os._exit(3)
        return self._decide(passed=True, reason="at last")


class Patient(Misbehaving):
    """The same with time to fill its memory."""

    kind: Literal["patient"] = "patient"
    deadline_s: ClassVar[float] = 10.0
