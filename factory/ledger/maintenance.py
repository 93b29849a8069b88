"""Keeping a ledger: compact, fsck, gc, forget, export, import.

Everything that changes what is valid is one commit with `replaces`, so it too is there whole or not at all.
"""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from factory.errors import LedgerError, UsageError
from factory.identity import hash_bytes, hash_file
from factory.ledger.commits import DataFile, read_commits, valid_files, write_commit
from factory.ledger.journal import is_alive, read_log
from factory.ledger.ledger import Ledger, Snapshot, store_data_file, write_data_file
from factory.ledger.tables import TABLES

MAX_FILES = 64
"""Files of a table above which a run compacts it."""
GC_GRACE_S = 3600.0
"""Files written or replaced less long ago than this are left: a reader or a writer may be using them."""
_COMPACTED_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that `fsck` found."""

    path: str
    """File, relative to the ledger."""
    problem: str
    """What is wrong with it."""
    is_damage: bool
    """True if rows are lost; False for what is only left over."""


def compact(ledger: Ledger, *, max_files: int = 1) -> dict[str, int]:
    """Merge the files of every table that has more than `max_files`. Returns table → files merged."""
    merged: dict[str, int] = {}
    with ledger.lock("maintenance"):
        files = ledger.snapshot().files
        for table in TABLES:
            ours = [f for f in files if f.table == table]
            if len(ours) <= max_files:
                continue
            for group in _groups(ours):
                if len(group) < 2:
                    continue
                parts = [pq.read_table(ledger.root / f.path, schema=TABLES[table].schema) for f in group]
                file = write_data_file(
                    ledger.root, table, pa.concat_tables(parts), writer=_name("compact"), instead_of=group[0].path
                )
                paths = tuple(f.path for f in group)
                write_commit(
                    ledger.root / "commits", writer=_name("compact"), action="compact", files=(file,), replaces=paths
                )
                merged[table] = merged.get(table, 0) + len(group)
    return merged


def fsck(ledger: Ledger) -> list[Finding]:
    """Read everything and compare it with the commits' checksums. Returns what is wrong, nothing if all is well."""
    findings = []
    files = valid_files(read_commits(ledger.root / "commits"))
    for file in files:
        path = ledger.root / file.path
        if not path.is_file():
            findings.append(Finding(path=file.path, problem="is missing", is_damage=True))
        elif hash_file(path) != file.checksum:
            problem = f"does not have the bytes that were written ({path.stat().st_size} of {file.num_bytes})"
            findings.append(Finding(path=file.path, problem=problem, is_damage=True))
    known = {file.path for commit in read_commits(ledger.root / "commits") for file in commit.files}
    for table in TABLES:
        for path in sorted((ledger.root / table).glob("*")):
            if f"{table}/{path.name}" not in known:
                findings.append(_left_over(ledger, path, "belongs to no commit; `factory ledger gc` deletes it"))
    for log in sorted((ledger.root / "journal").glob("*/*.log")):
        torn = read_log(log).torn_bytes
        if torn and not is_alive(log.parent):
            findings.append(_left_over(ledger, log, f"ends in {torn} bytes of a write that was cut off"))
    return findings


def check_files(snapshot: Snapshot) -> None:
    """Raise LedgerError if a file that is read does not have the bytes that were written. Reads all of them."""
    for file in snapshot.files:
        path = snapshot.root / file.path
        if hash_file(path) != file.checksum:
            raise LedgerError(
                f"{path} is damaged: it does not have the bytes that were written",
                hint="restore the file, or run `factory ledger fsck --drop` to give its rows up and make them anew",
            )


def drop_damaged(ledger: Ledger) -> list[str]:
    """Give up the files that cannot be read: what stood in them is made anew by the next run. Returns their paths."""
    with ledger.lock("maintenance"):
        damaged = tuple(f.path for f in fsck(ledger) if f.is_damage)
        if any(path.split("/")[0] in ("problems", "references", "origins") for path in damaged):
            # A row of `sources` says that its source was read to the end, which is no longer so.
            valid = valid_files(read_commits(ledger.root / "commits"))
            damaged = tuple(dict.fromkeys([*damaged, *(f.path for f in valid if f.table == "sources")]))
        if damaged:
            write_commit(ledger.root / "commits", writer=_name("fsck"), action="drop", files=(), replaces=damaged)
    return list(damaged)


def gc(ledger: Ledger, *, grace_s: float = GC_GRACE_S) -> list[str]:
    """Delete files that are no longer valid and older than the grace period. Returns their paths."""
    deleted = []
    with ledger.lock("maintenance"):
        commits = read_commits(ledger.root / "commits")
        valid = {file.path for file in valid_files(commits)}
        replaced_at = {path: commit.created_at for commit in commits for path in commit.replaces}
        for table in TABLES:
            for path in sorted((ledger.root / table).iterdir()):
                name = f"{table}/{path.name}"
                # A reader may hold what was valid a moment ago, a writer what is not committed yet.
                if name not in valid and time.time() - replaced_at.get(name, path.stat().st_mtime) >= grace_s:
                    path.unlink()
                    deleted.append(name)
    return deleted


