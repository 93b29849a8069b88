"""What every step of a run is given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from factory.ledger import Ledger
from factory.progress import Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The place a step works in."""

    name: str
    """The recipe's name."""
    seed: int
    """The recipe's seed: decides orders, picks and splits."""
    ledger: Ledger
    """Where everything is read from and written to."""
    reporter: Reporter = field(default_factory=Reporter)
    """Who is told of the progress."""
    num_workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Processes that judge; 0 judges in this one."""
