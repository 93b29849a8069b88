"""plan, run, status: running recipes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter, validators

from factory.cli.output import JsonOption, LedgerOption, funnel_text, print_json, print_table
from factory.ledger import Ledger
from factory.ledger.tables import TABLES
from factory.progress import TerminalReporter
from factory.recipe import load

SetOption = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="Override a value, e.g. --set sample.group_size=4. Can be repeated."),
]
OutOption = Annotated[Path, Parameter(name="--out", help="Folder that corpora are written to.")]
ModelsOption = Annotated[Path, Parameter(name="--models", help="Folder that trained models are written to.")]


def register(app: cyclopts.App) -> None:
    """Add the commands."""
    app.command(plan)
    app.command(run)
    app.command(status)


def plan(
    recipe: Path,
    *,
    set_: SetOption = (),
    ledger: LedgerOption = "ledger",
    out: OutOption = Path("corpora"),
    models: ModelsOption = Path("models"),
    json: JsonOption = False,
) -> None:
    """Show what a run would do: steps, what is done already, tokens and time. Starts nothing.

    Parameters
    ----------
    recipe
        The recipe's YAML file.
    """
    from factory import pipeline

    plans = pipeline.plan(load(recipe, set_), ledger=ledger, out=out, models=models, reporter=TerminalReporter())
    if json:
        print_json([{name: getattr(p, name) for name in ("step", "unit", "total", "done", "note")} for p in plans])
        return
    rows = [
        (p.step, *(("?", "?", "?") if p.total is None or p.done is None else _counts(p.total, p.done)), p.unit, p.note)
        for p in plans
    ]
    print_table(("step", "wanted", "done", "to do", "", ""), rows)


def run(
    recipe: Path,
    *,
    only: str | None = None,
    until: str | None = None,
    set_: SetOption = (),
    ledger: LedgerOption = "ledger",
    out: OutOption = Path("corpora"),
    models: ModelsOption = Path("models"),
    workers: Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=4096))] = None,
    json: JsonOption = False,
) -> int:
    """Run a recipe: what is missing, in order. Prints the corpus's path. Stop it at any time; the same command goes on.

    Parameters
    ----------
    recipe
        The recipe's YAML file.
    only
        Run this step alone: source, sample, verify, filter, mix, publish or train.
    until
        Stop after this step.
    workers
        Processes that judge; the number of cores unless it is said, 0 for this one.
    """
    from factory import pipeline

    reporter = TerminalReporter()
    started = time.monotonic()
    loaded = load(recipe, set_)
    result = pipeline.run(
        loaded,
        ledger=ledger,
        out=out,
        models=models,
        only=only,
        until=until,
        reporter=reporter,
        num_workers=workers,
    )
    for funnel in result.funnels:
        reporter.say("\n" + funnel_text(funnel))
    for domain, (wanted, got) in result.shortfall.items():
        reporter.say(f"\nthe mix lacks rows of domain {domain}: {got:,} of {wanted:,}")
    seconds = time.monotonic() - started
    did = ", ".join(f"{step} {num:,}" for step, num in result.num_done.items() if num)
    reporter.say(f"\n{'done' if did else 'nothing to do: everything is there already'} ({did or f'{seconds:.1f} s'})")
    if did:
        reporter.say(f"took {seconds:.0f} s")
    if json:
        print_json(
            {
                "corpus": None if result.corpus is None else str(result.corpus.folder),
                "model": None if result.model is None else str(result.model),
                "done": result.num_done,
                "funnels": {f.title: f.as_json() for f in result.funnels},
                "shortfall": {d: {"wanted": w, "got": g} for d, (w, g) in result.shortfall.items()},
                "seconds": round(seconds, 1),
            }
        )
    else:
        for path in (result.corpus.folder if result.corpus else None, result.model):
            if path is not None:
                print(path)  # noqa: T201 - the command's data
    if result.corpus is not None:
        reporter.say(f"next: factory show {result.corpus.folder}")
    return 1 if result.is_empty else 0


def status(*, ledger: LedgerOption = "ledger", json: JsonOption = False) -> None:
    """Say what is in a ledger: rows per table, commits, files that are missing or cut short."""
    snapshot = Ledger.open(ledger).snapshot(strict=False)
    rows = {name: snapshot.count(name) for name in TABLES}
    size = sum(file.num_bytes for file in snapshot.files)
    facts = {
        "commits": len(snapshot.commits),
        "files": len(snapshot.files),
        "megabytes": round(size / 2**20, 1),
        "damaged": [f"{d.file.path}: {d.problem}" for d in snapshot.damaged],
    }
    if json:
        print_json({"rows": rows, **facts})
        return
    print_table(("table", "rows"), [(name, f"{n:,}") for name, n in rows.items()])
    print_table(("", ""), [(k, str(v)) for k, v in facts.items() if v != []])


def _counts(total: int, done: int) -> tuple[str, str, str]:
    return f"{total:,}", f"{done:,}", f"{total - done:,}"
