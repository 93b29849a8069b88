"""The command line `factory`.

stdout carries data only: a path, a table, or JSON with --json. Everything said to people goes to stderr. Exit codes: 0
done, 1 failed, 2 wrong use or recipe, 130 interrupted; whatever was finished is kept, and the same command goes on.

    runs.py      plan, run, status
    look.py      list, show, explain, funnel, stats, sql
    judge.py     judge
    init.py      init
    release.py   card, publish
    upkeep.py    ledger compact | fsck | gc | forget | export | import
    doctor.py    doctor
"""

from factory.cli.main import main

__all__ = ["main"]
