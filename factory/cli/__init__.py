"""The command line `factory`.

stdout carries data only: a path, a table, or JSON with --json. Everything said to people goes to stderr. Exit codes: 0
done, 1 failed, 2 wrong use or recipe, 130 interrupted; whatever was finished is kept, and the same command goes on.

    main.py      the entry point: commands, and what becomes of an error
    runs.py      plan, run, status
    look.py      list, show, explain, funnel, stats, sql
    judge.py     judge
    init.py      init
    release.py   card, publish
    upkeep.py    ledger compact | fsck | gc | forget | export | import
    doctor.py    doctor
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit. The imports stand inside, so that Ctrl-C during them is no traceback."""
    try:
        from factory.cli.main import call

        code = call(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
