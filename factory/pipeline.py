"""Running a recipe: which steps have work to do, and doing it in order.

    plan      what would run, without running it
    run       run it: `Result`

Every step finds its own work by comparing what the recipe wants with what the ledger has, so a second run does nothing,
a killed one goes on, and a changed section redoes what depends on it and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from factory import mix, run_state, sample, verify
from factory.corpus import Corpus
from factory.errors import FactoryError, MissingExtra, PolicyError, UsageError
from factory.filter.fates import fates, trace_frame
from factory.forecast import SampleForecast, Work, forecast, forecast_note
from factory.funnel import Funnel, problem_funnel, slot_funnel
from factory.identity import config_json
from factory.judging import JudgeUse
from factory.ledger import Ledger, Snapshot, maintenance
from factory.machine import ForecastOptions
from factory.manifest import corpus_manifest
from factory.policy.model_files import BUILTIN
from factory.policy.protocol import PolicyConfig
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
    forecasts: tuple[SampleForecast, ...] = ()
    """What sampling will take, one for each policy."""


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
    unknown: str = ""
    problems: ProblemScope | None = None
    policies: list[sample.PinnedPolicy] = field(default_factory=list)
    wanted: pl.DataFrame | None = None
    slots: SlotScope | None = None
    uses: tuple[JudgeUse, ...] = ()
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
    retry_failed: bool = False,
) -> Result:
    """Run a recipe's steps that have work to do, in order.

    `only` runs one step, `until` stops after one. `retry_failed` samples the slots again that were set aside for a
    reason that may be gone (a timeout, a server's error). Raises FactoryError with what to do about it; whatever was
    finished stays in the ledger, and the same call goes on from there.
    """
    steps = _steps(recipe, only, until)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; corpora are written to a folder", hint="name another one with --out")
    opened = Ledger.open(ledger, create=True)
    with run_state.recording(opened.root, recipe=recipe.name, reporter=reporter or Reporter()) as recorded:
        stage = _stage(recipe, opened, recorded, num_workers)
        return _run(recipe, stage, steps, out, Path(models), retry_failed=retry_failed)


def _run(recipe: Recipe, stage: Stage, steps: Sequence[str], out: Path, models: Path, *, retry_failed: bool) -> Result:
    result = Result()
    if recipe.source is not None:
        stage.ledger.adopt()
        sources = source.pin(recipe.source.from_, recipe.lock)
        if "source" in steps:
            result.num_done["source"] = source.run(stage, sources)
        _run_on_problems(recipe, stage, sources, steps, out, result, retry_failed=retry_failed)
        maintenance.compact(stage.ledger, max_files=maintenance.MAX_FILES)
    if "train" in steps:
        assert recipe.train is not None
        result.model, result.num_done["train"] = train.run(stage, recipe.train, models)
    return result


def _run_on_problems(
    recipe: Recipe,
    stage: Stage,
    sources: list[source.PinnedSource],
    steps: Sequence[str],
    out: Path,
    result: Result,
    *,
    retry_failed: bool,
) -> None:
    view = _view(recipe, stage, sources, write=True)
    if view.problems is None:
        raise UsageError(
            "the sources are not in the ledger yet", hint="run the recipe without --only, or --only source"
        )
    result.funnels = [problem_funnel(view.problems)]
    if "sample" in steps:
        assert recipe.sample is not None
        assert view.slots is not None
        if retry_failed and sample.retry_failed(stage, view.slots):
            view = _view(recipe, stage, sources)
        assert view.problems is not None
        assert view.wanted is not None
        assert view.slots is not None
        had_work = not view.slots.missing.is_empty() or view.slots.num_to_continue > 0
        result.num_done["sample"] = sample.run(stage, recipe.sample, view.policies, view.problems, view.wanted)
        if had_work:  # done here, or by another run that this one waited for
            view = _view(recipe, stage, sources)
    if view.slots is None:
        return
    assert view.problems is not None
    if "verify" in steps:
        assert view.owed_verdicts is not None
        had_work = not view.owed_verdicts.is_empty()
        result.num_done["verify"] = verify.run(stage, view.uses, view.problems, view.slots)
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
    if view.slots.num_to_continue and "sample" not in steps:
        stage.reporter.say(
            f"mix      {view.slots.num_to_continue:,} traces were cut off and not continued yet; they count as they are"
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
    as_judged = recipe.model_copy(update={"verify": view.uses})
    manifest = corpus_manifest(as_judged, _resolved(recipe, view), view.snapshot, chosen, funnels)
    fingerprint = manifest["fingerprint"]
    folder = out / recipe.name / fingerprint[:12]
    if not may_write and not (folder / "manifest.json").is_file():
        raise UsageError(f"the corpus is not built yet: {folder}", hint="run the recipe without --only, or --only mix")
    with stage.ledger.lock(f"corpus-{fingerprint}"):  # another run may be at the same corpus
        _write_fates(stage, _with_continued(chosen, view), fingerprint)
        if (folder / "manifest.json").is_file():
            return Corpus.open(folder), 0
        kept = chosen.filter(pl.col("rule").is_null())
        maintenance.check_files(view.snapshot)
        stage.reporter.say(f"mix      writing {kept.height:,} rows to {folder}")
        return mix.write(stage, view.snapshot, chosen, recipe.mix, out, manifest), kept.height


def _with_continued(chosen: pl.DataFrame, view: _View) -> pl.DataFrame:
    """Add the fate of the traces in whose place their continuation stands."""
    assert view.slots is not None
    continued = view.slots.cut_off.filter(state="stored")
    return pl.concat(
        [
            chosen.select("trace_id", "rule", "reason", "failed_rules"),
            continued.select(
                "trace_id",
                rule=pl.lit("continued"),
                reason=pl.format(
                    "cut off at {} tokens; the trace {} goes on from there", "num_completion_tokens", "child"
                ),
                failed_rules=pl.lit([], dtype=pl.List(pl.String)),
            ),
        ],
        how="vertical_relaxed",
    )


def _write_fates(stage: Stage, chosen: pl.DataFrame, fingerprint: str) -> None:
    """Record the fate of every stored trace in this corpus, once."""
    known = stage.ledger.snapshot().scan("fates").filter(corpus_fingerprint=fingerprint).select("trace_id").collect()
    owed = chosen.join(known, on="trace_id", how="anti")
    if owed.is_empty():
        return
    by_mix = pl.col("rule").is_in(["out_of_scope", "per_problem", "rows"])
    by_sample = pl.col("rule") == "continued"
    rows = owed.select(
        pl.lit(fingerprint).alias("corpus_fingerprint"),
        "trace_id",
        kept=pl.col("rule").is_null(),
        step=pl.when(pl.col("rule").is_null() | by_mix)
        .then(pl.lit("mix"))
        .when(by_sample)
        .then(pl.lit("sample"))
        .otherwise(pl.lit("filter")),
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
    options: ForecastOptions | None = None,
) -> list[StepPlan]:
    """Say what a run would do and, by `options`, what its sampling will take. Reads the identities of sources and
    models; writes nothing but the lock file. What no network tells is said to be unknown."""
    steps = recipe.sections()
    plans: list[StepPlan] = []
    exists = (Path(ledger) / "commits").is_dir()
    if recipe.source is not None:
        stage = _stage(recipe, Ledger.open(ledger), reporter or Reporter(), None) if exists else None
        sources: list[source.PinnedSource] = []
        view = None
        unknown = ""
        try:
            sources = source.pin(recipe.source.from_, recipe.lock)
            view = None if stage is None else _view(recipe, stage, sources, strict=False)
        except UsageError:
            raise
        except FactoryError as error:  # the Hub does not answer, or its client is not installed
            unknown = error.message
        forecasts = () if recipe.sample is None else _forecasts(recipe, stage, view, options or ForecastOptions())
        plans += _plan_on_problems(recipe, steps, sources, view, Path(out), forecasts, unknown)
    if recipe.train is not None:
        folder = train.folder_of(recipe.name, recipe.train, Path(models))
        done = int((folder / "manifest.json").is_file())
        plans.append(StepPlan(step="train", unit="models", total=1, done=done, note=str(folder)))
    return plans


def _plan_on_problems(
    recipe: Recipe,
    steps: Sequence[str],
    sources: list[source.PinnedSource],
    view: _View | None,
    out: Path,
    forecasts: tuple[SampleForecast, ...],
    unknown: str,
) -> list[StepPlan]:
    assert recipe.source is not None
    num_read = 0 if view is None else len(sources) - view.num_unread
    note = "" if view is None or view.problems is None else f"{view.problems.kept.height:,} problems kept"
    total = len(recipe.source.from_)
    plans = [StepPlan(step="source", unit="sources", total=total, done=num_read, note=note)]
    if view is None or view.slots is None:
        why = unknown or ("" if view is None else view.unknown)
        reason = f"unknown: {why}" if why else "known once the sources are read"
        for step in steps:
            if step == "sample":
                text = ", ".join(filter(None, (forecast_note(forecasts), reason)))
                known = bool(forecasts) and all(hasattr(s, "size") for s in recipe.source.from_) and view is None
                num = sum(f.num_traces for f in forecasts) if known else None
                done = 0 if known else None
                plans.append(StepPlan(step=step, unit="traces", total=num, done=done, note=text, forecasts=forecasts))
            elif step not in ("source", "train"):
                later = "unknown, as `sample` is" if why else reason
                plans.append(StepPlan(step=step, unit="", total=None, done=None, note=later))
        return plans
    plans.append(
        StepPlan(
            step="sample",
            unit="traces",
            total=view.slots.num_requested + view.slots.cut_off.height,
            done=view.slots.num_requested
            + view.slots.cut_off.height
            - view.slots.missing.height
            - view.slots.num_to_continue,
            note=forecast_note(forecasts),
            forecasts=forecasts,
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
        sampled = view.slots.missing.is_empty() and not view.slots.num_to_continue
        ready = sampled and view.owed_verdicts is not None and view.owed_verdicts.is_empty()
        built = (folder / "manifest.json").is_file() and ready
        plans.append(StepPlan(step="mix", unit="corpora", total=1, done=int(built), note=str(folder) if ready else ""))
        if "publish" in steps:
            staged = built and (folder / "README.md").is_file()
            plans.append(StepPlan(step="publish", unit="cards", total=1, done=int(staged)))
    return plans


def _forecasts(
    recipe: Recipe, stage: Stage | None, view: _View | None, options: ForecastOptions
) -> tuple[SampleForecast, ...]:
    """Forecast what is left to sample; before the sources are read, what the recipe itself says about their size."""
    assert recipe.sample is not None
    section = recipe.sample
    snapshot = view.snapshot if view is not None else None if stage is None else stage.ledger.snapshot()
    # These run on what this machine has; what others name may well run elsewhere.
    model = getattr(section.policy, "model", None) or ""
    is_here = section.policy.kind in ("auto", "torch") or model.startswith(BUILTIN)
    works = []
    for config, fingerprint in _policies_for_plan(recipe, stage, view):
        traces, note = _traces_owed(recipe, view, config, fingerprint)
        if section.continue_truncated is not None and traces:
            limit = section.continue_truncated.max_tokens
            more = f"those that are cut off go on for up to {limit:,} tokens more, which is not counted here"
            note = f"{note}; {more}" if note else more
        if traces is not None:
            work = Work(
                config=config,
                fingerprint=fingerprint,
                traces=traces,
                max_tokens=section.max_tokens,
                note=note,
                is_here=is_here,
            )
            works.append(work)
            if section.continue_truncated is not None and (cut_off := _cut_off_owed(view, fingerprint)):
                longer = section.continue_truncated.max_tokens
                works.append(replace(work, traces=cut_off, max_tokens=longer, note="", is_continuation=True))
    return tuple(forecast(work, snapshot, options) for work in works)


def _cut_off_owed(view: _View | None, fingerprint: str | None) -> dict[str, int]:
    """Return the traces that were cut off and are to go on, by domain."""
    if view is None or view.slots is None or view.problems is None:
        return {}
    domains = view.problems.kept.select("problem_id", "domain")
    owed = view.slots.cut_off.filter(policy_fingerprint=fingerprint, state="missing").join(domains, on="problem_id")
    return dict(owed.group_by("domain").len().sort("domain").rows())


def _policies_for_plan(
    recipe: Recipe, stage: Stage | None, view: _View | None
) -> list[tuple[PolicyConfig, str | None]]:
    """Return the policies and, where they can be known here, their fingerprints."""
    assert recipe.sample is not None
    config: PolicyConfig = recipe.sample.policy
    if view is not None and view.policies:
        return [(p.config, p.fingerprint) for p in view.policies]
    if view is not None and view.unknown:
        return [(config, None)]
    try:
        if stage is not None:
            return [(p.config, p.fingerprint) for p in sample.pin(stage, recipe.sample, recipe.lock, write=False)]
        return [(concrete, None) for concrete in config.resolve()]
    except UsageError:
        raise
    except FactoryError:
        return [(config, None)]


def _traces_owed(
    recipe: Recipe, view: _View | None, config: PolicyConfig, fingerprint: str | None
) -> tuple[dict[str, int] | None, str]:
    """Return the traces to sample by domain, None where nothing says how many, and what a reader should know of it."""
    assert recipe.sample is not None
    assert recipe.source is not None
    if view is not None and view.slots is not None and view.problems is not None:
        domains = view.problems.kept.select("problem_id", "domain")
        owed = view.slots.missing.filter(policy_fingerprint=fingerprint).join(domains, on="problem_id")
        return dict(owed.group_by("domain").len().sort("domain").rows()), ""
    until = getattr(recipe.sample, "until", None)
    each = recipe.sample.group_size or getattr(until, "max", None)
    if each is None or not config.needs_group_size:
        return None, ""
    if view is not None and view.problems is not None:
        counts = view.problems.kept.group_by("domain").len().sort("domain").rows()
        return {domain: num * each for domain, num in counts}, ""
    sizes = [(str(getattr(s, "domain", "general")), getattr(s, "size", None)) for s in recipe.source.from_]
    known = [(domain, size * each) for domain, size in sizes if size is not None]
    if not known:
        return None, ""
    traces: dict[str, int] = {}
    for domain, num in known:
        traces[domain] = traces.get(domain, 0) + num
    note = (
        f"counted from the recipe: {len(known)} of {len(sizes)} sources say their size"
        if len(known) < len(sizes)
        else ""
    )
    return traces, note or "counted from the sizes in the recipe; the sources are not read yet"


def _view(
    recipe: Recipe,
    stage: Stage,
    sources: list[source.PinnedSource],
    *,
    write: bool = False,
    strict: bool = True,
) -> _View:
    snapshot = stage.ledger.snapshot()
    view = _View(snapshot=snapshot, sources=sources, num_unread=len(source.unread(snapshot, sources)))
    if view.num_unread:
        return view
    assert recipe.source is not None
    view.problems = problem_scope(snapshot, [s.fingerprint for s in sources], recipe.source.filters, recipe.seed)
    if recipe.sample is None:
        return view
    try:
        view.policies = sample.pin(stage, recipe.sample, recipe.lock, write=write)
        view.uses = verify.pin(stage, recipe.verify, recipe.lock, write=write)
    except (PolicyError, MissingExtra) as error:
        if strict:
            raise
        view.unknown = error.message
        return view
    view.wanted = sample.wanted_slots(recipe.sample, view.policies, view.problems)
    view.slots = slot_scope(snapshot, view.wanted, sample.continuations(view.policies))
    view.wanted_verdicts = verify.wanted_verdicts(view.uses, view.problems, view.slots)
    view.owed_verdicts = verify.owed_verdicts(snapshot, view.uses, view.wanted_verdicts)
    frame = trace_frame(snapshot, view.uses, view.problems, view.slots, view.wanted_verdicts)
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
        "sample": {
            "policies": [p.fingerprint for p in view.policies],
            "group_size": recipe.sample.group_size,
            **({"continued_by": sample.continuations(view.policies)} if recipe.sample.continue_truncated else {}),
        },
        "verify": [{"judge": u.fingerprint, "domains": u.domains} for u in view.uses],
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
