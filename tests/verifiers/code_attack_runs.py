"""One run of the attacks for all tests that look at it: judging them takes a minute, and its traces are the point.

`run(user, every=...)` judges once per process and returns what happened. Skips, and says why, where attacks
cannot be let loose: not on Linux, or no Python that the user may run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from code_attacks.attack import Attack
from code_attacks.table import ATTACKS
from code_surroundings import NOBODY, Surroundings, readable_python

LONG_S = 900
_ROOM = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
"""Where a copy of Python lies: not under /tmp, which is to be a folder of the run's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of judging attacks."""

    attacks: tuple[Attack, ...]
    """What was judged, in order."""
    result: dict[str, Any]
    """What `Surroundings.judged` returns."""
    changes: list[str]
    """What was no longer as before when all was over."""


@cache
def run(user: int | None, *, every: int) -> Run:
    """Judge the attacks as a user (None: as who we are): all for 1, else every so-manieth that waits for no limit."""
    if not sys.platform.startswith("linux"):
        pytest.skip("attacks look for Linux's doors")
    with tempfile.TemporaryDirectory(prefix="tf-python-", dir=_ROOM) as folder:
        python, path = [sys.executable], ""
        if user is not None:
            if os.getuid() != 0:
                pytest.skip("only root may run as another user; these tests already run as an ordinary one")
            try:
                python, path = readable_python(Path(folder))
            except OSError as error:
                pytest.skip(str(error))
        chosen = tuple(ATTACKS if every == 1 else [attack for attack in ATTACKS if not attack.waits][::every])
        rows = [
            {k: v for k, v in asdict(attack).items() if k in ("name", "completion", "reference", "times")}
            for attack in chosen
        ]
        with Surroundings(user=user, python=python, path=path) as surroundings:
            result = surroundings.judged(rows, timeout_s=LONG_S)
            return Run(attacks=chosen, result=result, changes=surroundings.changes())


USERS = [
    pytest.param(None, 8, id="as who we are, some"),
    pytest.param(None, 1, id="as who we are", marks=pytest.mark.slow),
    pytest.param(NOBODY, 1, id="as an ordinary user", marks=pytest.mark.slow),
]
"""Who judges, and every how-manieth attack: all take two minutes."""
