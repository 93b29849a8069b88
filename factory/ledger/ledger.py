"""The ledger: append-only tables on disk that every step reads from and writes to.

    Ledger      a folder; gives snapshots and writers, and locks for work that must not be done twice at once
    Snapshot    what is valid at one moment, read through Polars or DuckDB
    Writer      appends rows to a journal and rolls it into Parquet files and a commit

Valid rows are those of the committed files plus those of the journals that no commit names yet. A process killed at any
moment loses at most the rows it had not finished appending. Two runs on one ledger are safe: each has its own journal,
commits are ordered by exclusive creation, and what must not be done twice at once is done under a lock.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from factory.errors import LedgerError, UsageError
from factory.identity import hash_bytes, hash_file
from factory.ledger.commits import DataFile, read_commits, valid_files, write_commit
from factory.ledger.files import disk_error, failpoint, write_new
from factory.ledger.journal import Journal, Row, is_alive, lock_file, read_log, remove_journal
from factory.ledger.tables import TABLES, Table
from factory.records import Trace

ROLL_BYTES = 64 * 2**20
"""A journal of this size is rolled into Parquet."""
ROLL_SECONDS = 300.0
"""So is one of this age."""
SYNC_SECONDS = 2.0
"""A power cut loses at most this much; a kill loses nothing that was appended."""
ROW_GROUP_ROWS = 8192
"""Rows of a row group in the ledger's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedFile:
    """A valid file that cannot be read."""

    file: DataFile
    """What the commit says of it."""
    problem: str
    """What is wrong."""


