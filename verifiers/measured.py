"""How often the judges err, as it was measured: the figures that data cards quote.

In: a judge's kind and version. Out: what `benchmarks/verdicts.py --save` found for it, or None. Figures of another
version are none: the judge has changed since.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("error_rates.json")


def error_rates(kind: str, version: int) -> dict[str, Any] | None:
    """Return the measured errors of a judge: the command, and per set the cases, false passes, misses and unknowns."""
    found = _all().get(kind)
    return found if found is not None and found["version"] == version else None


def keep_error_rates(kind: str, *, version: int, command: str, sets: dict[str, Any]) -> None:
    """Keep measured figures of one judge in place of its earlier ones; benchmarks call it with `--save`."""
    rates = _all() | {kind: {"version": version, "command": command, "sets": sets}}
    _FILE.write_text(json.dumps(rates, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _all.cache_clear()


@lru_cache(maxsize=1)
def _all() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]  # our own file
