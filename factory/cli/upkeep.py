"""ledger: keeping a ledger in order."""

from __future__ import annotations

import sys
from pathlib import Path

import cyclopts

from factory.cli.output import JsonOption, LedgerOption, print_json
from factory.errors import UsageError
from factory.ledger import Ledger, maintenance

_app = cyclopts.App(name="ledger", help="Keep a ledger in order: compact, fsck, gc, forget, export, import.")


def register(app: cyclopts.App) -> None:
    """Add the commands."""
    app.command(_app)


@_app.command
def compact(*, ledger: LedgerOption = "ledger") -> None:
    """Merge the small files of each table. `gc` then deletes what they replace."""
    for table, num in maintenance.compact(Ledger.open(ledger)).items():
        sys.stderr.write(f"{table}: merged {num} files\n")


@_app.command
def fsck(*, ledger: LedgerOption = "ledger", drop: bool = False, json: JsonOption = False) -> int:
    """Check every file against its checksum. Exit code 1 if rows are lost.

    Parameters
    ----------
    drop
        Give up the damaged files: the next run makes what stood in them anew.
    """
    opened = Ledger.open(ledger)
    findings = maintenance.fsck(opened)
    if json:
        print_json([{"path": f.path, "problem": f.problem, "damage": f.is_damage} for f in findings])
    for finding in findings:
        sys.stderr.write(f"{'DAMAGED' if finding.is_damage else 'left over'}  {finding.path} {finding.problem}\n")
    damaged = [f for f in findings if f.is_damage]
    if damaged and drop:
        for path in maintenance.drop_damaged(opened):
            sys.stderr.write(f"dropped {path}\n")
        return 0
    if damaged:
        sys.stderr.write("hint: restore the files from a backup, or give them up with `factory ledger fsck --drop`\n")
    elif not findings:
        sys.stderr.write("all is well\n")
    return 1 if damaged else 0


@_app.command
def gc(*, ledger: LedgerOption = "ledger", now: bool = False) -> None:
    """Delete files that are no longer valid.

    Parameters
    ----------
    now
        Those of the last hour too. Only if no other run uses this ledger.
    """
    deleted = maintenance.gc(Ledger.open(ledger), grace_s=0.0 if now else maintenance.GC_GRACE_S)
    sys.stderr.write(f"deleted {len(deleted)} files\n")


@_app.command
def forget(*, source: str | None = None, trace: str | None = None, ledger: LedgerOption = "ledger") -> None:
    """Remove a source with its traces, or one trace: for a takedown or a licence. Prints the corpora that held it.

    A recipe that still names the source reads it again: take it out of there too.

    Parameters
    ----------
    source
        Name of the source, as `factory sql "SELECT DISTINCT source FROM origins"` lists it.
    trace
        Id of the trace.
    """
    if (source is None) == (trace is None):
        raise UsageError("say either --source or --trace")
    num_rows, corpora = maintenance.forget(Ledger.open(ledger), source=source, trace_id=trace)
    sys.stderr.write(f"removed {num_rows:,} rows; `factory ledger gc --now` deletes the old files\n")
    for fingerprint in corpora:
        print(fingerprint)  # noqa: T201 - the command's data


@_app.command
def export(archive: Path, *, ledger: LedgerOption = "ledger") -> None:
    """Write all valid files as one tar archive.

    Parameters
    ----------
    archive
        File to write.
    """
    if not archive.parent.is_dir():
        raise UsageError(f"there is no folder {archive.parent}")
    sys.stderr.write(f"wrote {maintenance.export(Ledger.open(ledger), archive)} files\n")


@_app.command(name="import")
def import_(archive: Path, *, ledger: LedgerOption = "ledger") -> None:
    """Add what an exported archive holds.

    Parameters
    ----------
    archive
        File written by `factory ledger export`.
    """
    if not archive.is_file():
        raise UsageError(f"there is no file {archive}")
    sys.stderr.write(f"added {maintenance.import_(Ledger.open(ledger, create=True), archive)} files\n")