class Snapshot:
    """What is valid at one moment.

    Raises LedgerError naming the file if a committed file is missing or has another size, unless `strict` is False:
    then it is left out and stands in `damaged`.
    """

    def __init__(self, root: Path, *, strict: bool = True) -> None:
        self.root = root
        # Journals first: one that is rolled meanwhile is seen twice and dropped by its writer's name, never missed.
        journals = _read_journals(root / "journal")
        self.commits = read_commits(root / "commits")
        spent = {commit.writer for commit in self.commits}
        self.files: list[DataFile] = []
        self.damaged: list[DamagedFile] = []
        for file in valid_files(self.commits):
            problem = _stat_problem(root / file.path, file)
            if problem is None:
                self.files.append(file)
            elif strict:
                raise LedgerError(
                    f"{root / file.path}: {problem}",
                    hint="restore the file, or run `factory ledger fsck --drop` to give its rows up and make them anew",
                )
            else:
                self.damaged.append(DamagedFile(file=file, problem=problem))
        self._journal_rows: dict[str, list[Row]] = {}
        for writer in sorted(journals):
            if writer not in spent:
                for table, rows in journals[writer].items():
                    self._journal_rows.setdefault(table, []).extend(rows)

    def scan(self, table: str) -> pl.LazyFrame:
        """Return a table's rows in commit order, journals last, lazily."""
        definition = TABLES[table]
        schema = definition.polars_schema
        frames = [_journal_frame(definition, self._journal_rows.get(table, [])).lazy()]
        paths = [self.root / file.path for file in self.files if file.table == table]
        if paths:
            frames.insert(
                0,
                pl.scan_parquet(paths, schema=schema, missing_columns="insert", extra_columns="ignore", glob=False),
            )
        return pl.concat(frames) if len(frames) > 1 else frames[0]

    def batches(self, table: str, columns: list[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns of a table a few thousand rows at a time, in commit order, in bounded memory."""
        schema = TABLES[table].polars_schema
        for file in self.files:
            if file.table == table:
                with pq.ParquetFile(self.root / file.path) as parquet:
                    for batch in parquet.iter_batches(batch_size=ROW_GROUP_ROWS, columns=columns):
                        frame = pl.DataFrame(pa.Table.from_batches([batch]))
                        lacking = [name for name in columns if name not in frame.columns]  # an older file
                        yield frame.with_columns(pl.lit(None, schema[name]).alias(name) for name in lacking).select(
                            columns
                        )
        rows = self._journal_rows.get(table, [])
        if rows:
            yield _journal_frame(TABLES[table], rows).select(columns)

    def traces(self) -> Iterator[Trace]:
        """Yield the stored traces as records, one per slot, in commit order and bounded memory."""
        seen: set[str] = set()
        for batch in self.batches("traces", TABLES["traces"].schema.names):
            for row in batch.iter_rows(named=True):
                if row["trace_id"] not in seen:
                    seen.add(row["trace_id"])
                    yield Trace(**row)

    def count(self, table: str) -> int:
        """Return the number of rows without reading them."""
        committed = sum(file.num_rows for file in self.files if file.table == table)
        return committed + len(self._journal_rows.get(table, []))

    def slots(self, *columns: str) -> pl.LazyFrame:
        """Return one row per slot: the first commit of a trace_id counts, later ones are superseded."""
        wanted = list(dict.fromkeys(("trace_id", *columns)))
        return self.scan("traces").select(wanted).unique(subset=["trace_id"], keep="first", maintain_order=True)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open an in-memory DuckDB with one view per table. The caller closes it."""
        connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        for name, definition in TABLES.items():
            frame = _journal_frame(definition, self._journal_rows.get(name, [])).to_arrow()
            connection.register(f"journal_{name}", frame)
            parts = [f'SELECT * FROM "journal_{name}"']
            paths = [str(self.root / file.path) for file in self.files if file.table == name]
            if paths:
                listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
                options = "union_by_name = true, hive_partitioning = false"
                parts.insert(0, f"SELECT * FROM read_parquet([{listed}], {options})")
            connection.execute(f'CREATE VIEW "{name}" AS {" UNION ALL BY NAME ".join(parts)}')
        return connection

    def sql(self, query: str) -> pl.DataFrame:
        """Run one DuckDB query over the tables. Raises UsageError with DuckDB's message if it is no valid query."""
        with contextlib.closing(self.connect()) as connection:
            try:
                result = connection.sql(query)  # None where the statement gives no rows
                return pl.DataFrame() if result is None else pl.DataFrame(result.to_arrow_table())
            except duckdb.Error as error:
                raise UsageError(
                    str(error), hint=f'tables: {", ".join(TABLES)}; write "references" in double quotes'
                ) from error


class Writer:
    """Appends rows; rolls them into Parquet at 64 MB or 5 minutes, and when it is closed.

    Leaving the block by an exception does not roll: what was appended stays in the journal, where every reader sees it
    and the next writer adopts it. That is also what a kill leaves behind. Safe to use from several threads.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.RLock()
        self._started = self._synced = 0.0
        self._rows: dict[str, list[Row]] = {}
        self._start()

    def append(self, table: str, rows: list[Row]) -> None:
        """Append rows to a table; they are there together or not at all. Missing columns are null."""
        if not rows:
            return
        definition = TABLES[table]
        assert all(row.keys() <= set(definition.schema.names) for row in rows), (table, rows[0].keys())
        to_arrow(table, rows)  # what no file can hold must not enter the journal: it could never be rolled
        with self._guard:
            self._journal.append(table, rows)
            self._rows.setdefault(table, []).extend(rows)
            now = time.monotonic()
            if now - self._synced > SYNC_SECONDS:
                self._journal.sync()
                self._synced = now
            if self._journal.num_bytes >= ROLL_BYTES or now - self._started > ROLL_SECONDS:
                self.roll()

    def roll(self) -> None:
        """Write what was appended as Parquet files, commit them, and begin a new journal."""
        with self._guard:
            if not self._rows:
                return
            _roll(self._root, self._journal.writer, self._rows)
            self._journal.remove()
            self._start()

    def close(self) -> None:
        """Roll and let go."""
        with self._guard:
            if self._rows:
                _roll(self._root, self._journal.writer, self._rows)
            self._journal.remove()

    def _start(self) -> None:
        self._journal = Journal(self._root / "journal")
        self._rows = {}
        self._started = self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._journal.close()


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger's folder."""

    root: Path
    """The folder."""

    @classmethod
    def open(cls, root: Path | str, *, create: bool = False) -> Ledger:
        """Open a ledger. With `create` an empty or missing folder becomes one; else raises UsageError."""
        root = Path(root)
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file, not a ledger's folder")
        if not (root / "commits").is_dir():
            known = (*TABLES, "journal", "locks", "runs", "commits")  # another run may be making it right now
            if root.is_dir() and any(p.name not in known for p in root.iterdir()):
                raise UsageError(f"{root} is not a ledger", hint="name an empty folder, or the ledger's own")
            if not create:
                hint = "`factory run RECIPE` makes one; --ledger names it"
                raise UsageError(f"there is no ledger at {root}", hint=hint)
            try:
                for name in ("journal", "locks", *TABLES, "commits"):  # commits last: its existence makes it a ledger
                    (root / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise disk_error(error, root) from error
        return cls(root)

    def snapshot(self, *, strict: bool = True) -> Snapshot:
        """Read what is valid now."""
        return Snapshot(self.root, strict=strict)

    def writer(self) -> Writer:
        """Adopt what dead writers left and open a new journal."""
        self.adopt()
        return Writer(self.root)

    def adopt(self) -> int:
        """Roll the journals of dead writers into commits. Returns how many rows they held."""
        num_rows = 0
        spent = {commit.writer for commit in read_commits(self.root / "commits")}
        for folder in _journal_folders(self.root / "journal"):
            if is_alive(folder):
                continue
            try:
                lock = lock_file(folder / "lock", wait=False)
            except (BlockingIOError, FileNotFoundError):
                continue  # another run is adopting it
            with contextlib.closing(_Descriptor(lock)):
                # Another run may have adopted it between our listing and our lock.
                if folder.name not in spent and folder.is_dir():
                    spent = {commit.writer for commit in read_commits(self.root / "commits")}
                if folder.name not in spent and (rows := _read_journal(folder)):
                    _roll(self.root, folder.name, rows)
                    num_rows += sum(map(len, rows.values()))
                remove_journal(folder)
        return num_rows

    @contextlib.contextmanager
    def lock(self, name: str, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold a named lock of this ledger; wait for another run that holds it, after calling `on_wait` once."""
        path = self.root / "locks" / name
        path.parent.mkdir(exist_ok=True)
        try:
            descriptor = lock_file(path, wait=False)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            descriptor = lock_file(path, wait=True)
        with contextlib.closing(_Descriptor(descriptor)):
            yield


def write_data_file(root: Path, table: str, data: pa.Table, *, writer: str, instead_of: str = "") -> DataFile:
    """Write rows as a Parquet file of a table, named by the hash of its bytes. It is not valid before a commit.

    The writer's name is in the file, so that two commits never share one: the same rows twice are two facts.
    """
    sink = io.BytesIO()
    named = data.replace_schema_metadata({"writer": writer})
    pq.write_table(named, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS, write_statistics=True)
    return store_data_file(root, table, sink.getvalue(), num_rows=data.num_rows, instead_of=instead_of)


def store_data_file(root: Path, table: str, content: bytes, *, num_rows: int, instead_of: str = "") -> DataFile:
    """Store the bytes of a Parquet file under their hash."""
    checksum = hash_bytes(content)
    path = f"{table}/{checksum}.parquet"
    (root / table).mkdir(exist_ok=True)
    if not (root / path).is_file() or hash_file(root / path) != checksum:  # the same bytes may lie there damaged
        write_new(root / path, content)
    return DataFile(
        table=table,
        path=path,
        num_rows=num_rows,
        num_bytes=len(content),
        checksum=checksum,
        instead_of=instead_of,
    )


def to_arrow(table: str, rows: list[Row]) -> pa.Table:
    """Turn rows (missing columns are null) into Arrow data of the table's schema."""
    return pa.Table.from_pylist(rows, schema=TABLES[table].schema)


class _Descriptor:
    """A file descriptor that `contextlib.closing` can close."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        os.close(self.descriptor)


def _roll(root: Path, writer: str, rows: dict[str, list[Row]]) -> None:
    failpoint("roll")
    files = tuple(write_data_file(root, table, to_arrow(table, rows[table]), writer=writer) for table in sorted(rows))
    write_commit(root / "commits", writer=writer, action="append", files=files)
    failpoint("rolled")


def _journal_folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _read_journal(folder: Path) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    # Against the order of writing: no row is read whose own were not there yet when their log was read.
    for table in reversed(TABLES):
        with contextlib.suppress(FileNotFoundError):  # nothing of it, or rolled and removed while it was read
            log = read_log(folder / f"{table}.log")
            if log.rows:
                rows[table] = log.rows
    return rows


def _read_journals(root: Path) -> dict[str, dict[str, list[Row]]]:
    return {folder.name: _read_journal(folder) for folder in _journal_folders(root)}


def _journal_frame(table: Table, rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(to_arrow(table.name, rows)))


def _stat_problem(path: Path, file: DataFile) -> str | None:
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if size != file.num_bytes:
        return f"is damaged: {size} bytes where the ledger wrote {file.num_bytes}"
    return None
