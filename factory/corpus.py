"""A corpus: a folder of Parquet shards, a manifest written last, and a card.

    corpora/<name>/<fingerprint>/
        data/train-00000-of-00001.parquet      configuration `default`
        rejected/…                             configuration `rejected`: dropped traces with their reasons
        manifest.json                          written after the shards: its existence means that they are whole
        README.md, recipe.yaml                 written by the step `publish`

The folder's name is the corpus fingerprint, so a changed mix is another folder, and a killed run leaves no folder or a
whole one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from factory.errors import UsageError
from factory.identity import hash_bytes, hash_file
from factory.ledger.files import disk_error, failpoint, sync_file, sync_folder, write_new

SHARD_ROWS = 20_000
"""Rows of a shard: about 400 MB of R1-length traces (mean 5,355 tokens, R1 v2, Table 5)."""
ROW_GROUP_ROWS = 1_000
"""Rows of a row group: what a reader of a few rows has to load."""

_STR = pa.string()
_MESSAGES = pa.list_(pa.struct([("role", _STR), ("content", _STR)]))
_VERDICTS = pa.list_(pa.struct([("by", _STR), ("outcome", _STR), ("score", pa.float64()), ("reason", _STR)]))

DEFAULT_SCHEMA = pa.schema(
    [
        ("messages", _MESSAGES),  # prompt and completion; the completion holds the `<think>` text
        ("reasoning", _STR),
        ("answer", _STR),
        ("domain", _STR),
        ("language", _STR),
        ("source", _STR),
        ("licence", _STR),
        ("problem_id", _STR),
        ("trace_id", _STR),
        ("model", _STR),
        ("num_tokens", pa.int64()),
        ("reference", _STR),  # JSON
        ("verdicts", _VERDICTS),
    ]
)
"""Columns of the configuration `default`; `datasets`, TRL, LLaMA-Factory and torchtune read it without conversion."""

REJECTED_SCHEMA = pa.schema([*DEFAULT_SCHEMA, ("rule", _STR), ("reason", _STR), ("failed_rules", pa.list_(_STR))])
"""Columns of the configuration `rejected`."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus on disk."""

    folder: Path
    """Its folder."""
    manifest: dict[str, Any]
    """What the folder's manifest.json says."""

    @classmethod
    def open(cls, folder: Path | str) -> Corpus:
        """Open a corpus. Raises UsageError if the folder holds none, or none that is whole."""
        folder = Path(folder)
        try:
            return cls(folder, json.loads((folder / "manifest.json").read_bytes()))
        except (FileNotFoundError, NotADirectoryError) as error:
            inner = sorted(p.parent for p in folder.glob("*/manifest.json")) if folder.is_dir() else []
            hint = f"did you mean {inner[-1]}?" if inner else "`factory run RECIPE` builds one and prints its path"
            raise UsageError(f"{folder} is no corpus: it has no manifest.json", hint=hint) from error
        except ValueError as error:
            raise UsageError(f"{folder / 'manifest.json'} is damaged: {error}") from error

    def scan(self, config: str = "default", split: str = "train") -> pl.LazyFrame:
        """Return the rows of a configuration's split, lazily. Raises UsageError if there is none."""
        files = [f["path"] for f in self.manifest["files"] if (f["config"], f["split"]) == (config, split)]
        if not files:
            known = sorted({f"{f['config']}/{f['split']}" for f in self.manifest["files"]})
            raise UsageError(f"{self.folder} has no {config}/{split}", hint=f"it has {', '.join(known)}")
        return pl.scan_parquet([self.folder / path for path in files], glob=False)

    def damaged(self) -> list[str]:
        """Return what is wrong with its files, compared with the manifest; empty if nothing is."""
        problems = []
        for file in self.manifest["files"]:
            path = self.folder / file["path"]
            if not path.is_file():
                problems.append(f"{file['path']} is missing")
            elif hash_file(path) != file["checksum"]:
                problems.append(f"{file['path']} is not what was written")
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One split of one configuration, to be written."""

    config: str
    """Configuration: `default` or `rejected`."""
    split: str
    """Split: `train` or `validation`."""
    folder: str
    """Folder of its shards inside the corpus."""
    num_rows: int
    """Rows that will come."""
    batches: Iterable[pa.Table]
    """The rows in their final order."""
    schema: pa.Schema
    """Their columns."""


def write_corpus(root: Path, name: str, fingerprint: str, parts: list[Part], manifest: dict[str, Any]) -> Corpus:
    """Write a corpus under `root/name/` and return it. `manifest` gets the list of files and the digest of the rows."""
    target = root / name / fingerprint[:12]
    building = root / name / f".{fingerprint[:12]}.building"
    shutil.rmtree(building, ignore_errors=True)
    files: list[dict[str, Any]] = []
    row_hashes: list[str] = []
    try:
        building.mkdir(parents=True)
        for part in parts:
            files += list(_write_part(building, part, row_hashes))
    except OSError as error:
        raise disk_error(error, building) from error
    # An order-free digest of the rows of `default`: the same for every version of the Parquet writer.
    whole = {**manifest, "files": files, "rows_digest": hash_bytes("".join(sorted(row_hashes)).encode())}
    write_new(building / "manifest.json", (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
    failpoint("corpus:built")
    if target.exists():  # left by a run that was killed between the rename and its last word
        shutil.rmtree(target)
    building.rename(target)
    sync_folder(target.parent)
    failpoint("corpus:named")
    return Corpus(target, whole)


def _write_part(folder: Path, part: Part, row_hashes: list[str]) -> Iterator[dict[str, Any]]:
    num_shards = max(1, -(-part.num_rows // SHARD_ROWS))
    (folder / part.folder).mkdir(exist_ok=True)
    batches = iter(part.batches)
    for shard in range(num_shards):
        path = f"{part.folder}/{part.split}-{shard:05d}-of-{num_shards:05d}.parquet"
        table = next(batches, part.schema.empty_table())
        pq.write_table(
            table.cast(part.schema),
            folder / path,
            compression="zstd",
            row_group_size=ROW_GROUP_ROWS,
            store_schema=True,
            write_statistics=True,
        )
        sync_file(folder / path)
        failpoint("corpus:shard")
        if part.config == "default":
            # Not splitlines: text may hold other line ends than the format's own.
            lines = pl.DataFrame(table).write_ndjson().removesuffix("\n").split("\n") if table.num_rows else []
            assert len(lines) == table.num_rows, (len(lines), table.num_rows)
            row_hashes.extend(hash_bytes(f"{part.split} {line}".encode()) for line in lines)
        yield {
            "config": part.config,
            "split": part.split,
            "path": path,
            "num_rows": table.num_rows,
            "num_bytes": (folder / path).stat().st_size,
            "checksum": hash_file(folder / path),
        }
