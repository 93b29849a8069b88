"""What an attack on a judge of code is, and the references and frames that attacks are written in.

An attack is a completion that is *not* a right solution. It may never pass. Attacks that look for a way out print or
return the right answer only if they found one: a pass is a breach. Placeholders in a completion stand for things of the
host that `code_surroundings.py` sets up, so that an attack aims at nothing else:

    @FILE@      a file that every user may read; its text starts with "canary-"
    @FOLDER@    a folder that every user may write
    @NAME@      a word of this run: whatever an attack creates anywhere has it in its name
    @NUMBER@    a number of this run, for keys of System V objects
    @PID@       a process of the same user that sleeps, with the canary in its environment
    @PORT@      a TCP port of 127.0.0.1 that listens
    @SOCKET@    a unix socket that listens
    @ABSTRACT@  the name of an abstract unix socket that listens
    @SHM@       the id of a System V segment that everybody may read; it holds the canary
    @FD@        the number of a descriptor of the judging process, readable, with the canary
    @HOME@      the home of the user who judges
    @REPO@      the root of the repository

Every attack is bounded (1,000 processes, 1 GB, some seconds), and what would end processes by the dozen first makes
sure that the sleeper is out of its sight: a sandbox that does not hold costs this machine little.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAIL = frozenset({"fail"})
HELD = frozenset({"fail", "unknown"})
"""For attacks on the judge itself: that nothing can be said is an answer too."""

SUM = {
    "kind": "tests",
    "mode": "stdin",
    "tests": [{"input": "2 3\n", "output": "5\n"}, {"input": "10 -4\n", "output": "6\n"}],
    "time_limit": 1,
    "memory_limit_mb": 256,
}
"""Print the sum of two numbers."""
SUM_3S = SUM | {"time_limit": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One wrong completion."""

    name: str
    """What it does; unique."""
    category: str
    """What it tries."""
    completion: str
    """The text of a model, with placeholders."""
    reference: Mapping[str, Any]
    """The tests in JSON form."""
    expected: frozenset[str] = FAIL
    """The outcomes that hold."""
    waits: bool = False
    """Whether it runs into a limit of time, and so takes that long."""
    cheats: bool = False
    """Whether it is harmless without a sandbox and passes with a judge that runs program and tests in one process."""
    times: int = 1
    """How often it is judged in a row: what one judgement leaves, the next may find."""
    note: str = ""
    """Why it is here, where the name does not say."""


def fenced(program: str, language: str = "python") -> str:
    """Write a program the way a model does."""
    return f"<think>Let me see.</think>\nHere it is:\n\n```{language}\n{program.strip(chr(10))}\n```\n"


def dedented(program: str) -> str:
    """Take the indentation of this repository's own source off a program."""
    return textwrap.dedent(program).strip("\n")


def stdin(name: str, category: str, program: str, reference: Mapping[str, Any] = SUM, **more: Any) -> Attack:
    """Make an attack that is a whole program."""
    completion = fenced(dedented(program))
    return Attack(name=name, category=category, completion=completion, reference=reference, **more)


def probe(name: str, category: str, body: str, reference: Mapping[str, Any] = SUM, **more: Any) -> Attack:
    """Make a program that gives the right sum only if its body sets `won`."""
    frame = (
        "import os, sys\n"
        "\n"
        "won = False\n"
        "try:\n"
        "{body}\n"
        "except Exception as error:\n"
        "    print(repr(error), file=sys.stderr)\n"
        "print(sum(map(int, sys.stdin.read().split())) if won else 'held')"
    )
    program = frame.format(body=textwrap.indent(dedented(body), "    "))
    return Attack(name=name, category=category, completion=fenced(program), reference=reference, **more)


KERNEL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def reached(number, *arguments):
    # whether the kernel looked at the call at all, rather than refuse it out of hand
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return result >= 0 or ctypes.get_errno() not in (1, 13, 38)  # EPERM, EACCES, ENOSYS
"""
"""Beginning of a body that makes raw system calls; numbers are those of x86-64."""


def kernel_probe(name: str, category: str, body: str, reference: Mapping[str, Any] = SUM, **more: Any) -> Attack:
    """Make a probe that makes raw system calls."""
    return probe(name, category, dedented(KERNEL) + "\n" + dedented(body), reference, **more)


def tests_of(call: str, cases: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the references of the three modes that call a function: `arguments` to `expected`, as Python literals.

    Example:
        >>> tests_of("add", {"2, 3": "5"})["asserts"]["tests"]
        ['assert add(2, 3) == 5']
    """
    asked = {"kind": "tests", "time_limit": 1, "memory_limit_mb": 256}
    rows = [{"args": list(eval(f"({given},)")), "expected": eval(value)} for given, value in cases.items()]
    asserts = [f"assert {call}({given}) == {value}" for given, value in cases.items()]
    body = "".join(f"    assert candidate({given}) == {value}\n" for given, value in cases.items())
    return {
        "function": asked | {"mode": "function", "entry_point": call, "tests": rows},
        "asserts": asked | {"mode": "asserts", "tests": asserts},
        "script": asked | {"mode": "script", "entry_point": call, "test": f"def check(candidate):\n{body}"},
    }


ADD = tests_of("add", {"2, 3": "5", "10, -4": "6"})
MODES = ("function", "asserts", "script")


def calls(
    name: str,
    category: str,
    program: str,
    references: Mapping[str, Mapping[str, Any]] = ADD,
    *,
    modes: tuple[str, ...] = MODES,
    cheats: bool | tuple[str, ...] = False,
    **more: Any,
) -> list[Attack]:
    """Make an attack in each mode that calls a function; `cheats` may name the modes where a naive judge passes it."""
    fooled = MODES if cheats is True else cheats or ()
    completion = fenced(dedented(program))
    return [
        Attack(
            name=f"{name} ({mode})",
            category=category,
            completion=completion,
            reference=references[mode],
            cheats=mode in fooled,
            **more,
        )
        for mode in modes
    ]
