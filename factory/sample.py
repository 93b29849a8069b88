"""The step `sample`: fill the slots that have no trace yet.

    SampleSection     what a recipe says
    open_policies     the concrete policies it stands for, `auto` pinned in the ledger
    wanted_slots      every (problem, policy, index) the recipe asks for
    run               sample what is missing

One request per slot, with the slot's own seed. Where a policy's text depends on what is sampled together (`unit_size`),
slots go out in fixed units that are stored as a whole, so that a killed run, continued, gives the same text.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import Field, TypeAdapter

from factory.errors import UsageError
from factory.identity import canonical_json, config_json, digest, seed_of, text_hash, trace_id
from factory.ledger import Snapshot, Writer
from factory.ledger.journal import Row
from factory.lock import Lock
from factory.policy.kinds import AnyPolicy
from factory.policy.protocol import Policy, PolicyConfig, PromptForm, Sampling
from factory.records import Completion, Failure, Slot
from factory.scope import ProblemScope, SlotScope, slot_scope, wave_of
from factory.stage import Stage
from verifiers.extract import split_reasoning

_FLUSH_ROWS = 64
_NUM_LISTED = 20
_FLUSH_SECONDS = 1.0


class SampleSection(Sampling):
    """Which policy completes the problems, how often and how."""

    policy: AnyPolicy
    """The policy."""
    group_size: int | None = Field(default=None, ge=1, le=1024)
    """Completions per problem; R1's RL used 16 (R1 v2, 2.1). Recorded policies give all they have unless it is set."""
    prompt: PromptForm = Field(default_factory=PromptForm)
    """How a problem becomes the text that is continued."""

    def sampling(self) -> Sampling:
        """Return the sampling parameters alone."""
        return Sampling(**{name: getattr(self, name) for name in Sampling.model_fields})


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPolicy:
    """A concrete policy and its fingerprint."""

    config: PolicyConfig
    """What opens it."""
    fingerprint: str
    """Hash of all that decides what it samples."""


def pin(stage: Stage, section: SampleSection, lock: Lock, *, write: bool = True) -> list[PinnedPolicy]:
    """Return the policies a section stands for, in order. What `auto` became stays so for this ledger, and what a name
    on the Hub stood for is in the lock file.

    Raises PolicyError or UsageError if a model or a file does not exist.
    """
    config: PolicyConfig = section.policy
    if config.kind == "auto":
        config = _pin_auto(stage, config, write=write)
    if (key := config.lock_key) is not None:
        config = config.at(lock.get(key, config.current_revision))
    policies = []
    for concrete in config.resolve():
        if concrete.needs_group_size and section.group_size is None:
            raise UsageError("sample.group_size is missing", hint="say how many completions each problem gets, e.g. 8")
        fingerprint = concrete.fingerprint(section.sampling(), section.prompt)
        policies.append(PinnedPolicy(config=concrete, fingerprint=fingerprint))
    return policies


def wanted_slots(section: SampleSection, policies: Sequence[PinnedPolicy], scope: ProblemScope) -> pl.DataFrame:
    """Return the slots a recipe asks for: problem_id, policy_fingerprint, index, wave, order."""
    parts = []
    num_matched = num_recorded = 0
    for policy in policies:
        problems = scope.kept.select("problem_id", "order")
        if policy.config.needs_group_size:
            assert section.group_size is not None
            indices = [list(range(section.group_size))] * problems.height
        else:
            rows = scope.kept.select("source", "row", "prompt").iter_rows(named=True)
            indices = [list(policy.config.available(r["source"], r["row"], r["prompt"]) or ()) for r in rows]
            num_recorded += policy.config.num_completions() or 0
            num_matched += _check_matches(indices)
            indices = [each[: section.group_size] for each in indices]
        parts.append(
            problems.with_columns(
                index=pl.Series(indices, dtype=pl.List(pl.Int64)),
                wave=pl.Series([[wave_of(i) for i in range(len(each))] for each in indices], dtype=pl.List(pl.Int64)),
                policy_fingerprint=pl.lit(policy.fingerprint),
            )
            .explode("index", "wave")
            .drop_nulls("index")
        )
    bad = [row for policy in policies for row in policy.config.bad_rows()]
    if bad and not num_recorded:
        raise UsageError(f"no row holds a completion: {bad[0].message}", place=bad[0].place)
    if num_recorded and not num_matched and not scope.kept.is_empty():
        raise UsageError(
            f"none of the {num_recorded:,} recorded completions belongs to a problem of this recipe",
            hint="sample.policy.columns.problem must hold what the source's `id` column holds, or map `prompt`",
        )
    if not parts:
        raise UsageError("the recorded completions name no model", hint="look at the column mapped to `model`")
    return pl.concat(parts).select("problem_id", "policy_fingerprint", "index", "order", "wave")


