"""The step `verify`: give every stored trace the verdicts that the recipe asks for and the ledger lacks.

Rules are judged in worker processes. A judge that asks a model has its policy opened for the time that verdicts of it
are owed, and not at all where none is.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from factory.identity import NO_REFERENCE, canonical_json, judge_json
from factory.judging import Item, JudgeUse, asking, judge_items, verdict_row
from factory.ledger import Snapshot, Writer
from factory.ledger.journal import Row
from factory.lock import Lock
from factory.policy.completer import Completer
from factory.policy.pinning import pin_policy
from factory.scope import MAX_ATTEMPTS, ProblemScope, SlotScope, verdicts_of
from factory.stage import Stage
from verifiers import Judge, JudgePool

_FLUSH_ROWS = 256
_FLUSH_SECONDS = 2.0


def pin(stage: Stage, uses: Sequence[JudgeUse], lock: Lock, *, write: bool = True) -> tuple[JudgeUse, ...]:
    """Return the uses with the models that they ask named by what they are: only these have their identity.

    Raises PolicyError or UsageError if a model does not exist.
    """
    return tuple(use.pinned(lambda policy: pin_policy(stage, policy, lock, step="verify", write=write)) for use in uses)


def wanted_verdicts(uses: Sequence[JudgeUse], problems: ProblemScope, slots: SlotScope) -> pl.DataFrame:
    """Return the verdicts a recipe asks for: trace_id, text_hash, problem_id, judge_fingerprint, reference_hash, by."""
    about = problems.kept.select("problem_id", "domain", "reference_kind", "reference_hash")
    traces = slots.stored.select("trace_id", "text_hash", "problem_id").join(about, on="problem_id")
    parts = [_for_use(use, traces) for use in uses]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_WANTED)


def owed_verdicts(snapshot: Snapshot, uses: Sequence[JudgeUse], wanted: pl.DataFrame) -> pl.DataFrame:
    """Return the wanted verdicts that are not settled."""
    settled = verdicts_of(snapshot, [u.fingerprint for u in uses]).filter("settled").select(_KEY).collect()
    return wanted.join(settled, on=_KEY, how="anti")


def run(stage: Stage, uses: Sequence[JudgeUse], problems: ProblemScope, slots: SlotScope) -> int:
    """Judge what is owed by pinned uses. Returns the number of verdicts given."""
    wanted = wanted_verdicts(uses, problems, slots)
    if owed_verdicts(stage.ledger.snapshot(), uses, wanted).is_empty():
        return 0

    def waiting() -> None:
        stage.reporter.say("verify   another run is judging on this ledger; waiting for it")

    num_given = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(stage.ledger.lock("verify", on_wait=waiting))
        pool = stack.enter_context(JudgePool(stage.num_workers)) if stage.num_workers else None
        owing = set(owed_verdicts(stage.ledger.snapshot(), uses, wanted)["judge_fingerprint"])
        judges = stack.enter_context(asking([use for use in uses if use.fingerprint in owing]))
        asked = {id(completer): completer for _, completer in judges.values() if completer is not None}
        for attempt in range(MAX_ATTEMPTS):
            snapshot = stage.ledger.snapshot()
            owed = owed_verdicts(snapshot, uses, wanted)
            if owed.is_empty():
                break
            if attempt:
                why = "found no reply or no time" if asked else "were cut off by a deadline"
                stage.reporter.say(f"verify   {owed.height:,} verdicts {why}; trying them again")
            with stage.ledger.writer() as writer, stage.reporter.task("verify", owed.height, "verdicts") as task:
                _describe(snapshot, writer, uses, list(asked.values()))
                for completer in asked.values():
                    task.watch(completer.policy.status)
                bound = {fingerprint: judge for fingerprint, (judge, _) in judges.items()}
                for num, num_right in _judge(writer, pool, _items(snapshot, bound, problems, owed)):
                    num_given += num
                    task.advance(num, accepted=num_right)
        for completer in asked.values():
            _report_usage(stage, completer)
    return num_given


def _report_usage(stage: Stage, completer: Completer) -> None:
    usage = completer.usage
    tokens = f"{usage.num_prompt_tokens:,} tokens read, {usage.num_completion_tokens:,} written"
    faults = f", {usage.num_faults:,} without a reply" if usage.num_faults else ""
    cost = f", cost {usage.cost:,.2f}" if usage.cost else ""
    name = completer.policy.description["model"]
    stage.reporter.say(f"verify   {name} was asked {usage.num_asked:,} questions: {tokens}{cost}{faults}")


_KEY = ["trace_id", "text_hash", "judge_fingerprint", "reference_hash"]
_WANTED = dict.fromkeys(["trace_id", "text_hash", "problem_id", "judge_fingerprint", "reference_hash", "by"], pl.String)


def _for_use(use: JudgeUse, traces: pl.DataFrame) -> pl.DataFrame:
    kinds = traces.select("domain", "reference_kind").unique()
    applying = kinds.filter(pl.Series([use.applies_to(d, k) for d, k in kinds.iter_rows()], dtype=pl.Boolean))
    rows = traces.join(applying, on=["domain", "reference_kind"], how="semi", nulls_equal=True)
    reference = pl.col("reference_hash") if use.judge.uses_reference else pl.lit(NO_REFERENCE)
    return rows.select(
        "trace_id",
        "text_hash",
        "problem_id",
        judge_fingerprint=pl.lit(use.fingerprint),
        reference_hash=reference,
        by=pl.lit(use.judge.kind),
    )


def _items(
    snapshot: Snapshot, judges: Mapping[str, Judge], problems: ProblemScope, owed: pl.DataFrame
) -> Iterator[Item]:
    about = {
        row["problem_id"]: row
        for row in problems.kept.select("problem_id", "prompt", "reference").iter_rows(named=True)
    }
    # Where each text stands, so that every batch of texts is met by its own part of what is owed; the first of a slot
    # that is stored twice.
    key = ["trace_id", "text_hash"]
    places = snapshot.scan("traces").select(key).with_row_index("place")
    places = places.unique(key, keep="first", maintain_order=True)
    owed = owed.lazy().join(places, on=key).sort("place", "judge_fingerprint").collect()
    start = 0
    for texts in snapshot.batches("traces", [*key, "completion"]):
        end = start + texts.height
        first, last = (int(owed["place"].search_sorted(at)) for at in (start, end))
        start = end
        ours = owed[first:last].join(texts, on=key, maintain_order="left")
        for row in ours.iter_rows(named=True):
            judge, problem = judges[row["judge_fingerprint"]], about[row["problem_id"]]
            yield Item(
                judge=judge,
                judge_fingerprint=row["judge_fingerprint"],
                trace_id=row["trace_id"],
                text_hash=row["text_hash"],
                completion=row["completion"],
                reference=problem["reference"] if judge.uses_reference else None,
                reference_hash=row["reference_hash"],
                prompt=problem["prompt"],
            )


def _judge(writer: Writer, pool: JudgePool | None, items: Iterator[Item]) -> Iterator[tuple[int, int]]:
    """Append verdicts as they come, a few at a time; yield how many each time, and how many of them say that an answer
    is the reference."""
    verdicts: list[Row] = []
    timings: list[Row] = []
    num_right = 0
    host, since = socket.gethostname(), time.monotonic()
    for item, verdict in judge_items(pool, items):
        verdicts.append(verdict_row(item, verdict))
        num_right += item.reference is not None and verdict.outcome == "pass"
        timings.append(
            {
                "trace_id": item.trace_id,
                "judge_fingerprint": item.judge_fingerprint,
                "host": host,
                "seconds": verdict.seconds,
            }
        )
        if len(verdicts) >= _FLUSH_ROWS or time.monotonic() - since > _FLUSH_SECONDS:
            writer.append("verdicts", verdicts)
            writer.append("timings", timings)
            yield len(verdicts), num_right
            verdicts, timings, since, num_right = [], [], time.monotonic(), 0
    writer.append("verdicts", verdicts)
    writer.append("timings", timings)
    yield len(verdicts), num_right


def _describe(snapshot: Snapshot, writer: Writer, uses: Sequence[JudgeUse], asked: Sequence[Completer]) -> None:
    known = set(snapshot.scan("judges").select("fingerprint").collect()["fingerprint"])
    rows = {
        use.fingerprint: {"fingerprint": use.fingerprint, "config": canonical_json(judge_json(use.judge))}
        for use in uses
    }
    writer.append("judges", [row for fingerprint, row in rows.items() if fingerprint not in known])
    described = set(snapshot.scan("policies").select("fingerprint").collect()["fingerprint"])
    policies = {completer.policy.fingerprint: completer.policy.description for completer in asked}
    writer.append(
        "policies",
        [{"fingerprint": f, "config": canonical_json(d)} for f, d in policies.items() if f not in described],
    )
