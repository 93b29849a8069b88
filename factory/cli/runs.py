"""plan, run, status: running recipes."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter, validators

from factory.cli.output import JsonOption, LedgerOption, funnel_text, print_json, print_table, printable
from factory.ledger import Ledger
from factory.ledger.tables import TABLES
from factory.progress import TerminalReporter, clock_text
from factory.recipe import load
from factory.run_state import WRITE_SECONDS, RunState, read_runs

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
    gpu: str | None = None,
    gpus: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    price_per_gpu_hour: Annotated[float | None, Parameter(validator=validators.Number(gte=0))] = None,
    tokens_per_second: Annotated[float | None, Parameter(validator=validators.Number(gt=0))] = None,
    json: JsonOption = False,
) -> None:
    """Show what a run would do: steps, what is done already, tokens, time and cost. Starts nothing, needs no GPU.

    Parameters
    ----------
    recipe
        The recipe's YAML file.
    gpu
        Forecast for this accelerator: h100 (unless it is said), h200, a100, b200, l40s, rtx4090, mi300x or cpu.
    gpus
        How many of them in all; what the recipe's policy asks for unless it is said.
    price_per_gpu_hour
        What one costs; 2 dollars unless it is said, R1's own rate for an H800 (R1 v2, Table 7).
    tokens_per_second
        Of all engines together, instead of what the ledger or the data sheet says.
    """
    from factory import pipeline
    from factory.hardware import find_gpu
    from factory.machine import ForecastOptions

    if gpu is not None:
        find_gpu(gpu)
    reporter = TerminalReporter()
    options = ForecastOptions(
        gpu=gpu, num_gpus=gpus, price_per_gpu_hour=price_per_gpu_hour, tokens_per_second=tokens_per_second
    )
    loaded = load(recipe, set_)
    plans = pipeline.plan(loaded, ledger=ledger, out=out, models=models, reporter=reporter, options=options)
    if json:
        names = ("step", "unit", "total", "done", "note")
        print_json(
            [{n: getattr(p, n) for n in names} | {"forecasts": [f.as_json() for f in p.forecasts]} for p in plans]
        )
        return
    rows = [
        (p.step, *(("?", "?", "?") if p.total is None or p.done is None else _counts(p.total, p.done)), p.unit, p.note)
        for p in plans
    ]
    print_table(("step", "wanted", "done", "to do", "", ""), rows)
    for forecast in (f for p in plans for f in p.forecasts if f.num_traces):
        sys.stdout.flush()
        reporter.say("")
        for what, text in forecast.lines():
            reporter.say(f"{what:<8} {text}")


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
    retry_failed: Annotated[bool, Parameter(negative="")] = False,
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
    retry_failed
        Sample the slots again that were set aside for a reason that may be gone: a timeout, a server's error.
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
        retry_failed=retry_failed,
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
    """Say what runs on a ledger do, the living and the last that ended, and what is in it: rows per table, commits,
    files that are missing or cut short. Works from another shell while a run works."""
    opened = Ledger.open(ledger)
    known = read_runs(opened.root)
    runs = [run for run in known if run.alive] + [run for run in known if not run.alive][-1:]
    snapshot = opened.snapshot(strict=False)
    rows = {name: snapshot.count(name) for name in TABLES}
    size = sum(file.num_bytes for file in snapshot.files)
    facts = {
        "commits": len(snapshot.commits),
        "files": len(snapshot.files),
        "megabytes": round(size / 2**20, 1),
        "damaged": [f"{d.file.path}: {d.problem}" for d in snapshot.damaged],
    }
    if json:
        print_json({"runs": [run.as_json() for run in runs], "rows": rows, **facts})
        return
    for run in runs:
        for line in run_lines(run, now=time.time()):
            print(printable(line))  # noqa: T201 - the command's data
        if run.alive and run.reading is not None and (servers := run.reading.status.servers):
            columns = ("", "server", "state", "in flight", "limit", "done", "faults")
            figures = [(s.name, s.state, s.in_flight, s.limit, s.num_done, s.num_faults) for s in servers]
            print_table(columns, [("       ", *map(str, each)) for each in figures])
        print()  # noqa: T201 - the command's data
    print_table(("table", "rows"), [(name, f"{n:,}") for name, n in rows.items()])
    print_table(("", ""), [(k, str(v)) for k, v in facts.items() if v != []])


def run_lines(run: RunState, *, now: float) -> list[str]:
    """Say what a run does, or how it ended and how far it came."""
    where = f"process {run.pid} on {run.host}"
    if run.alive:
        silent = now - run.updated_at
        still = f", silent for {clock_text(silent)}" if silent > 5 * WRITE_SECONDS else ""
        head = f"{run.recipe} runs for {clock_text(now - run.started_at)} ({where}{still})"
    else:
        ended = {"done": "ended", "failed": "failed", "interrupted": "was interrupted", None: "was killed, last seen"}
        head = f"{run.recipe} {ended[run.outcome]} {clock_text(now - run.updated_at)} ago ({where})"
    lines = [f"run      {head}"]
    if run.message:
        lines.append(f"         {run.message}")
    lines += [f"{step:<8} {num:,} done" for step, num in run.finished.items()]
    if run.reading is not None:
        read = run.reading
        filled = round(24 * read.done / read.total) if read.total else 24
        bar = "█" * filled + "░" * (24 - filled)
        share = f"{read.done / read.total:.0%}" if read.total else ""
        lines.append(f"{run.step:<8} {bar} {read.done:,}/{read.total:,} {run.unit}  {share}")
        so_far = f"{read.tokens:,} tokens, {read.tokens_per_second_overall:,.0f} tokens/s" if read.tokens else ""
        if text := read.text() if run.alive else so_far:
            lines.append(f"         {text}")
    if not run.alive and run.outcome != "done":
        lines.append("hint: what was finished is kept; the same command goes on from there")
    return lines


def _counts(total: int, done: int) -> tuple[str, str, str]:
    return f"{total:,}", f"{done:,}", f"{total - done:,}"