def _check_matches(indices: Sequence[Sequence[int]]) -> int:
    """Count the recorded completions that belong to problems. Raises UsageError if one belongs to two."""
    rows = [row for each in indices for row in each]
    if len(set(rows)) < len(rows):
        raise UsageError(
            "two problems of this recipe have the same key, so a recorded completion belongs to both",
            hint="set sample.policy.source to the source it answers, e.g. local:problems.jsonl, or map `prompt`",
        )
    return len(rows)


def run(
    stage: Stage, section: SampleSection, policies: Sequence[PinnedPolicy], scope: ProblemScope, wanted: pl.DataFrame
) -> int:
    """Sample every missing slot. Returns how many were filled or failed for good."""
    _report_recorded(stage, policies, wanted)
    missing = slot_scope(stage.ledger.snapshot(), wanted).missing
    if missing.is_empty():
        return 0
    num_done = 0
    with stage.reporter.task("sample", missing.height, "traces") as task:
        for policy in policies:
            if missing.filter(policy_fingerprint=policy.fingerprint).is_empty():
                continue

            def waiting() -> None:
                stage.reporter.say("sample   another run is sampling this policy; waiting for it")

            # Two runs on one policy: the second waits, then sees what is still missing.
            with stage.ledger.lock(f"sample-{policy.fingerprint}", on_wait=waiting):
                ours = wanted.filter(policy_fingerprint=policy.fingerprint)
                todo = slot_scope(stage.ledger.snapshot(), ours)
                tokens, start = 0, time.monotonic()
                for batch in _sample(stage, section, policy, scope, ours, todo):
                    num_done += len(batch)
                    tokens += sum(c.num_completion_tokens for c in batch if isinstance(c, Completion))
                    rate = tokens / max(time.monotonic() - start, 1e-9)
                    task.advance(len(batch), note=f"{rate:,.0f} tokens/s" if tokens else "")
    return num_done


def _report_recorded(stage: Stage, policies: Sequence[PinnedPolicy], wanted: pl.DataFrame) -> None:
    """Say which recorded completions are not used: nothing is lost silently."""
    counts = [policy.config.num_completions() for policy in policies]
    if None in counts:
        return
    unused = sum(c or 0 for c in counts) - wanted.height
    if unused > 0:
        stage.reporter.say(
            f"sample   {unused:,} recorded completions belong to no problem that is kept, or are above group_size"
        )
    for bad in policies[0].config.bad_rows()[:_NUM_LISTED]:
        stage.reporter.say(f"sample   skipped {bad.place}: {bad.message}")
    if (more := len(policies[0].config.bad_rows()) - _NUM_LISTED) > 0:
        stage.reporter.say(f"sample   … and {more:,} more rows that hold no completion")


def _sample(
    stage: Stage,
    section: SampleSection,
    pinned: PinnedPolicy,
    scope: ProblemScope,
    wanted: pl.DataFrame,
    todo: SlotScope,
) -> Iterator[list[Completion | Failure]]:
    if todo.missing.is_empty():
        return
    policy = pinned.config.open(section.sampling(), section.prompt)
    assert policy.fingerprint == pinned.fingerprint, (policy.description, pinned.config)
    try:
        with stage.ledger.writer() as writer:
            _describe(stage.ledger.snapshot(), writer, policy)
            problems = {row["problem_id"]: row for row in scope.kept.select(*_SLOT_COLUMNS).iter_rows(named=True)}
            if policy.unit_size is None:
                pending: dict[str, Slot] = {}
                slots = _slots(todo.missing, problems, policy.fingerprint, pending)
                for batch in _batches(policy.sample(slots)):
                    _append(writer, policy, batch, pending)
                    yield batch
            else:
                for unit in _units(wanted, todo.missing, policy.unit_size):
                    pending = {}
                    batch = list(policy.sample(list(_slots(unit, problems, policy.fingerprint, pending))))
                    assert {r.trace_id for r in batch} == pending.keys(), "a policy answers every slot once"
                    _append(writer, policy, batch, pending)
                    yield batch
    finally:
        policy.close()


