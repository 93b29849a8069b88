"""How many short Python programs a core judges a second: in our sandbox, and beside it as others run them.

    python benchmarks/code_verdicts.py --programs 200 --rounds 5

The same programs (a sum of the numbers on standard input, one test each), in turns, on one core: the judge `code_tests`
with fresh namespaces, with seccomp and Landlock alone, and without isolation; a plain subprocess (`python -I -S`, which
isolates nothing), and one in bubblewrap where it is installed. Prints one JSON line: verdicts per second in the median
of the rounds, and per second of CPU time, which other work on the machine changes less. A time per program is the whole
time from source to verdict; the processes that the kernel ends afterwards count too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verifiers import code_runs, parse_reference
from verifiers.code_runs import Bench
from verifiers.sandbox.client import Sandbox
from verifiers.sandbox.languages import toolchain

SOURCE = "numbers = list(map(int, input().split()))\nprint(sum(numbers))\n"
TEST = {"kind": "tests", "mode": "stdin", "tests": [{"input": "1 2 3 4\n", "output": "10\n"}]}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200, help="programs per way and round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ways: dict[str, tuple[Callable[[], bool], Callable[[], float]]] = {
        "namespaces": _ours(),
        "landlock": _ours(namespaces=False),
        "none": _ours(bare=True),
        "python -I -S": (lambda: _plain([sys.executable, "-I", "-S", "-c", SOURCE]), lambda: 0.0),
    }
    if (bwrap := shutil.which("bwrap")) is not None:
        ways["bwrap"] = (lambda: _plain([*_caged(bwrap), "-I", "-S", "-c", SOURCE]), lambda: 0.0)
    per_s: dict[str, list[float]] = {name: [] for name in ways}
    per_cpu_s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, (judge, cpu_of_server) in ways.items():
            judge()
            started, cpu = time.perf_counter(), _cpu_s() + cpu_of_server()
            assert all(judge() for _ in range(arguments.programs)), name
            per_s[name].append(arguments.programs / (time.perf_counter() - started))
            per_cpu_s[name].append(arguments.programs / (_cpu_s() + cpu_of_server() - cpu))
    print(
        json.dumps(
            {
                "programs": arguments.programs,
                "rounds": arguments.rounds,
                "per_s": {name: round(statistics.median(found), 1) for name, found in per_s.items()},
                "per_cpu_s": {name: round(statistics.median(found), 1) for name, found in per_cpu_s.items()},
                "best_per_s": {name: round(max(found), 1) for name, found in per_s.items()},
            }
        )
    )


def _ours(**how: Any) -> tuple[Callable[[], bool], Callable[[], float]]:
    """Return a judge by a sandbox of the given kind, and what tells the CPU time of its fork server."""
    tools = toolchain("python")
    assert tools is not None
    room = Bench(tools, bare=True)
    room.lose()
    sandbox = room._sandbox = Sandbox(**how)
    reference = parse_reference(TEST)
    assert isinstance(reference, code_runs.TestsReference)

    def judge() -> bool:
        with room.problem(SOURCE, reference) as runs:
            return bool(runs.test(0, allow_shared=False).passed)

    def cpu_s() -> float:
        fields = Path(f"/proc/{sandbox._server.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    return judge, cpu_s


def _plain(command: list[str]) -> bool:
    done = subprocess.run(command, input=TEST["tests"][0]["input"], capture_output=True, text=True, check=False)  # type: ignore[index]
    return done.returncode == 0 and done.stdout.split() == ["10"]


def _caged(bwrap: str) -> list[str]:
    python = os.path.realpath(sys.executable)
    paths = [
        path for path in ("/usr", "/lib", "/lib64", "/bin", str(Path(python).parent.parent)) if Path(path).exists()
    ]
    binds = [part for path in paths for part in ("--ro-bind", path, path)]
    return [
        bwrap,
        "--unshare-all",
        "--die-with-parent",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
        *binds,
        python,
    ]


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
