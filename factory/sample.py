"""The step `sample`: fill the slots that have no trace yet.

    SampleSection     what a recipe says
    open_policies     the concrete policies it stands for, `auto` pinned in the ledger
    wanted_slots      every (problem, policy, index) the recipe asks for
    run               sample what is missing, then continue what was cut off
    retry_failed      take back the failures that may not happen again

One request per slot, with the slot's own seed. Where a policy's text depends on what is sampled together (`unit_size`),
slots go out in fixed units that are stored as a whole, so that a killed run, continued, gives the same text. Everywhere
else what finishes is stored within a second. A slot that has no completion is set aside with class and message, and
never ends the run.
"""

from __future__ import annotations

import math
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import polars as pl
from pydantic import Field

from factory.config import Config
from factory.errors import PolicyError, UsageError
from factory.identity import canonical_json, seed_of, text_hash, trace_id
from factory.ledger import Snapshot, Writer
from factory.ledger.journal import Row
from factory.lock import Lock
from factory.policy.kinds import AnyPolicy
from factory.policy.model_files import model_name
from factory.policy.pinning import pin_policy
from factory.policy.protocol import Policy, PolicyConfig, PromptForm, Sampling
from factory.progress import Task
from factory.records import Completion, Failure, Slot
from factory.scope import AGAIN, ProblemScope, SlotScope, slot_scope, wave_of
from factory.stage import Stage
from verifiers.extract import split_reasoning

_FLUSH_ROWS = 64
_FLUSH_SECONDS = 1.0
_NUM_LISTED = 20
_NUM_TEXTS = 256
"""Cut-off traces whose text is read at once."""

PERMANENT = frozenset({"not_recorded", "prompt_form"})
"""Classes of failures that nothing outside the policy's identity can change. A prompt that was too long may fit into a
larger `max_model_len`, and another endpoint may take what one refused."""


class ContinueTruncated(Config):
    """Traces that hit their token limit go on, as traces of their own that know their parent."""

    max_tokens: int = Field(ge=1)
    """Most tokens that are added."""


class SampleSection(Sampling):
    """Which policy completes the problems, how often and how."""

    policy: AnyPolicy
    """The policy."""
    group_size: int | None = Field(default=None, ge=1, le=1024)
    """Completions per problem; R1's RL used 16 (R1 v2, 2.1). Recorded policies give all they have unless it is set."""
    prompt: PromptForm = Field(default_factory=PromptForm)
    """How a problem becomes the text that is continued."""
    continue_truncated: ContinueTruncated | None = None
    """Whether traces that were cut off at `max_tokens` go on. The continuation takes the place of what it continues."""

    def sampling(self) -> Sampling:
        """Return the sampling parameters alone."""
        return Sampling(**{name: getattr(self, name) for name in Sampling.model_fields})

    def continuing(self) -> Sampling | None:
        """Return the sampling parameters of continuations, if there are to be any."""
        if self.continue_truncated is None:
            return None
        return self.sampling().model_copy(update={"max_tokens": self.continue_truncated.max_tokens})


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPolicy:
    """A concrete policy and its fingerprint."""

    config: PolicyConfig
    """What opens it."""
    fingerprint: str
    """Hash of all that decides what it samples."""
    continuation: str | None = None
    """Fingerprint of the policy that continues its traces, if the recipe asks for that."""


def continuations(policies: Sequence[PinnedPolicy]) -> dict[str, str]:
    """Return the fingerprint of the continuing policy of each policy that has one."""
    return {p.fingerprint: p.continuation for p in policies if p.continuation is not None}


def pin(stage: Stage, section: SampleSection, lock: Lock, *, write: bool = True) -> list[PinnedPolicy]:
    """Return the policies a section stands for, in order. What `auto` became stays so for this ledger, and what a name
    on the Hub stood for is in the lock file.

    Raises PolicyError or UsageError if a model or a file does not exist.
    """
    config = pin_policy(stage, section.policy, lock, step="sample", write=write)
    policies = []
    for concrete in config.resolve():
        if concrete.needs_group_size and section.group_size is None:
            raise UsageError("sample.group_size is missing", hint="say how many completions each problem gets, e.g. 8")
        fingerprint = concrete.fingerprint(section.sampling(), section.prompt)
        continuation = None
        if (continuing := section.continuing()) is not None:
            if not concrete.needs_group_size:
                raise UsageError(
                    "sample.continue_truncated: recorded completions cannot go on", hint="remove it, or sample anew"
                )
            continuation = concrete.fingerprint(continuing, section.prompt)
        policies.append(PinnedPolicy(config=concrete, fingerprint=fingerprint, continuation=continuation))
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
    """Sample every missing slot, then continue what was cut off. Returns how many were filled or set aside."""
    _report_recorded(stage, policies, wanted)
    num_done = 0
    before = slot_scope(stage.ledger.snapshot(), wanted)
    _report_unkept(stage, section, before)
    if not before.missing.is_empty():
        for policy in policies:
            num_done += _locked(stage, policy, partial(_sample_missing, stage, section, policy, scope, wanted))
    for policy in policies:
        if policy.continuation is not None:
            num_done += _locked(stage, policy, partial(_continue, stage, section, policy, scope, wanted))
    _report_failed(stage, slot_scope(stage.ledger.snapshot(), wanted, continuations(policies)))
    return num_done


