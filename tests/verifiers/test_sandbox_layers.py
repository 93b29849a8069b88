"""The sandbox on machines that allow less: seccomp and Landlock alone, and no /proc of a run's own.

Judging runs in processes of their own, as an ordinary user where this one is root: without namespaces the interpreter
must lie where that user can read it. The attacks are those of `code_attacks/`, a sample unless marked slow.
"""

import dataclasses
import os
import sys
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from code_attacks.table import ATTACKS
from code_cases import ADD, ADDS, ASSERTS, SCRIPT, SHARED, SUM, SUMS, fenced
from code_controls import CONTROLS
from code_surroundings import NOBODY, RUNNER, Surroundings, readable_python

from verifiers.sandbox.landlock import abi
from verifiers.sandbox.layers import MIN_LANDLOCK, layers

pytestmark = [
    pytest.mark.timeout(1000),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolating programs needs Linux"),
]
BEFORE = {
    "landlock alone": (
        "import dataclasses\nfound = client.layers()\n"
        "client.layers = lambda: dataclasses.replace(found, namespaces='switched off')\n"
    ),
    "no proc": (
        "client._SERVE = client._SERVE.replace('fork_server.main(', "
        "'fork_server._can_mount_proc = lambda: False; fork_server.main(')\n"
    ),
}
"""What a runner changes before it judges, in its own process."""
REFUSED = {"landlock alone": ("process", "numpy", "/tmp"), "no proc": ("/dev/std", "numpy")}
"""Words in the names of right programs that do not work there: without processes, a /tmp or names for open files; or,
in the copy of Python that an ordinary user may read, without numpy."""
SEEN = {
    "landlock alone": {
        "reads whether a file exists",
        "looks at the programs of others by their threads",
        "children of another thread that hold memory",
    },
    "no proc": set(),
}
"""Attacks that may pass there: they only find out that something is there, for Landlock hides no names, or are right
programs once their processes are refused."""
RUN = """
import sys
sys.path.insert(0, sys.argv.pop(1)) if len(sys.argv) > 2 else None
from verifiers import code_tests
from verifiers.sandbox import client
code_tests.inside_worker = lambda: True
{before}
import runpy
runpy.run_path({runner!r}, run_name="__main__")
"""
PARTS = [pytest.param(30, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
MACHINES = pytest.mark.parametrize("machine", BEFORE)
ROOM = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
OWN = [
    (SUM, SUMS),
    (ADD, ADDS),
    (ASSERTS, ADDS),
    (SCRIPT, ADDS),
    (SHARED, "def double(record):\n    return 2 * record.n"),
]
LIMITS = [
    ("cpu", "while True: pass", {"time_limit": 0.3}, ("more than 0.3 s of CPU time",)),
    ("idle", "import time\ntime.sleep(30)", {"time_limit": 0.3}, ("asleep or waiting for more than 0.3 s",)),
    ("memory", "a = bytearray(400 << 20)\nwhile True: pass", {"memory_limit_mb": 64}, ("more than 64 MB of memory",)),
    ("output", "open('a', 'wb').write(bytes(65 << 20))", {}, ("File too large", "more than 64 MB of output")),
]
DISK = ("disk", "for n in range(9):\n    open(str(n), 'wb').write(bytes(30 << 20))\nwhile True: pass", {}, "")


@cache
def judged(machine, every):
    """Judge attacks, controls and the table above on such a machine; return what the runner said and what it left."""
    if not layers().suffices:
        pytest.skip(layers().lacking())
    if machine == "landlock alone" and abi() < MIN_LANDLOCK:
        pytest.skip("this kernel has no Landlock that would hold alone")
    if machine == "no proc" and layers().namespaces:
        pytest.skip("this machine has no namespaces")
    attacks = [attack for attack in ATTACKS if every == 1 or not attack.waits][::every]
    controls = CONTROLS[:: min(every, 4)]
    rows = [{"name": f"attack {a.name}", "completion": a.completion, "reference": a.reference} for a in attacks]
    rows += [{"name": f"control {c.name}", "completion": c.completion, "reference": c.reference} for c in controls]
    rows += [{"name": f"own {n}", "completion": fenced(own), "reference": ref} for n, (ref, own) in enumerate(OWN)]
    rows += [
        {"name": f"limit {name}", "completion": fenced(program), "reference": SUM | more}
        for name, program, more, _ in (*LIMITS, DISK)
    ]
    with ExitStack() as stack:
        user, python, path = None, [sys.executable], ""
        if os.getuid() == 0:
            user = NOBODY
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tf-python-", dir=ROOM))
            try:
                python, path = readable_python(Path(folder))
            except OSError as error:
                pytest.skip(str(error))
        surroundings = stack.enter_context(Surroundings(user=user, python=python, path=path))
        runner, script = surroundings.top / RUNNER.name, surroundings.top / "less.py"
        runner.write_bytes(RUNNER.read_bytes())
        script.write_text(RUN.format(before=BEFORE[machine], runner=str(runner)), encoding="utf-8")
        surroundings._runner = lambda: script
        result = surroundings.judged([dict(row) for row in rows], timeout_s=900)
        return attacks, controls, result, surroundings.changes()


def said(machine, every, kind):
    """Return name, verdict and whether it is what it must be, of one kind of case."""
    attacks, controls, result, _ = judged(machine, every)
    assert result["exit_status"] == 0, (result["exit_status"], list(result["verdicts"])[-1:])
    assert result["last"]["first"] == "pass", result["last"]["first_reason"]
    rows = {name.removeprefix(f"{kind} "): row[0] for name, row in result["verdicts"].items() if name.startswith(kind)}
    return {"attack": attacks, "control": controls}.get(kind), rows


@MACHINES
@pytest.mark.parametrize("every", PARTS)
def test_no_attack_passes(machine, every):
    attacks, rows = said(machine, every, "attack")
    assert len(rows) == len(attacks) > 25
    breaches = {a.name: rows[a.name] for a in attacks if rows[a.name]["outcome"] not in a.expected | {"unknown"}}
    wrong = {name: row for name, row in breaches.items() if name not in SEEN[machine]}
    assert wrong == {}
    unknown = [a.name for a in attacks if rows[a.name]["outcome"] not in a.expected]
    assert len(unknown) <= len(attacks) / 20, unknown


@MACHINES
@pytest.mark.parametrize("every", PARTS)
def test_right_programs_pass(machine, every):
    controls, rows = said(machine, every, "control")
    refused = REFUSED[machine]
    failed = {
        c.name: rows[c.name]["reason"]
        for c in controls
        if rows[c.name]["outcome"] != "pass" and not (c.optional or any(word in c.name for word in refused))
    }
    assert failed == {}


@MACHINES
@pytest.mark.parametrize("every", PARTS[:1])
def test_each_mode_works_there(machine, every):
    _, rows = said(machine, every, "own")
    assert [row["outcome"] for row in rows.values()] == ["pass"] * len(OWN), rows


@MACHINES
@pytest.mark.parametrize("every", PARTS[:1])
def test_limits_stop_programs_there(machine, every):
    _, rows = said(machine, every, "limit")
    for name, _, _, reason in LIMITS:
        assert rows[name]["outcome"] == "fail"
        assert any(word in rows[name]["reason"] for word in reason), rows[name]
    assert rows["disk"]["outcome"] == "fail"
    if machine == "landlock alone":
        assert "more than 64 MB or 4096 files in its folder" in rows["disk"]["reason"]


@MACHINES
@pytest.mark.parametrize("every", PARTS)
def test_nothing_is_left_and_nothing_harmed(machine, every):
    _, _, result, changes = judged(machine, every)
    assert result["left"] == []
    assert result["harmed"] == {}
    assert changes == []


def test_the_layers_of_this_machine_are_known():
    found = layers()
    assert dataclasses.replace(found, namespaces=None, seccomp=None).suffices
    assert found.landlock_abi == abi()
