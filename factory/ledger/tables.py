"""The tables of the ledger: their columns, types and keys. Parquet on disk, zstd, one schema per table.

A fact worth keeping is a column here. Everything volatile (times, hosts, costs) stands in `timings` and nowhere else,
so that a corpus, which is made from the other tables, is the same bytes wherever it was made.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

SCHEMA_VERSION = 1
"""Written into every commit; a ledger of a newer version is refused, an older one is migrated while it is read."""

_STR = pa.string()
_MESSAGES = pa.list_(pa.struct([("role", _STR), ("content", _STR)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: its Arrow schema and the columns that identify a row."""

    name: str
    """Name in SQL and of the folder."""
    schema: pa.Schema
    """Columns and types, in the order they stand in the files."""
    key: tuple[str, ...]
    """Columns that identify a row. Rows are facts: the first commit of a key counts where it must be unique."""

    @property
    def polars_schema(self) -> dict[str, pl.DataType]:
        """The schema as Polars types."""
        return dict(pl.from_arrow(self.schema.empty_table()).schema)  # type: ignore[union-attr]


def _table(name: str, key: tuple[str, ...], columns: list[tuple[str, pa.DataType]]) -> Table:
    return Table(name=name, schema=pa.schema(columns), key=key)


# In the order in which rows that belong together are written: a row never names one in a later table.
TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        _table(
            "problems",
            ("problem_id",),
            [("problem_id", _STR), ("domain", _STR), ("prompt", _MESSAGES), ("language", _STR)],
        ),
        _table(
            "references",
            ("problem_id", "reference_hash"),
            [
                ("problem_id", _STR),
                ("reference_hash", _STR),
                ("reference", _STR),  # canonical JSON
                ("kind", _STR),
                ("origin", _STR),  # source | majority | generated | human
                ("status", _STR),  # trusted | quarantined | superseded; the last row of a key counts
            ],
        ),
        _table(
            "origins",
            ("source_fingerprint", "position"),
            [
                ("problem_id", _STR),
                ("source", _STR),
                ("revision", _STR),
                ("row", _STR),
                ("licence", _STR),
                ("domain", _STR),  # as this source says it
                ("language", _STR),
                ("source_fingerprint", _STR),  # of one source at one revision: its row in `sources`
                ("position", pa.int64()),  # order inside the source
                ("reference_hash", _STR),  # "" where the source gives none
            ],
        ),
        _table(
            "sources",  # a row means: read to the end
            ("source_fingerprint",),
            [
                ("source_fingerprint", _STR),
                ("source", _STR),
                ("revision", _STR),
                ("config", _STR),  # canonical JSON
                ("num_rows", pa.int64()),
                ("num_bad", pa.int64()),
                ("bad_rows", pa.list_(_STR)),  # `place: message`, the first hundred
            ],
        ),
        _table("policies", ("fingerprint",), [("fingerprint", _STR), ("config", _STR)]),
        _table("judges", ("fingerprint",), [("fingerprint", _STR), ("config", _STR)]),
        _table("pins", ("key",), [("key", _STR), ("value", _STR)]),  # what `auto` was resolved to
        _table(
            "traces",
            ("trace_id",),
            [
                ("trace_id", _STR),
                ("text_hash", _STR),
                ("problem_id", _STR),
                ("policy_fingerprint", _STR),
                ("index", pa.int64()),
                ("parent", _STR),
                ("seed", pa.int64()),
                ("completion", _STR),
                ("reasoning", _STR),
                ("answer", _STR),
                ("finish_reason", _STR),  # stop | length | loop | error
                ("num_prompt_tokens", pa.int64()),
                ("num_completion_tokens", pa.int64()),
                ("token_ids", pa.list_(pa.int32())),
                ("logprobs", pa.list_(pa.float32())),
            ],
        ),
        _table(
            "failures",
            ("trace_id",),
            [
                ("trace_id", _STR),
                ("problem_id", _STR),
                ("policy_fingerprint", _STR),
                ("index", pa.int64()),
                ("class", _STR),
                ("attempts", pa.int64()),
                ("message", _STR),
            ],
        ),
        _table(
            "verdicts",
            ("trace_id", "text_hash", "judge_fingerprint", "reference_hash"),
            [
                ("trace_id", _STR),
                ("text_hash", _STR),
                ("judge_fingerprint", _STR),
                ("reference_hash", _STR),  # "" for judges that use no reference
                ("by", _STR),
                ("outcome", _STR),  # pass | fail | unknown
                ("cause", _STR),  # for unknown: permanent | transient
                ("score", pa.float64()),
                ("extracted", _STR),
                ("span", pa.list_(pa.int32())),
                ("reason", _STR),
                ("version", pa.int64()),
            ],
        ),
        _table(
            "timings",
            ("trace_id", "judge_fingerprint"),
            [
                ("trace_id", _STR),
                ("judge_fingerprint", _STR),  # null for the sampling itself
                ("engine", _STR),
                ("host", _STR),
                ("started_at", pa.float64()),
                ("seconds", pa.float64()),
                ("cost", pa.float64()),
            ],
        ),
        _table(
            "fates",
            ("corpus_fingerprint", "trace_id"),
            [
                ("corpus_fingerprint", _STR),
                ("trace_id", _STR),
                ("kept", pa.bool_()),
                ("step", _STR),  # the step that decided: sample | filter | mix
                ("rule", _STR),  # "kept", or the first rule that it failed
                ("reason", _STR),
                ("failed_rules", pa.list_(_STR)),
            ],
        ),
    )
}
