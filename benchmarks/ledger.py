"""Measure the ledger: rows appended per second, and how long it takes to find out that nothing is missing.

    python benchmarks/ledger.py --traces 200000

Writes traces of about 1 kB to a ledger in a temporary folder and prints one JSON line: append (rows/s and MB/s, journal
and Parquet together), the time of a snapshot, of the comparison of all wanted slots with the stored ones (what every
run begins with), of one SQL aggregate, and the peak memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
from pathlib import Path

import polars as pl

from factory.identity import digest
from factory.ledger import Ledger
from factory.ledger.journal import Row
from factory.scope import slot_scope

GROUP = 8
BATCH = 64


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=200_000)
    num_traces = parser.parse_args().traces
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.open(Path(folder) / "ledger", create=True)
        problems = [digest(i) for i in range(num_traces // GROUP)]
        rows: list[Row] = [row(problem, index) for problem in problems for index in range(GROUP)]
        num_bytes = sum(len(r["completion"]) for r in rows)

        start = time.perf_counter()
        with ledger.writer() as writer:
            for at in range(0, len(rows), BATCH):
                writer.append("traces", rows[at : at + BATCH])
        append_s = time.perf_counter() - start

        wanted = pl.DataFrame(
            {
                "problem_id": [p for p in problems for _ in range(GROUP)],
                "policy_fingerprint": "f" * 32,
                "index": list(range(GROUP)) * len(problems),
                "wave": 0,
                "order": [p for p in problems for _ in range(GROUP)],
            }
        )
        start = time.perf_counter()
        snapshot = ledger.snapshot()
        snapshot_s = time.perf_counter() - start
        start = time.perf_counter()
        scope = slot_scope(snapshot, wanted)
        scope_s = time.perf_counter() - start
        assert scope.missing.is_empty(), scope.missing
        start = time.perf_counter()
        snapshot.sql("SELECT finish_reason, count(*), avg(num_completion_tokens) FROM traces GROUP BY ALL")
        sql_s = time.perf_counter() - start
    print(
        json.dumps(
            {
                "benchmark": "ledger",
                "traces": len(rows),
                "append_rows_per_s": round(len(rows) / append_s),
                "append_mb_per_s": round(num_bytes / append_s / 2**20, 1),
                "snapshot_s": round(snapshot_s, 3),
                "nothing_missing_s": round(scope_s, 3),
                "sql_s": round(sql_s, 3),
                "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "machine": f"{platform.machine()}, python {platform.python_version()}",
            }
        )
    )


def row(problem: str, index: int) -> Row:
    """Make a trace of about 1 kB that compresses as text does."""
    identity = digest([problem, index])
    text = f"<think>{' '.join(digest([identity, i])[:6] for i in range(130))}</think>\n\n\\boxed{{{index}}}"
    return {
        "trace_id": identity,
        "text_hash": digest(text),
        "problem_id": problem,
        "policy_fingerprint": "f" * 32,
        "index": index,
        "seed": 1,
        "completion": text,
        "reasoning": text[7:-30],
        "answer": text[-20:],
        "finish_reason": "stop",
        "num_prompt_tokens": 20,
        "num_completion_tokens": 300,
    }


if __name__ == "__main__":
    main()
