"""Running a recipe: which steps have work to do, and doing it in order.

    plan      what would run, without running it
    run       run it: `Result`

Every step finds its own work by comparing what the recipe wants with what the ledger has, so a second run does nothing,
a killed one goes on, and a changed section redoes what depends on it and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from factory import mix, sample, verify
from factory.corpus import Corpus
from factory.errors import UsageError
from factory.filter.fates import fates, trace_frame
from factory.funnel import Funnel, problem_funnel, slot_funnel
from factory.identity import config_json
from factory.ledger import Ledger, Snapshot, maintenance
from factory.manifest import corpus_manifest
from factory.progress import Reporter
from factory.publish import step as publish
from factory.recipe import STEPS, Recipe, dump
from factory.scope import ProblemScope, SlotScope, problem_scope, slot_scope
from factory.source import step as source
from factory.stage import Stage
from factory.train import step as train


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """What one step has to do."""

    step: str
    """Name of the step."""
    unit: str
    """What is counted."""
    total: int | None
    """Units the recipe wants; None where it cannot be known yet."""
    done: int | None
    """Units that are there already."""
    note: str = ""
    """What a reader should know: tokens, a forecast, where it goes."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run leaves."""

    num_done: dict[str, int] = field(default_factory=dict)
    """Units of work done per step; all zero where nothing was left to do."""
    funnels: list[Funnel] = field(default_factory=list)
    """The problems' and the slots' funnel."""
    corpus: Corpus | None = None
    """The corpus, if the recipe makes one and it was reached."""
    model: Path | None = None
    """The trained model's folder, if the recipe trains one."""
    is_empty: bool = False
    """True if no trace passed, so that there is no corpus."""
    shortfall: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Domains of the mix that lack rows: (wanted, got)."""


@dataclass(slots=True, kw_only=True)
class _View:
    """What a recipe and its ledger say at one moment; later fields need the earlier ones."""

    snapshot: Snapshot
    sources: list[source.PinnedSource]
    num_unread: int
    problems: ProblemScope | None = None
    policies: list[sample.PinnedPolicy] = field(default_factory=list)
    wanted: pl.DataFrame | None = None
    slots: SlotScope | None = None
    wanted_verdicts: pl.DataFrame | None = None
    owed_verdicts: pl.DataFrame | None = None
    fates: pl.DataFrame | None = None


def run(
    recipe: Recipe,
    *,
    ledger: Path | str = "ledger",
    out: Path | str = "corpora",
    models: Path | str = "models",
    only: str | None = None,
    until: str | None = None,
    reporter: Reporter | None = None,
    num_workers: int | None = None,
) -> Result:
    """Run a recipe's steps that have work to do, in order.

    `only` runs one step, `until` stops after one. Raises FactoryError with what to do about it; whatever was finished
    stays in the ledger, and the same call goes on from there.
    """
    steps = _steps(recipe, only, until)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; corpora are written to a folder", hint="name another one with --out")
    stage = _stage(recipe, Ledger.open(ledger, create=True), reporter or Reporter(), num_workers)
    result = Result()
    if recipe.source is not None:
        stage.ledger.adopt()
        sources = source.pin(recipe.source.from_, recipe.lock)
        if "source" in steps:
            result.num_done["source"] = source.run(stage, sources)
        _run_on_problems(recipe, stage, sources, steps, out, result)
        maintenance.compact(stage.ledger, max_files=maintenance.MAX_FILES)
    if "train" in steps:
        assert recipe.train is not None
        result.model, result.num_done["train"] = train.run(stage, recipe.train, Path(models))
    return result


def _run_on_problems(
    recipe: Recipe,
    stage: Stage,
    sources: list[source.PinnedSource],
    steps: Sequence[str],
    out: Path,
    result: Result,
) -> None:
    view = _view(recipe, stage, sources, write=True)
    if view.problems is None:
        raise UsageError(
            "the sources are not in the ledger yet", hint="run the recipe without --only, or --only source"
        )
    result.funnels = [problem_funnel(view.problems)]
    if "sample" in steps:
        assert recipe.sample is not None
        assert view.wanted is not None
        assert view.slots is not None
        had_work = not view.slots.missing.is_empty()
        result.num_done["sample"] = sample.run(stage, recipe.sample, view.policies, view.problems, view.wanted)
        if had_work:  # done here, or by another run that this one waited for
            view = _view(recipe, stage, sources)
    if view.slots is None:
        return
    assert view.problems is not None
    if "verify" in steps:
        assert view.owed_verdicts is not None
        had_work = not view.owed_verdicts.is_empty()
        result.num_done["verify"] = verify.run(stage, recipe.verify, view.problems, view.slots)
        if had_work:
            view = _view(recipe, stage, sources)
    assert view.slots is not None
    assert view.fates is not None
    chosen = view.fates
    if recipe.mix is not None:
        chosen = mix.select(view.fates, recipe.mix, recipe.seed)
        result.shortfall = _shortfall(chosen, recipe.mix)
    result.funnels.append(slot_funnel(view.slots, chosen, _rules(recipe)))
    if recipe.mix is None or not {"mix", "publish"} & set(steps):
        return
    if chosen.filter(pl.col("rule").is_null()).is_empty():
        reasons = chosen.group_by("rule", "reason").len().sort("len", "rule", "reason", descending=[True, False, False])
        top = f"; most often {reasons['rule'][0]}: {reasons['reason'][0]}" if reasons.height else ""
        stage.reporter.say(f"mix      nothing passed, so no corpus is written{top}")
        result.is_empty = True
        return
    if not view.slots.missing.is_empty() and "sample" not in steps:
        stage.reporter.say(
            f"mix      {view.slots.missing.height:,} slots are not sampled yet; the corpus leaves them out"
        )
    assert view.owed_verdicts is not None
    if not view.owed_verdicts.is_empty():
        stage.reporter.say(f"mix      {view.owed_verdicts.height:,} verdicts are not given yet; they count as unknown")
    result.corpus, result.num_done["mix"] = _mix(recipe, stage, view, chosen, result.funnels, out, "mix" in steps)
    if "publish" in steps:
        assert recipe.publish is not None
        result.num_done["publish"] = publish.run(stage, recipe.publish, result.corpus, dump(recipe))


def _mix(
    recipe: Recipe,
    stage: Stage,
    view: _View,
    chosen: pl.DataFrame,
    funnels: list[Funnel],
    out: Path,
    may_write: bool,
) -> tuple[Corpus, int]:
    assert recipe.mix is not None
    assert view.problems is not None
    manifest = corpus_manifest(recipe, _resolved(recipe, view), view.snapshot, chosen, funnels)
    fingerprint = manifest["fingerprint"]
    folder = out / recipe.name / fingerprint[:12]
    if not may_write and not (folder / "manifest.json").is_file():
        raise UsageError(f"the corpus is not built yet: {folder}", hint="run the recipe without --only, or --only mix")
    with stage.ledger.lock(f"corpus-{fingerprint}"):  # another run may be at the same corpus
        _write_fates(stage, chosen, fingerprint)
        if (folder / "manifest.json").is_file():
            return Corpus.open(folder), 0
        kept = chosen.filter(pl.col("rule").is_null())
        maintenance.check_files(view.snapshot)
        stage.reporter.say(f"mix      writing {kept.height:,} rows to {folder}")
        return mix.write(stage, view.snapshot, chosen, recipe.mix, out, manifest), kept.height


def _write_fates(stage: Stage, chosen: pl.DataFrame, fingerprint: str) -> None:
    """Record the fate of every stored trace in this corpus, once."""
    known = stage.ledger.snapshot().scan("fates").filter(corpus_fingerprint=fingerprint).select("trace_id").collect()
    owed = chosen.join(known, on="trace_id", how="anti")
    if owed.is_empty():
        return
    by_mix = pl.col("rule").is_in(["out_of_scope", "per_problem", "rows"])
    rows = owed.select(
        pl.lit(fingerprint).alias("corpus_fingerprint"),
        "trace_id",
        kept=pl.col("rule").is_null(),
        step=pl.when(pl.col("rule").is_null() | by_mix).then(pl.lit("mix")).otherwise(pl.lit("filter")),
        rule=pl.col("rule").fill_null("kept"),
        reason=pl.col("reason"),
        failed_rules="failed_rules",
    )
    with stage.ledger.writer() as writer:
        for part in rows.iter_slices(10_000):
            writer.append("fates", part.to_dicts())


def plan(
    recipe: Recipe,
    *,
    ledger: Path | str = "ledger",
    out: Path | str = "corpora",
    models: Path | str = "models",
    reporter: Reporter | None = None,
) -> list[StepPlan]:
    """Say what a run would do. Reads the identities of sources and models; writes nothing but the lock file."""
    steps = recipe.sections()
    plans: list[StepPlan] = []
    exists = (Path(ledger) / "commits").is_dir()
    if recipe.source is not None:
        sources = source.pin(recipe.source.from_, recipe.lock)
        view = None
        if exists:
            stage = _stage(recipe, Ledger.open(ledger), reporter or Reporter(), None)
            view = _view(recipe, stage, sources)
        plans += _plan_on_problems(recipe, steps, sources, view, Path(out))
    if recipe.train is not None:
        folder = train.folder_of(recipe.name, recipe.train, Path(models))
        done = int((folder / "manifest.json").is_file())
        plans.append(StepPlan(step="train", unit="models", total=1, done=done, note=str(folder)))
    return plans


def _plan_on_problems(
    recipe: Recipe, steps: Sequence[str], sources: list[source.PinnedSource], view: _View | None, out: Path
) -> list[StepPlan]:
    num_read = 0 if view is None else len(sources) - view.num_unread
    note = "" if view is None or view.problems is None else f"{view.problems.kept.height:,} problems kept"
    plans = [StepPlan(step="source", unit="sources", total=len(sources), done=num_read, note=note)]
    if view is None or view.slots is None:
        later = [s for s in steps if s not in ("source", "train")]
        return plans + [
            StepPlan(step=s, unit="", total=None, done=None, note="known once the sources are read") for s in later
        ]
    plans.append(
        StepPlan(
            step="sample",
            unit="traces",
            total=view.slots.num_requested,
            done=view.slots.num_requested - view.slots.missing.height,
            note=_token_forecast(recipe, view),
        )
    )
    if "verify" in steps:
        assert view.wanted_verdicts is not None
        assert view.owed_verdicts is not None
        still = f"of the {view.slots.stored.height:,} traces stored so far" if view.slots.missing.height else ""
        total = view.wanted_verdicts.height
        plans.append(
            StepPlan(step="verify", unit="verdicts", total=total, done=total - view.owed_verdicts.height, note=still)
        )
    if "filter" in steps:
        plans.append(
            StepPlan(
                step="filter",
                unit="rules",
                total=len(recipe.filter),
                done=len(recipe.filter),
                note="costs nothing: expressions over stored verdicts",
            )
        )
    if "mix" in steps:
        assert recipe.mix is not None
        assert view.fates is not None
        chosen = mix.select(view.fates, recipe.mix, recipe.seed)
        assert view.problems is not None
        funnels = [problem_funnel(view.problems), slot_funnel(view.slots, chosen, _rules(recipe))]
        manifest = corpus_manifest(recipe, _resolved(recipe, view), view.snapshot, chosen, funnels)
        folder = out / recipe.name / manifest["fingerprint"][:12]
        ready = view.slots.missing.is_empty() and view.owed_verdicts is not None and view.owed_verdicts.is_empty()
        built = (folder / "manifest.json").is_file() and ready
        plans.append(StepPlan(step="mix", unit="corpora", total=1, done=int(built), note=str(folder) if ready else ""))
        if "publish" in steps:
            staged = built and (folder / "README.md").is_file()
            plans.append(StepPlan(step="publish", unit="cards", total=1, done=int(staged)))
    return plans


def _token_forecast(recipe: Recipe, view: _View) -> str:
    assert view.slots is not None
    assert recipe.sample is not None
    num_missing = view.slots.missing.height
    if not num_missing:
        return ""
    if view.slots.stored.is_empty():
        return f"at most {num_missing * recipe.sample.max_tokens:,} tokens"
    mean = float(view.slots.stored["num_completion_tokens"].mean() or 0.0)  # type: ignore[arg-type]
    ids = view.slots.stored.lazy().select("trace_id")
    timings = (
        view.snapshot.scan("timings").filter(pl.col("judge_fingerprint").is_null()).join(ids, on="trace_id", how="semi")
    )
    spans = timings.select(
        start=pl.col("started_at").min(), end=(pl.col("started_at") + pl.col("seconds")).max()
    ).collect()
    text = f"about {num_missing * mean:,.0f} tokens ({mean:,.0f} each so far)"
    start, end = spans.row(0)
    if start and end and end > start:
        seconds = num_missing * (end - start) / view.slots.stored.height
        text += f", about {seconds / 60:,.1f} min at the rate so far"
    return text


def _view(recipe: Recipe, stage: Stage, sources: list[source.PinnedSource], *, write: bool = False) -> _View:
    snapshot = stage.ledger.snapshot()
    view = _View(snapshot=snapshot, sources=sources, num_unread=len(source.unread(snapshot, sources)))
    if view.num_unread:
        return view
    assert recipe.source is not None
    view.problems = problem_scope(snapshot, [s.fingerprint for s in sources], recipe.source.filters, recipe.seed)
    if recipe.sample is None:
        return view
    view.policies = sample.pin(stage, recipe.sample, recipe.lock, write=write)
    view.wanted = sample.wanted_slots(recipe.sample, view.policies, view.problems)
    view.slots = slot_scope(snapshot, view.wanted)
    view.wanted_verdicts = verify.wanted_verdicts(recipe.verify, view.problems, view.slots)
    view.owed_verdicts = verify.owed_verdicts(snapshot, recipe.verify, view.wanted_verdicts)
    frame = trace_frame(snapshot, recipe.verify, view.problems, view.slots, view.wanted_verdicts)
    view.fates = fates(frame, recipe.filter)
    return view


def _resolved(recipe: Recipe, view: _View) -> dict[str, Any]:
    """Return the sections with everything that was looked up put in: what the corpus fingerprint is made of."""
    assert recipe.source is not None
    assert recipe.sample is not None
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        "source": {
            "from": [s.fingerprint for s in view.sources],
            "filters": [config_json(f) for f in recipe.source.filters],
        },
        "sample": {"policies": [p.fingerprint for p in view.policies], "group_size": recipe.sample.group_size},
        "verify": [{"judge": u.fingerprint, "domains": u.domains} for u in recipe.verify],
        "filter": [config_json(f) for f in recipe.filter],
        "mix": config_json(recipe.mix) if recipe.mix is not None else None,
    }


def _rules(recipe: Recipe) -> tuple[str, ...]:
    return tuple(filter_.kind for filter_ in recipe.filter)


def _shortfall(chosen: pl.DataFrame, section: mix.MixSection) -> dict[str, tuple[int, int]]:
    got = dict(chosen.filter(pl.col("rule").is_null()).group_by("domain").len().rows())
    wanted: dict[str, int] = {str(d): n for d, n in (section.rows or {}).items()}
    return {d: (n, got.get(d, 0)) for d, n in wanted.items() if got.get(d, 0) < n}


def _steps(recipe: Recipe, only: str | None, until: str | None) -> list[str]:
    steps = recipe.sections()
    for name in (only, until):
        if name is not None and name not in steps:
            raise UsageError(
                f"the recipe has no step {name!r}" if name in STEPS else f"there is no step {name!r}",
                hint=f"its steps are {', '.join(steps)}",
            )
    if only is not None:
        return [only]
    return steps if until is None else steps[: steps.index(until) + 1]


def _stage(recipe: Recipe, ledger: Ledger, reporter: Reporter, num_workers: int | None) -> Stage:
    stage = Stage(name=recipe.name, seed=recipe.seed, ledger=ledger, reporter=reporter)
    if num_workers is None:
        return stage
    return Stage(name=recipe.name, seed=recipe.seed, ledger=ledger, reporter=reporter, num_workers=num_workers)
