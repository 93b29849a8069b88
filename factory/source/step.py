"""The step `source`: read what is not in the ledger yet, and say which problems the recipe is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from factory.errors import UsageError
from factory.identity import canonical_json, config_json, digest, problem_id, reference_hash
from factory.ledger import Snapshot, Writer
from factory.ledger.journal import Row
from factory.lock import Lock
from factory.records import BadRow, Problem
from factory.source.source import Source
from factory.stage import Stage

_BATCH_ROWS = 1000
_NUM_LISTED_BAD_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSource:
    """A source at one revision."""

    source: Source
    """Where to read."""
    revision: str
    """Which version of it."""
    fingerprint: str
    """Hash of the configuration and the revision: key of the table `sources`."""


def pin(sources: Iterable[Source], lock: Lock) -> list[PinnedSource]:
    """Look up the revision of each source, in the lock file first. Raises UsageError if a source does not exist."""
    pinned: list[PinnedSource] = []
    for source in sources:
        key = source.lock_key
        revision = source.current_revision() if key is None else lock.get(key, source.current_revision)
        config = {name: value for name, value in config_json(source).items() if name != "revision"}
        fingerprint = digest({"config": config, "revision": revision})
        if any(other.fingerprint == fingerprint for other in pinned):
            raise UsageError(f"{source.name} stands twice in source.from, with the same settings and the same content")
        pinned.append(PinnedSource(source=source.at(revision), revision=revision, fingerprint=fingerprint))
    return pinned


def unread(snapshot: Snapshot, sources: Sequence[PinnedSource]) -> list[PinnedSource]:
    """Return the sources that are not in the ledger to their end."""
    known = set(snapshot.scan("sources").select("source_fingerprint").collect()["source_fingerprint"])
    return [s for s in sources if s.fingerprint not in known]


def run(stage: Stage, sources: Sequence[PinnedSource]) -> int:
    """Read the sources that are missing. Returns the number of rows read; bad ones are told and counted."""
    todo = unread(stage.ledger.snapshot(), sources)
    if not todo:
        return 0
    num_rows = 0
    with stage.ledger.lock("source"), stage.ledger.writer() as writer:
        for pinned in unread(stage.ledger.snapshot(), todo):
            num_rows += _read(stage, writer, pinned)
    return num_rows


def _read(stage: Stage, writer: Writer, pinned: PinnedSource) -> int:
    known = _known(stage.ledger.snapshot(), pinned)
    batch: list[tuple[int, Problem]] = []
    bad: list[str] = []
    num_rows = num_bad = 0
    for row in pinned.source.read():
        num_rows += 1
        if isinstance(row, BadRow):
            num_bad += 1
            if num_bad <= _NUM_LISTED_BAD_ROWS:
                bad.append(f"{row.place}: {row.message}")
                stage.reporter.say(f"source   skipped {row.place}: {row.message}")
            continue
        batch.append((num_rows - 1, row))
        if len(batch) == _BATCH_ROWS:
            _append(writer, pinned, batch, known)
            batch = []
    _append(writer, pinned, batch, known)
    if num_bad > _NUM_LISTED_BAD_ROWS:
        stage.reporter.say(f"source   … and {num_bad - _NUM_LISTED_BAD_ROWS:,} more bad rows")
    # Written last: its existence means that the source was read to the end.
    writer.append(
        "sources",
        [
            {
                "source_fingerprint": pinned.fingerprint,
                "source": pinned.source.name,
                "revision": pinned.revision,
                "config": canonical_json(config_json(pinned.source)),
                "num_rows": num_rows,
                "num_bad": num_bad,
                "bad_rows": bad,
            }
        ],
    )
    stage.reporter.say(f"source   {pinned.source.name}: {num_rows:,} rows" + (f", {num_bad:,} bad" if num_bad else ""))
    return num_rows


@dataclass(slots=True)
class _Known:
    problems: set[str]
    references: set[tuple[str, str]]
    origins: set[int]
    earlier: dict[str, tuple[str, str]]  # row -> (problem_id, reference_hash) in an earlier revision of this source


def _known(snapshot: Snapshot, pinned: PinnedSource) -> _Known:
    origins = snapshot.scan("origins").filter(pl.col("source") == pinned.source.name)
    earlier = origins.filter(pl.col("source_fingerprint") != pinned.fingerprint)
    same = origins.filter(pl.col("source_fingerprint") == pinned.fingerprint)
    rows = earlier.select("row", "problem_id", "reference_hash").collect()
    return _Known(
        problems=set(snapshot.scan("problems").select("problem_id").collect()["problem_id"]),
        references=set(snapshot.scan("references").select("problem_id", "reference_hash").collect().iter_rows()),
        origins=set(same.select("position").collect()["position"]),
        earlier={row: (problem, reference) for row, problem, reference in rows.iter_rows()},
    )


def _append(writer: Writer, pinned: PinnedSource, batch: list[tuple[int, Problem]], known: _Known) -> None:
    problems: list[Row] = []
    references: list[Row] = []
    origins: list[Row] = []
    for position, problem in batch:
        identity = problem_id(problem.prompt)
        if identity not in known.problems:
            known.problems.add(identity)
            problems.append(
                {
                    "problem_id": identity,
                    "domain": problem.domain,
                    "prompt": list(problem.prompt),
                    "language": problem.language,
                }
            )
        hashed = "" if problem.reference is None else reference_hash(problem.reference)
        if problem.reference is not None and (identity, hashed) not in known.references:
            known.references.add((identity, hashed))
            kind = problem.reference["kind"]
            text = canonical_json(problem.reference)
            references.append(_reference(identity, hashed, reference=text, kind=kind, status="trusted"))
            before = known.earlier.get(problem.row)
            if before is not None and before[0] == identity and before[1] not in ("", hashed):
                references.append(_reference(identity, before[1], reference=None, kind=kind, status="superseded"))
        if position not in known.origins:
            known.origins.add(position)
            origins.append(
                {
                    "problem_id": identity,
                    "source": problem.source,
                    "revision": pinned.revision,
                    "row": problem.row,
                    "licence": problem.licence,
                    "domain": problem.domain,
                    "language": problem.language,
                    "source_fingerprint": pinned.fingerprint,
                    "position": position,
                    "reference_hash": hashed,
                }
            )
    # In this order: a kill in between leaves no origin without its problem.
    writer.append("problems", problems)
    writer.append("references", references)
    writer.append("origins", origins)


def _reference(problem: str, hashed: str, *, reference: str | None, kind: str, status: str) -> Row:
    return {
        "problem_id": problem,
        "reference_hash": hashed,
        "reference": reference,
        "kind": kind,
        "origin": "source",
        "status": status,
    }