def _report_unkept(stage: Stage, section: SampleSection, slots: SlotScope) -> None:
    """Say if traces that are stored lack what the recipe asks for now: it is no part of what is sampled."""
    names = [name for name in ("token_ids", "logprobs") if getattr(section, name)]
    if not names or slots.stored.is_empty():
        return
    ours = slots.stored.lazy().select("trace_id")
    lacking = stage.ledger.snapshot().slots(*names, "parent").join(ours, on="trace_id", how="semi")
    counts = lacking.filter(pl.col("parent").is_null()).select(pl.col(names).is_null().sum()).collect()
    for name in names:
        if num := counts[name].item():
            stage.reporter.say(f"sample   {num:,} stored traces were sampled without `{name}` and stay as they are")


def _report_failed(stage: Stage, slots: SlotScope) -> None:
    """Say which slots were set aside, with an example of each class: a bar that is full would hide them."""
    for (name,), rows in slots.failed.group_by("class", maintain_order=True):
        again = "" if name in PERMANENT else "; --retry-failed samples them again"
        stage.reporter.say(f"sample   {rows.height:,} slots set aside: {name}, e.g. {rows['message'][0]}{again}")
    if num := slots.cut_off.filter(state="failed").height:
        stage.reporter.say(f"sample   {num:,} traces could not be continued")


def retry_failed(stage: Stage, slots: SlotScope) -> int:
    """Take back the failures of a recipe's slots that may not happen again. Returns how many."""
    children = slots.cut_off.filter(state="failed")
    failures = stage.ledger.snapshot().scan("failures").unique("trace_id", keep="last", maintain_order=True)
    ids = [*slots.failed["trace_id"], *children["child"]]
    rows = failures.filter(pl.col("trace_id").is_in(ids), ~pl.col("class").is_in([*PERMANENT, AGAIN])).collect()
    if not rows.is_empty():
        with stage.ledger.writer() as writer:
            writer.append("failures", rows.with_columns(pl.lit(AGAIN).alias("class")).to_dicts())
    return rows.height


def _open(stage: Stage, pinned: PinnedPolicy, sampling: Sampling, form: PromptForm) -> Policy:
    name = getattr(pinned.config, "model", None)
    if pinned.config.needs_group_size and name:
        name = name if getattr(pinned.config, "urls", ()) else model_name(name)
        stage.reporter.say(f"sample   starting {name} ({pinned.config.kind})")
    return pinned.config.open(sampling, form)


def _locked(stage: Stage, policy: PinnedPolicy, work: Callable[[], int]) -> int:
    """Work while no other run samples this policy: the second of two waits, then sees what is still missing."""

    def waiting() -> None:
        stage.reporter.say("sample   another run is sampling this policy; waiting for it")

    with stage.ledger.lock(f"sample-{policy.fingerprint}", on_wait=waiting):
        return work()


def _sample_missing(
    stage: Stage, section: SampleSection, pinned: PinnedPolicy, scope: ProblemScope, wanted: pl.DataFrame
) -> int:
    ours = wanted.filter(policy_fingerprint=pinned.fingerprint)
    missing = slot_scope(stage.ledger.snapshot(), ours).missing
    if missing.is_empty():
        return 0
    policy = _open(stage, pinned, section.sampling(), section.prompt)
    _check(policy, section, pinned.fingerprint)
    problems = _problems(scope)

    def slots(rows: pl.DataFrame) -> Iterator[_Asked]:
        for problem_id, index in rows.select("problem_id", "index").iter_rows():
            yield _Asked(slot=_slot(problems[problem_id], policy.fingerprint, index))

    return _fill(stage, policy, slots, ours, missing, label="sample")


def _check(policy: Policy, section: SampleSection, fingerprint: str | None) -> None:
    """Close a policy that is not what the run needs, and raise why."""
    if section.continue_truncated is not None and not policy.can_continue:
        policy.close()
        raise UsageError(
            "sample.continue_truncated: these endpoints cannot go on from a given text",
            hint="remove it, or use servers that speak vLLM's dialect",
        )
    if policy.fingerprint != fingerprint:
        policy.close()
        name = policy.description["model"]
        raise PolicyError(f"the files of {name!r} have changed since the run began", hint="run it again")