def forget(ledger: Ledger, *, source: str | None = None, trace_id: str | None = None) -> tuple[int, list[str]]:
    """Remove a source (with the problems that only it has, and their traces) or one trace: a takedown.

    Returns the number of rows removed and the fingerprints of the corpora that held a removed trace. The old files stay
    until `gc`, and a recipe that still names the source reads it again. Raises UsageError if there is nothing of that
    name, LedgerError while another run is writing.
    """
    with ledger.lock("maintenance"), ledger.lock("source"), ledger.lock("verify"):
        ledger.adopt()
        if any((ledger.root / "journal").glob("[0-9]*")):
            raise LedgerError("another run is writing to this ledger", hint="stop it, or wait for its end")
        snapshot = ledger.snapshot()
        if trace_id is not None:
            traces = {trace_id}
            gone: dict[str, pl.Expr] = {t: pl.col("trace_id").is_in(list(traces)) for t in _TRACE_TABLES}
        else:
            origins = snapshot.scan("origins").collect()
            ours = set(origins.filter(source=source)["problem_id"])
            problems = sorted(ours - set(origins.filter(pl.col("source") != source)["problem_id"]))
            of_problem = pl.col("problem_id").is_in(problems)
            traces = set(snapshot.scan("traces").filter(of_problem).select("trace_id").collect()["trace_id"])
            gone = {t: pl.col("trace_id").is_in(sorted(traces)) for t in _TRACE_TABLES}
            gone |= dict.fromkeys(("problems", "references", "traces", "failures"), of_problem)
            gone |= {t: pl.col("source") == source for t in ("origins", "sources")}
        # Dropped traces too: the configuration `rejected` holds their text.
        held = snapshot.scan("fates").filter(pl.col("trace_id").is_in(sorted(traces)))
        corpora = sorted(held.select("corpus_fingerprint").unique().collect()["corpus_fingerprint"])
        num_rows = _rewrite(ledger, gone)
    if not num_rows:
        name = source if source is not None else trace_id
        raise UsageError(
            f"the ledger has nothing of {name!r}", hint="factory sql 'SELECT DISTINCT source FROM origins'"
        )
    return num_rows, corpora


def export(ledger: Ledger, target: Path) -> int:
    """Write the valid files and one commit as a tar archive. Returns the number of files. Raises on damaged files."""
    ledger.adopt()
    snapshot = ledger.snapshot()
    partial = target.with_name(target.name + ".partial")
    with tarfile.open(partial, "w") as archive:
        for file in snapshot.files:
            archive.add(ledger.root / file.path, arcname=file.path)
    partial.replace(target)
    return len(snapshot.files)


def import_(ledger: Ledger, archive_path: Path) -> int:
    """Add the files of an exported archive. Rows that are there already stay as they are. Returns the files added."""
    known = {file.path for file in valid_files(read_commits(ledger.root / "commits"))}
    added: list[DataFile] = []
    try:
        with tarfile.open(archive_path) as archive:
            for member in archive:
                table, _, name = member.name.partition("/")
                stem = name.removesuffix(".parquet")
                if table not in TABLES or not member.isfile() or member.name in known:
                    continue
                content = archive.extractfile(member)
                assert content is not None, member.name
                data = content.read()
                if hash_bytes(data) != stem:
                    raise UsageError(f"{archive_path}: {member.name} does not have the bytes its name promises")
                num_rows = pq.read_metadata(io.BytesIO(data)).num_rows
                added.append(store_data_file(ledger.root, table, data, num_rows=num_rows))
    except (tarfile.TarError, OSError, pa.ArrowException) as error:
        raise LedgerError(f"{archive_path} cannot be read: {error}") from error
    if added:
        write_commit(ledger.root / "commits", writer=_name("import"), action="import", files=tuple(added))
    return len(added)


_TRACE_TABLES = ("traces", "verdicts", "timings", "failures", "fates")


def _rewrite(ledger: Ledger, gone: dict[str, pl.Expr]) -> int:
    """Replace every file that holds rows to remove by one without them, in one commit."""
    replaced: list[str] = []
    written: list[DataFile] = []
    num_rows = 0
    for file in ledger.snapshot().files:
        if file.table not in gone:
            continue
        rows = pl.read_parquet(ledger.root / file.path)
        kept = rows.filter(~gone[file.table].fill_null(value=False))
        if kept.height == rows.height:
            continue
        num_rows += rows.height - kept.height
        replaced.append(file.path)
        if not kept.is_empty():
            data = kept.to_arrow().cast(TABLES[file.table].schema)
            written.append(write_data_file(ledger.root, file.table, data, writer=_name("forget"), instead_of=file.path))
    if replaced:
        write_commit(
            ledger.root / "commits",
            writer=_name("forget"),
            action="forget",
            files=tuple(written),
            replaces=tuple(replaced),
        )
    return num_rows


def _name(action: str) -> str:
    return f"{action}-{uuid.uuid4().hex}"


def _groups(files: list[DataFile]) -> list[list[DataFile]]:
    """Cut files, in commit order, into runs of at most half a gigabyte."""
    groups: list[list[DataFile]] = [[]]
    for file in files:
        if groups[-1] and sum(f.num_bytes for f in groups[-1]) + file.num_bytes > _COMPACTED_BYTES:
            groups.append([])
        groups[-1].append(file)
    return groups


def _left_over(ledger: Ledger, path: Path, problem: str) -> Finding:
    return Finding(path=str(path.relative_to(ledger.root)), problem=problem, is_damage=False)
