"""judge: bulk judging without a ledger."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import cyclopts
from cyclopts import Parameter, validators
from pydantic import TypeAdapter, ValidationError

from factory.errors import UsageError
from verifiers import JUDGES, AnyJudge, JudgePool, Task, Verdict, parse_reference


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
) -> int:
    """Judge completions in bulk.

    Reads {id, completion, reference, prompt?} per line; for each line in, in order, writes
    {id, outcome, score, extracted, reason, seconds}. A reference is text (a math answer) or an object with a `kind`.
    A line that is no such object gets the outcome `unknown` with its number in the reason; the exit code is then 1.

    Parameters
    ----------
    kind
        math_answer, choice, puzzle, format, language or repetition.
    """
    configured = _judge(kind, set_)
    num_bad = 0
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(_reading(input_))
        sink = stack.enter_context(_writing(output))
        pool = stack.enter_context(JudgePool(workers or os.cpu_count() or 1))
        bad: dict[int, tuple[Any, str]] = {}
        ids: dict[int, Any] = {}

        def tasks() -> Iterator[Task]:
            for number, line in enumerate(lines):
                ids[number], task = _task(number, line, configured, bad)
                yield task

        for number, verdict in enumerate(pool.map(tasks())):
            row = _row(ids.pop(number), verdict)
            if number in bad:
                num_bad += 1
                row |= {"outcome": "unknown", "score": None, "extracted": None, "reason": bad.pop(number)[1]}
            sink.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    if num_bad:
        sys.stderr.write(f"factory: {num_bad:,} lines could not be judged; their reason says why\n")
    return 1 if num_bad else 0


def _judge(kind: str, overrides: tuple[str, ...]) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if kind not in JUDGES:
        raise UsageError(f"there is no judge {kind!r}", hint=f"judges: {', '.join(JUDGES)}")
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
        return TypeAdapter(AnyJudge).validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(name for name in JUDGES[kind].model_fields if name != "kind") or "none"
        raise UsageError(
            f"{first['loc'][-1] if first['loc'] else kind}: {first['msg']}",
            place="--set",
            hint=f"fields of {kind}: {known}",
        ) from error


def _task(number: int, line: bytes, judge: Any, bad: dict[int, tuple[Any, str]]) -> tuple[Any, Task]:
    identity: Any = None
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError("the line is no JSON object")
        identity = row.get("id")
        completion = row.get("completion")
        if not isinstance(completion, str):
            raise ValueError("`completion` is missing or no text")
        prompt = row.get("prompt")
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        reference = None if row.get("reference") is None else parse_reference(row["reference"])
    except (ValueError, TypeError, RecursionError) as error:
        bad[number] = (identity, f"line {number + 1}: {str(error).splitlines()[0]}")
        return identity, Task(judge=judge, completion="")
    return identity, Task(judge=judge, completion=completion, reference=reference, prompt=prompt)


def _row(identity: Any, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": identity,
        "outcome": verdict.outcome,
        "score": verdict.score,
        "extracted": verdict.extracted,
        "reason": verdict.reason,
        "seconds": round(verdict.seconds, 6),
    }


@contextlib.contextmanager
def _reading(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror}", place="--input") from error
        yield file


@contextlib.contextmanager
def _writing(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdout.buffer
        return
    temporary = Path(f"{name}.partial")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(temporary.open("wb"))
        except OSError as error:
            raise UsageError(f"{name} cannot be written: {error.strerror}", place="--output") from error
        yield file
    temporary.replace(name)
