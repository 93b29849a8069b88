"""list, show, explain, funnel, stats, sql: looking at what is there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import polars as pl
from cyclopts import Parameter, validators

from factory.cli.output import (
    JsonOption,
    LedgerOption,
    funnel_text,
    print_frame,
    print_json,
    print_table,
    printable,
)
from factory.corpus import Corpus
from factory.errors import UsageError
from factory.funnel import Funnel
from factory.ledger import Ledger, Snapshot


def register(app: cyclopts.App) -> None:
    """Add the commands."""
    app.command(list_, name="list")
    app.command(show)
    app.command(explain)
    app.command(funnel)
    app.command(stats)
    app.command(sql)


def list_(out: Path = Path("corpora"), *, json: JsonOption = False) -> None:
    """List the corpora under a folder.

    Parameters
    ----------
    out
        Folder that corpora were written to.
    """
    if not out.is_dir():
        raise UsageError(f"there is no folder {out}", hint="name the folder that `factory run --out` wrote to")
    rows = []
    for path in sorted(out.glob("*/*/manifest.json")):
        manifest = Corpus.open(path.parent).manifest
        facts = {name: manifest[name] for name in ("num_rows", "num_problems", "num_tokens")}
        rows.append({"corpus": str(path.parent), **facts})
    if json:
        print_json(rows)
        return
    print_table(
        ("corpus", "rows", "problems", "tokens"),
        [(r["corpus"], *(f"{r[n]:,}" for n in ("num_rows", "num_problems", "num_tokens"))) for r in rows],
    )


def show(
    corpus: Path,
    *,
    rows: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 3,
    config: str = "default",
    split: str = "train",
    json: JsonOption = False,
) -> None:
    """Show rows of a corpus: prompt, reasoning, answer, verdicts.

    Parameters
    ----------
    corpus
        Folder of the corpus.
    rows
        How many.
    config
        `default`, or `rejected` for the dropped traces with their reasons.
    split
        `train` or `validation`.
    """
    frame = Corpus.open(corpus).scan(config, split).head(rows).collect()
    if json:
        print_frame(frame, as_json=True)
        return
    for row in frame.iter_rows(named=True):
        _print_trace(row)


def explain(trace_id: str, *, ledger: LedgerOption = "ledger", json: JsonOption = False) -> None:
    """Tell everything about one trace: what was asked and said, every verdict with its evidence, every fate.

    Parameters
    ----------
    trace_id
        Its id, or the first characters of it.
    """
    snapshot = Ledger.open(ledger).snapshot(strict=False)
    named = pl.col("trace_id").str.starts_with(trace_id)
    ids = snapshot.scan("traces").filter(named).select("trace_id").unique().collect()["trace_id"].to_list()
    if len(ids) != 1:
        what = "no trace has" if not ids else f"{len(ids)} traces have"
        raise UsageError(
            f"{what} an id that begins with {trace_id!r}", hint="factory sql 'SELECT trace_id FROM traces'"
        )
    trace = snapshot.scan("traces").filter(trace_id=ids[0]).collect().row(0, named=True)
    of_trace = pl.col("trace_id") == ids[0]
    facts: dict[str, Any] = {
        "trace": trace,
        "problem": _one(snapshot, "problems", pl.col("problem_id") == trace["problem_id"]),
        "references": _all(snapshot, "references", pl.col("problem_id") == trace["problem_id"]),
        "origins": _all(snapshot, "origins", pl.col("problem_id") == trace["problem_id"]),
        "policy": _one(snapshot, "policies", pl.col("fingerprint") == trace["policy_fingerprint"]),
        "verdicts": _all(snapshot, "verdicts", of_trace),
        "fates": _all(snapshot, "fates", of_trace),
    }
    if json:
        print_json(facts)
        return

    def write(text: str) -> None:
        sys.stdout.write(printable(text))

    write(f"trace     {trace['trace_id']}  index {trace['index']}  seed {trace['seed']}\n")
    write(f"policy    {facts['policy']['config'] if facts['policy'] else trace['policy_fingerprint']}\n")
    for origin in facts["origins"]:
        write(f"origin    {origin['source']} row {origin['row']}  licence {origin['licence']}\n")
    for reference in facts["references"]:
        write(f"reference {printable(str(reference['reference']))}  {reference['status']}\n")
    write(f"ended     {trace['finish_reason']} after {trace['num_completion_tokens']} tokens\n\n")
    for message in facts["problem"]["prompt"] if facts["problem"] else []:
        write(f"[{message['role']}] {printable(message['content'])}\n")
    write(f"[assistant] {printable(trace['completion'])}\n\n")
    for verdict in facts["verdicts"]:
        said = f"{verdict['by']} v{verdict['version']}: {verdict['outcome']}"
        score = "" if verdict["score"] is None else f" (score {verdict['score']:g})"
        write(f"verdict   {said}{score}: {printable(verdict['reason'])}\n")
        if verdict["extracted"]:
            write(f"          judged: {printable(verdict['extracted'])[:200]!r}\n")
    for fate in facts["fates"]:
        what = (
            "kept" if fate["kept"] else f"dropped by {fate['step']}/{fate['rule']}: {printable(fate['reason'] or '')}"
        )
        write(f"fate      corpus {fate['corpus_fingerprint'][:12]}: {what}\n")


def funnel(corpus: Path, *, json: JsonOption = False) -> None:
    """Show where every problem and every trace of a corpus went, rule by rule.

    Parameters
    ----------
    corpus
        Folder of the corpus.
    """
    funnels = Corpus.open(corpus).manifest["funnels"]
    if json:
        print_json(funnels)
        return
    for title, lines in funnels.items():
        rows = tuple((line["step"], line["label"], line["rows"]) for line in lines)
        sys.stdout.write(funnel_text(Funnel(title=title, lines=rows)) + "\n\n")


def stats(corpus: Path, *, json: JsonOption = False) -> None:
    """Show a corpus's counts: domains, languages, sources, models, judges, tokens.

    Parameters
    ----------
    corpus
        Folder of the corpus.
    """
    manifest = Corpus.open(corpus).manifest
    if json:
        print_json({k: v for k, v in manifest.items() if k not in ("files", "funnels")})
        return
    for section in ("domains", "languages", "licences", "splits"):
        rows = [(name, *(f"{c[n]:,}" for n in ("rows", "problems", "tokens"))) for name, c in manifest[section].items()]
        print_table((section, "rows", "problems", "tokens"), rows)
        sys.stdout.write("\n")
    names = ("pass", "fail", "unknown")
    judged = [
        (j["judge"]["kind"], *(f"{j['outcomes'].get(n, 0):,}" for n in names), "" if j["decides"] else "measures only")
        for j in manifest["judges"]
    ]
    print_table(("judge", *names, ""), judged)
    sys.stdout.write("\n")
    print_table(("source", "rows"), [(s["source"], f"{s['rows_in_corpus']:,}") for s in manifest["sources"]])
    sys.stdout.write("\n")
    print_table(("model", "rows"), [(str(p["policy"].get("model")), f"{p['rows']:,}") for p in manifest["models"]])
    sys.stdout.write("\n")
    print_table(("tokens", ""), [(k, f"{v:,}") for k, v in manifest["tokens"].items()])


def sql(
    query: str,
    *,
    ledger: LedgerOption = "ledger",
    width: Annotated[int, Parameter(help="Widest column on a terminal.")] = 60,
    json: JsonOption = False,
) -> None:
    """Run a DuckDB query over the ledger's tables, e.g. 'SELECT finish_reason, count(*) FROM traces GROUP BY ALL'.

    Tables: problems, "references" (in double quotes), origins, sources, traces, verdicts, timings, failures, policies,
    judges, pins, fates.

    Parameters
    ----------
    query
        The query.
    """
    snapshot = Ledger.open(ledger).snapshot(strict=False)
    for damaged in snapshot.damaged:
        sys.stderr.write(f"left out {damaged.file.path}: {damaged.problem}\n")
    print_frame(snapshot.sql(query), as_json=json, max_width=width)


def _print_trace(row: dict[str, Any]) -> None:
    facts = "  ".join(printable(str(row[n])) for n in ("domain", "language", "source", "licence", "model"))
    tokens = f"  {row['num_tokens']} tokens" if row["num_tokens"] else ""
    sys.stdout.write(f"── {row['trace_id']}  {facts}{tokens}\n")
    for message in row["messages"]:
        sys.stdout.write(f"[{message['role']}] {printable(message['content'])}\n")
    verdicts = "  ".join(
        f"{v['by']}={v['outcome']}" + ("" if v["score"] is None else f"({v['score']:g})") for v in row["verdicts"]
    )
    sys.stdout.write(f"verdicts: {verdicts}\n")
    if "rule" in row:
        sys.stdout.write(f"dropped by {row['rule']}: {printable(row['reason'])}\n")
    sys.stdout.write("\n")


def _all(snapshot: Snapshot, table: str, where: pl.Expr) -> list[dict[str, Any]]:
    return snapshot.scan(table).filter(where).collect().to_dicts()


def _one(snapshot: Snapshot, table: str, where: pl.Expr) -> dict[str, Any] | None:
    rows = _all(snapshot, table, where)
    return rows[0] if rows else None
