"""All attacks, in one list. Those that make system calls use the numbers of x86-64 and are left out elsewhere."""

from __future__ import annotations

import platform

from code_attacks import answers, bending, between, escapes, exits, host, leavings, resources, results
from code_attacks.attack import Attack

_PARTS = (answers, results, bending, between, exits, host, escapes, leavings, resources)
ATTACKS: list[Attack] = [
    attack
    for part in _PARTS
    for attack in part.ATTACKS
    if platform.machine() == "x86_64" or attack.category != "kernel"
]