_SLOT_COLUMNS = ("problem_id", "prompt", "source", "row")


def _slots(rows: pl.DataFrame, problems: dict[str, Row], fingerprint: str, pending: dict[str, Slot]) -> Iterator[Slot]:
    """Yield slots and note each in `pending` until its result comes."""
    for problem_id, index in rows.select("problem_id", "index").iter_rows():
        problem = problems[problem_id]
        identity = trace_id(problem_id, fingerprint, index)
        pending[identity] = Slot(
            trace_id=identity,
            problem_id=problem_id,
            prompt=problem["prompt"],
            index=index,
            seed=seed_of(identity),
            source=problem["source"],
            row=problem["row"],
        )
        yield pending[identity]


def _units(wanted: pl.DataFrame, missing: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Cut the wanted slots, stored or not, into fixed units, wave by wave; yield what each still misses."""
    ordered = wanted.sort("wave", "order", "index").with_columns(unit=pl.int_range(pl.len()).over("wave") // size)
    owed = ordered.join(missing.select("problem_id", "index"), on=["problem_id", "index"], how="semi")
    yield from owed.sort("wave", "order", "index").partition_by("wave", "unit", maintain_order=True)


def _batches(results: Iterator[Completion | Failure]) -> Iterator[list[Completion | Failure]]:
    """Group results as they come: few enough that a kill loses little, enough to be one write."""
    batch: list[Completion | Failure] = []
    since = time.monotonic()
    for result in results:
        batch.append(result)
        if len(batch) >= _FLUSH_ROWS or time.monotonic() - since > _FLUSH_SECONDS:
            yield batch
            batch, since = [], time.monotonic()
    if batch:
        yield batch


def _append(writer: Writer, policy: Policy, batch: list[Completion | Failure], pending: dict[str, Slot]) -> None:
    traces: list[Row] = []
    failures: list[Row] = []
    timings: list[Row] = []
    for result in batch:
        slot = pending.pop(result.trace_id)
        if isinstance(result, Failure):
            failures.append(
                {
                    "trace_id": slot.trace_id,
                    "problem_id": slot.problem_id,
                    "policy_fingerprint": policy.fingerprint,
                    "index": slot.index,
                    "class": result.error,
                    "attempts": 1,
                    "message": result.message,
                }
            )
            continue
        traces.append(_trace(result, slot, policy.fingerprint))
        timings.append(
            {
                "trace_id": slot.trace_id,
                "engine": policy.engine,
                "host": _HOST,
                "started_at": result.started_at,
                "seconds": result.seconds,
            }
        )
    writer.append("traces", traces)
    writer.append("failures", failures)
    writer.append("timings", timings)


_HOST = socket.gethostname()


def _trace(completion: Completion, slot: Slot, fingerprint: str) -> Row:
    # A lone surrogate is no Unicode and no file can hold it; U+FFFD says that something stood there.
    text = completion.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    parts = split_reasoning(text)
    return {
        "trace_id": slot.trace_id,
        "text_hash": text_hash(text),
        "problem_id": slot.problem_id,
        "policy_fingerprint": fingerprint,
        "index": slot.index,
        "seed": slot.seed,
        "completion": text,
        "reasoning": parts.reasoning,
        "answer": parts.answer,
        "finish_reason": completion.finish_reason,
        "num_prompt_tokens": completion.num_prompt_tokens,
        "num_completion_tokens": completion.num_completion_tokens,
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
    }


def _describe(snapshot: Snapshot, writer: Writer, policy: Policy) -> None:
    known = snapshot.scan("policies").filter(fingerprint=policy.fingerprint).collect()
    if known.is_empty():
        row = {"fingerprint": policy.fingerprint, "config": canonical_json(policy.description)}
        writer.append("policies", [row])


def _pin_auto(stage: Stage, config: PolicyConfig, *, write: bool) -> PolicyConfig:
    key = digest({"policy": config_json(config)})
    pins = stage.ledger.snapshot().scan("pins").filter(key=key).collect()
    if pins.is_empty():
        (resolved,) = config.resolve()
        kind = resolved.kind
        stage.reporter.say(f"sample   policy auto: {kind}")
        if write:
            with stage.ledger.writer() as writer:
                writer.append("pins", [{"key": key, "value": kind}])
    else:
        kind = pins["value"][0]
    concrete: PolicyConfig = TypeAdapter(AnyPolicy).validate_python(
        {**config.model_dump(exclude={"kind"}), "kind": kind}
    )
    return concrete
