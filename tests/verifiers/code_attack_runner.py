"""Judge cases of code one after the other, in a process of its own; `code_surroundings.py` starts it.

    python code_attack_runner.py CASES.json

Prints one JSON line per judgement: name, outcome, reason, seconds, and what was harmed. The last line has the numbers
of this process: descriptors, threads and children when it had judged once, and at the end.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from verifiers.code_tests import CodeTests
from verifiers.reference import parse_reference

_DIE_WITH_PARENT = 1
WARM_UP = {"kind": "tests", "mode": "stdin", "tests": [{"input": "2 3\n", "output": "5\n"}]}


def main() -> None:
    """Run it."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    judge = CodeTests()
    first = judge.judge("```python\nprint(sum(map(int, input().split())))\n```", parse_reference(WARM_UP))
    before = _numbers()
    for case in asked["cases"] if first.outcome == "pass" else ():  # nothing is learnt from a judge that cannot
        reference = parse_reference(case["reference"])
        for _ in range(case.get("times", 1)):
            verdict = judge.judge(case["completion"], reference)
            said = {
                "name": case["name"],
                "outcome": verdict.outcome,
                "cause": verdict.cause,
                "seconds": verdict.seconds,
            }
            _say(**said, reason=verdict.reason[:300], harmed=_harmed(asked["watched"], asked["canary"]))
    _say(first=first.outcome, first_reason=first.reason, before=before, after=_numbers(), user=os.getuid())


def _say(**row: Any) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _numbers() -> dict[str, int]:
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - as many as are open
        "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208
        "children": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
    }


def _harmed(watched: dict[str, Any], canary: str) -> list[str]:
    """Say what of the host is not as it was, so that the attack that did it is known by its name."""
    found = []
    try:
        if Path(watched["file"]).read_text(encoding="utf-8") != canary:
            found.append("the canary file has another text")
    except OSError:
        found.append("the canary file is gone")
    for what in ("folder", "home"):
        place = Path(watched[what])
        names = sorted(os.listdir(place)) if place.is_dir() else None  # noqa: PTH208
        if names != ["keep"]:
            found.append(f"the {what} holds {names}")
    try:
        state = Path(f"/proc/{watched['pid']}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        if state not in "SRD":
            found.append(f"the sleeper is in state {state}")
    except OSError:
        found.append("the sleeper is gone")
    return found


if __name__ == "__main__":
    main()