def _continue(
    stage: Stage, section: SampleSection, pinned: PinnedPolicy, scope: ProblemScope, wanted: pl.DataFrame
) -> int:
    """Continue the traces that were cut off, once the slots they stand in are all settled."""
    ours = wanted.filter(policy_fingerprint=pinned.fingerprint)
    now = slot_scope(stage.ledger.snapshot(), ours, continuations([pinned]))
    order = ours.select("problem_id", "index", "order", "wave")
    cut_off = now.cut_off.join(order, on=["problem_id", "index"])
    missing = cut_off.filter(state="missing")
    if missing.is_empty() or not now.missing.is_empty():
        return 0
    continuing = section.continuing()
    assert continuing is not None
    policy = _open(stage, pinned, continuing, section.prompt)
    _check(policy, section, pinned.continuation)
    problems = _problems(scope)
    snapshot = stage.ledger.snapshot()

    def slots(rows: pl.DataFrame) -> Iterator[_Asked]:
        for part in rows.iter_slices(_NUM_TEXTS):
            parents = _parents(snapshot, part["trace_id"].to_list())
            for problem_id, index, parent in part.select("problem_id", "index", "trace_id").iter_rows():
                row = parents[parent]
                slot = _slot(problems[problem_id], policy.fingerprint, index, parent, row["completion"])
                yield _Asked(slot=slot, parent=row)

    return _fill(stage, policy, slots, cut_off, missing, label="continue")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A slot that a policy has been given."""

    slot: Slot
    """The slot."""
    parent: Row | None = None
    """trace_id, completion, num_prompt_tokens and num_completion_tokens of the trace that it continues."""


_Slots = Callable[[pl.DataFrame], Iterator[_Asked]]
"""Makes the slots of some rows (problem_id, index), lazily."""


def _fill(
    stage: Stage, policy: Policy, slots: _Slots, wanted: pl.DataFrame, missing: pl.DataFrame, *, label: str
) -> int:
    """Give a policy the slots that are missing and store what comes. Returns how many came."""
    num_done = 0
    try:
        with stage.reporter.task(label, missing.height, "traces") as task, stage.ledger.writer() as writer:
            task.watch(policy.status)
            _describe(stage.ledger.snapshot(), writer, policy)
            if policy.unit_size is None:
                num_done = _fill_streaming(writer, policy, slots(missing), task)
            else:
                for unit in _units(wanted, missing, policy.unit_size):
                    pending = {asked.slot.trace_id: asked for asked in slots(unit)}
                    batch = list(policy.sample([asked.slot for asked in pending.values()]))
                    assert {r.trace_id for r in batch} == pending.keys(), "a policy answers every slot once"
                    _append(writer, policy, [(result, pending[result.trace_id]) for result in batch])
                    num_done += len(batch)
                    task.advance(len(batch), tokens=sum(map(_num_tokens, batch)))
    finally:
        policy.close()
    return num_done


def _fill_streaming(writer: Writer, policy: Policy, asked: Iterator[_Asked], task: Task) -> int:
    pending: dict[str, _Asked] = {}

    def slots() -> Iterator[Slot]:
        for each in asked:
            pending[each.slot.trace_id] = each
            yield each.slot

    num_done = 0
    with _Outbox(lambda batch: _append(writer, policy, batch)) as outbox:
        for result in policy.sample(slots()):
            outbox.put((result, pending.pop(result.trace_id)))
            num_done += 1
            task.advance(1, tokens=_num_tokens(result))
    return num_done


_Answered = tuple[Completion | Failure, _Asked]


class _Outbox:
    """Stores results in batches: 64 at a time, and at the latest a second after they came, also while none comes.

    All storing is done in a thread of its own, where no Ctrl-C can come between two tables.
    """

    def __init__(self, store: Callable[[list[_Answered]], None]) -> None:
        self._store = store
        self._queue: queue.Queue[_Answered | None] = queue.Queue(maxsize=_FLUSH_ROWS * 16)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def put(self, answered: _Answered) -> None:
        """Take a result. Raises what went wrong when earlier ones were stored."""
        if self._error is not None:
            raise self._error
        self._queue.put(answered)

    def _run(self) -> None:
        batch: list[_Answered] = []
        due = math.inf
        ended = False
        while not ended:
            try:
                answered = self._queue.get(timeout=None if not batch else max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._flush(batch)
                continue
            if answered is None:
                ended = True
            else:
                due = due if batch else time.monotonic() + _FLUSH_SECONDS
                batch.append(answered)
            if ended or len(batch) >= _FLUSH_ROWS:
                self._flush(batch)

    def _flush(self, batch: list[_Answered]) -> None:
        """Store a batch and empty it; after an error nothing more is stored."""
        try:
            if batch and self._error is None:
                self._store(batch)
        except BaseException as error:  # noqa: BLE001 - raised again by the next put, or at the end
            self._error = error
        batch.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._queue.put(None)  # also when it ends by Ctrl-C: what came is paid for, and stored
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error


_SLOT_COLUMNS = ("problem_id", "prompt", "source", "row")


def _problems(scope: ProblemScope) -> dict[str, Row]:
    return {row["problem_id"]: row for row in scope.kept.select(*_SLOT_COLUMNS).iter_rows(named=True)}


def _slot(problem: Row, fingerprint: str, index: int, parent: str | None = None, beginning: str = "") -> Slot:
    identity = trace_id(problem["problem_id"], fingerprint, index, parent)
    return Slot(
        trace_id=identity,
        problem_id=problem["problem_id"],
        prompt=problem["prompt"],
        index=index,
        seed=seed_of(identity),
        source=problem["source"],
        row=problem["row"],
        parent=parent,
        beginning=beginning,
    )


def _parents(snapshot: Snapshot, ids: list[str]) -> dict[str, Row]:
    """Read what the traces with these ids said."""
    columns = ("trace_id", "completion", "num_prompt_tokens", "num_completion_tokens")
    rows = snapshot.slots(*columns[1:]).filter(pl.col("trace_id").is_in(ids)).collect()
    return {row["trace_id"]: row for row in rows.iter_rows(named=True)}


def _units(wanted: pl.DataFrame, missing: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Cut the wanted slots, stored or not, into fixed units, wave by wave; yield what each still misses."""
    ordered = wanted.sort("wave", "order", "index").with_columns(unit=pl.int_range(pl.len()).over("wave") // size)
    owed = ordered.join(missing.select("problem_id", "index"), on=["problem_id", "index"], how="semi")
    yield from owed.sort("wave", "order", "index").partition_by("wave", "unit", maintain_order=True)


def _num_tokens(result: Completion | Failure) -> int:
    return result.num_completion_tokens if isinstance(result, Completion) else 0


def _append(writer: Writer, policy: Policy, batch: list[_Answered]) -> None:
    traces: list[Row] = []
    failures: list[Row] = []
    timings: list[Row] = []
    for result, asked in batch:
        slot = asked.slot
        if isinstance(result, Failure):
            failures.append(
                {
                    "trace_id": slot.trace_id,
                    "problem_id": slot.problem_id,
                    "policy_fingerprint": policy.fingerprint,
                    "index": slot.index,
                    "class": result.error,
                    "attempts": result.attempts,
                    "message": result.message,
                }
            )
            continue
        traces.append(_trace(result, asked, policy.fingerprint))
        timings.append(
            {
                "trace_id": slot.trace_id,
                "engine": policy.engine,
                "host": result.host or _HOST,
                "started_at": result.started_at,
                "seconds": result.seconds,
                "cost": result.cost,
            }
        )
    # Timings first: a kill in between leaves what was spent on a trace that is not stored, never a trace of which
    # nobody knows which engine wrote it.
    writer.append("timings", timings)
    writer.append("traces", traces)
    writer.append("failures", failures)


_HOST = socket.gethostname()


def _trace(completion: Completion, asked: _Asked, fingerprint: str) -> Row:
    slot, parent = asked.slot, asked.parent
    # A lone surrogate is no Unicode and no file can hold it; U+FFFD says that something stood there.
    text = completion.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    parts = split_reasoning(text)
    num_before = 0 if parent is None else parent["num_completion_tokens"]
    return {
        "trace_id": slot.trace_id,
        "text_hash": text_hash(text),
        "problem_id": slot.problem_id,
        "policy_fingerprint": fingerprint,
        "index": slot.index,
        "parent": slot.parent,
        "seed": slot.seed,
        "completion": text,
        "reasoning": parts.reasoning,
        "answer": parts.answer,
        "finish_reason": completion.finish_reason,
        "num_prompt_tokens": completion.num_prompt_tokens if parent is None else parent["num_prompt_tokens"],
        "num_completion_tokens": num_before + completion.num_completion_tokens,
        # Those of a continuation alone would not be those of its text.
        "token_ids": completion.token_ids if parent is None else None,
        "logprobs": completion.logprobs if parent is None else None,
    }


def _describe(snapshot: Snapshot, writer: Writer, policy: Policy) -> None:
    known = snapshot.scan("policies").filter(fingerprint=policy.fingerprint).collect()
    if known.is_empty():
        row = {"fingerprint": policy.fingerprint, "config": canonical_json(policy.description)}
        writer.append("policies", [row])
