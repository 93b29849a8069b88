"""judge: bulk judging without a ledger."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import cyclopts
from cyclopts import Parameter, validators
from pydantic import ValidationError

from factory.cli.judged_file import STANDARD, InputFacts, JudgedFile, facts_of, judged_file
from factory.errors import UsageError
from factory.identity import judge_json
from factory.judging import JudgeUse, asking, model_errors
from factory.progress import Reporter, TerminalReporter
from factory.progress import Task as Progress
from verifiers import COMPOSED, JUDGES, JudgePool, Task, Verdict, parse_reference
from verifiers.verdict import Judge, messages_of
from verifiers.workers import usable_cores

MAX_ATTEMPTS = 3
"""How often a verdict that a deadline or a dead worker cut off is asked for."""


def register(app: cyclopts.App) -> None:
    """Add the command."""
    app.command(judge)


def judge(
    kind: str,
    *,
    input_: Annotated[str, Parameter(name="--input", help="JSON lines, or - for stdin.")] = "-",
    output: Annotated[str, Parameter(name="--output", help="JSON lines, or - for stdout.")] = "-",
    workers: Annotated[
        int | None,
        Parameter(help="Processes; the number of cores unless it is said.", validator=validators.Number(gte=1)),
    ] = None,
    set_: Annotated[
        tuple[str, ...],
        Parameter(name="--set", negative="", help="A field of the judge, e.g. --set require_boxed=true."),
    ] = (),
    overwrite: Annotated[
        bool, Parameter(negative="", help="Replace an output file instead of going on with it.")
    ] = False,
) -> int:
    """Judge completions in bulk.

    Reads {id, completion, reference, prompt?} per line; for each line in, in order, writes
    {id, outcome, score, extracted, reason, seconds}. A reference is text (a math answer) or an object with a `kind`.
    A line that is no such object gets the outcome `unknown` with its number in the reason; the exit code is then 1.
    An output file that was interrupted is gone on with by the same command; FILE.judge.json says who judged FILE.

    Parameters
    ----------
    kind
        math_answer, code_tests, choice, puzzle, instructions, format, identity, language, repetition, longest_paragraph
        or code_blocks; all, any or cascade with --set "of=[...]"; model_judge with --set "policy={...}", reward_model
        with --set model=FOLDER.
    """
    use = _use(kind, set_)
    configured = use.judge
    facts = facts_of(input_)
    source = None if input_ == STANDARD else Path(input_)
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(_reading(input_, configured))
        file = stack.enter_context(
            judged_file(output, judge_json(configured), facts, overwrite=overwrite, source=source)
        )
        bad = _skipped(input_, lines, file)
        if file.is_complete:
            sys.stderr.write(f"factory: {output} is complete; nothing to do\n")
        else:
            task = stack.enter_context(
                _reporter(output, facts).task("judge", 0 if facts is None else facts.num_lines, "lines")
            )
            task.advance(file.num_done)
            pool = stack.enter_context(JudgePool(workers or usable_cores()))
            judges = stack.enter_context(asking([use]))
            with model_errors():
                bad = _judged(lines, file, pool, judges[use.fingerprint][0], task, bad)
    if bad.count:
        place = f"{input_}:{bad.first}" if input_ != STANDARD else f"line {bad.first}"
        sys.stderr.write(
            f"factory: {bad.count:,} lines could not be judged, the first at {place}; their reason says why\n"
        )
    return 1 if bad.count else 0


@dataclass(slots=True)
class _Bad:
    """The lines that could not be judged."""

    count: int = 0
    first: int = 0

    def add(self, number: int) -> None:
        """Count a line."""
        self.count += 1
        self.first = self.first or number


def _judged(lines: Iterator[bytes], file: JudgedFile, pool: JudgePool, judge: Judge, task: Progress, bad: _Bad) -> _Bad:
    """Judge the lines that are left and write their rows in order; at most a few chunks are in memory."""
    asked: dict[int, tuple[Any, str | None]] = {}  # id and fault of the lines that have no row yet
    start = file.num_done

    def tasks() -> Iterator[Task]:
        for number, line in enumerate(lines, start + 1):
            identity, fault, found = _task(number, line, judge)
            asked[number] = identity, fault
            yield found

    num_passed = num_unknown = 0
    for number, verdict in enumerate(pool.map(tasks(), attempts=MAX_ATTEMPTS), start + 1):
        identity, fault = asked.pop(number)
        row = _row(identity, verdict)
        if fault is not None:
            bad.add(number)
            row |= {"outcome": "unknown", "score": None, "extracted": None, "reason": fault}
        file.write(row)
        num_passed += row["outcome"] == "pass"
        num_unknown += row["outcome"] == "unknown"
        task.advance(note=f"{num_passed:,} pass · {num_unknown:,} unknown")
    return bad


def _skipped(name: str, lines: Iterator[bytes], file: JudgedFile) -> _Bad:
    """Pass over the lines that have their row, and look that they are the same. Returns the bad ones among them."""
    bad = _Bad()
    for number, row in enumerate(file.done, 1):
        line = next(lines, None)
        if line is None or _identity(line) != row.get("id"):
            raise UsageError(
                f"row {number} of the output is not about this line",
                place=f"{name}:{number}",
                hint="the output was made from another input; choose another --output, or replace it with --overwrite",
            )
        if str(row.get("reason")).startswith(f"line {number}: "):
            bad.add(number)
        file.num_done = number
    return bad


def _use(kind: str, overrides: tuple[str, ...]) -> JudgeUse:
    """Read the judge, and the policy that it asks if it asks one, with everything named by what it is."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    kinds = JUDGES | COMPOSED
    if kind not in kinds:
        raise UsageError(f"there is no judge {kind!r}", hint=f"judges: {', '.join(kinds)}")
    fields: dict[str, Any] = {"kind": kind}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UsageError("is not of the form key=value", place=f"--set {override}")
        try:
            fields[key] = YAML(typ="safe").load(value)
        except YAMLError as error:
            raise UsageError("the value is no YAML", place=f"--set {override}") from error
    fields["kind"] = kind
    try:
        use = JudgeUse.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(name for name in kinds[kind].model_fields if name != "kind") or "none"
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{first['loc'][-1]}: {said}" if first["loc"] else said,
            place="--set",
            hint=f"fields of {kind}: {known}; a judge that asks a model takes --set 'policy={{…}}' too",
        ) from error
    return use.pinned(lambda policy: policy)


def _task(number: int, line: bytes, judge: Judge) -> tuple[Any, str | None, Task]:
    """Read a line: its id, what is wrong with it, and the task; one that judges nothing if something is wrong."""
    identity: Any = None
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("the line is no JSON object")
        identity = row.get("id")
        completion = row.get("completion")
        if not isinstance(completion, str):
            raise ValueError("`completion` is missing or no text")
        reference = None if row.get("reference") is None else parse_reference(row["reference"])
        prompt = messages_of(row.get("prompt"))
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        fault = f"line {number}: {(str(error) or type(error).__name__).splitlines()[0]}"
        return identity, fault, Task(judge=judge, completion="")
    return identity, None, Task(judge=judge, completion=completion, reference=reference, prompt=prompt)


def _identity(line: bytes) -> Any:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row.get("id") if isinstance(row, dict) else None


def _row(identity: Any, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": identity,
        "outcome": verdict.outcome,
        "score": verdict.score,
        "extracted": verdict.extracted,
        "reason": verdict.reason,
        "seconds": round(verdict.seconds, 6),
    }


def _reporter(output: str, facts: InputFacts | None) -> Reporter:
    """Show progress to a person: where the length is known and nothing else is written to the terminal."""
    is_shown = facts is not None and sys.stderr.isatty() and not (output == STANDARD and sys.stdout.isatty())
    return TerminalReporter() if is_shown else Reporter()


@contextlib.contextmanager
def _reading(name: str, judge: Judge) -> Iterator[Iterator[bytes]]:
    """Open the input. Raises UsageError if its first line shows that it is no input of this command at all."""
    with contextlib.ExitStack() as stack:
        stream: IO[bytes] = sys.stdin.buffer if name == STANDARD else stack.enter_context(Path(name).open("rb"))
        first = stream.readline()
        if first:
            _check_first(first, f"{name}:1", judge)
        yield itertools.chain([first] if first else [], stream)


def _check_first(line: bytes, place: str, judge: Judge) -> None:
    hint = "each line is an object {id, completion, reference, prompt?}"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise UsageError("the line is no JSON object", place=place, hint=hint)
    for field in ("completion", "reference") if judge.uses_reference else ("completion",):
        if field not in row:
            raise UsageError(
                f"`{field}` is missing; there are: {', '.join(map(str, row)) or 'no fields'}", place=place, hint=hint
            )
