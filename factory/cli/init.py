"""init: look at a user's file of prompts, or of prompts with completions, and write a commented recipe for it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts

from factory.cli.output import printable
from factory.conversation import read_messages
from factory.errors import UsageError
from factory.source.columns import answer_of
from factory.source.local import FileRow, read_rows
from verifiers import parse_reference

_NUM_ROWS = 200

_NAMES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "problem", "instruction", "query", "input", "messages", "conversations"),
    "completion": ("completion", "response", "output", "generation", "generated_solution", "generations", "responses"),
    "reference": ("reference", "answer", "expected_answer", "gold", "ground_truth", "final_answer", "target"),
    "options": ("options", "choices"),
    "id": ("id", "problem_id", "uuid", "task_id", "idx"),
    "model": ("model", "model_name", "generation_model", "generator"),
    "finish_reason": ("finish_reason", "finish_reasons", "stop_reason"),
    "language": ("language", "lang"),
    "domain": ("domain",),
    "licence": ("licence", "license"),
}  # fmt: skip
"""What columns are called in the wild, the likeliest name first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a file seems to hold."""

    columns: dict[str, str]
    """Part (a key of `_NAMES`) → column."""
    all_columns: list[str]
    """Every column of the first rows."""
    reference_kind: str | None
    """`answer`, `choice`, or None if there is no usable reference."""
    num_rows: int
    """Rows looked at."""
    bad: list[str]
    """Rows among them that cannot be read."""
    lacks_think: bool = False
    """True if most completions close a `<think>` that they do not open: a template had opened it."""


def register(app: cyclopts.App) -> None:
    """Add the command."""
    app.command(init)


def init(file: Path, *, recipe: Path | None = None, name: str | None = None) -> None:
    """Look at a file of prompts, or of prompts with completions, and write a commented recipe for it.

    Parameters
    ----------
    file
        JSONL or Parquet; CSV for prompts without completions.
    recipe
        Where to write the recipe; NAME.yaml here unless it is said. It is never overwritten.
    name
        Name of the corpus; the file's unless it is said.
    """
    if not file.is_file():
        raise UsageError(f"there is no file {file}")
    guess = look_at(file)
    if "prompt" not in guess.columns:
        raise UsageError(
            f"{file.name}: no column looks like a prompt (columns: {', '.join(guess.all_columns) or 'none'})",
            hint="rename the column with the question to `prompt`, or write the recipe by hand from recipes/examples",
        )
    if "completion" in guess.columns and file.suffix.lower() == ".csv":
        raise UsageError(f"{file.name}: completions are read from JSONL or Parquet, not CSV", hint="convert the file")
    name = name or "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in file.stem).strip("-._")
    target = recipe or Path(f"{name or 'corpus'}.yaml")
    text = write(guess, name=name or "corpus", path=os.path.relpath(file, target.parent))
    try:
        with target.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise UsageError(f"{target} exists already", hint="name another file with --recipe") from error
    for part, column in guess.columns.items():
        sys.stderr.write(f"{part:<14} column {column!r}\n")
    unused = [c for c in guess.all_columns if c not in guess.columns.values()]
    if unused:
        sys.stderr.write(f"not used       {', '.join(unused)}\n")
    for bad in guess.bad[:3]:
        sys.stderr.write(f"bad row        {bad}\n")
    sys.stderr.write(f"next: read {target}, then factory plan {target}, then factory run {target}\n")
    print(target)  # noqa: T201 - the command's data


def look_at(file: Path) -> Guess:
    """Read the first rows and say which column seems to hold what."""
    rows: list[dict[str, Any]] = []
    bad: list[str] = []
    for row in itertools.islice(read_rows(file), _NUM_ROWS):
        if isinstance(row, FileRow):
            rows.append(row.values)
        else:
            bad.append(f"{row.place}: {row.message}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, str] = {}
    for part, candidates in _NAMES.items():
        known = {n.lower(): n for n in names if any(row.get(n) not in (None, "") for row in rows)}
        found = next((known[c] for c in candidates if c in known and known[c] not in columns.values()), None)
        if found is not None:
            columns[part] = found
    if "completion" not in columns and _ends_with_assistant(rows, columns.get("prompt")):
        columns["completion"] = columns["prompt"]
    kind = _reference_kind(rows, columns)
    if kind is None:
        columns.pop("reference", None)
    texts = [t for row in rows for t in _completions(row.get(columns.get("completion", "")))]
    unopened = sum("</think>" in text and "<think>" not in text for text in texts)
    return Guess(
        lacks_think=unopened > len(texts) / 2,
        columns=columns,
        all_columns=names,
        reference_kind=kind,
        num_rows=len(rows) + len(bad),
        bad=bad,
    )


def write(guess: Guess, *, name: str, path: str) -> str:
    """Write the recipe as commented YAML."""
    columns = guess.columns
    source: dict[str, str] = {
        k: columns[k] for k in ("prompt", "reference", "options", "domain", "language", "licence") if k in columns
    }
    recorded = "completion" in columns
    if not recorded and "id" in columns:
        source["id"] = columns["id"]
    judges = {"answer": "math_answer", "choice": "choice"}
    judge = judges.get(guess.reference_kind or "")
    domain = "math" if guess.reference_kind == "answer" else "stem" if guess.reference_kind == "choice" else "general"
    lines = [
        f"# {name}: written by `factory init` from {guess.num_rows} rows of {printable(Path(path).name)}.",
        "# Read it, mend it, then",
        "#   factory plan THIS_FILE      what it would do",
        "#   factory run THIS_FILE       do it; stop at any time, the same command goes on",
        f"name: {name}",
        "seed: 7",
        "source:",
        "  from:",
        "    - kind: local",
        f"      path: {_scalar(path)}                # relative to this file",
        f"      columns: {_mapping(source)}",
        *([] if "domain" in source else [f"      domain: {domain}              # math, code, stem, logic or general"]),
        *(
            []
            if "language" in source
            else ["      language: auto            # or a code such as en, if all prompts have one"]
        ),
        *(
            []
            if "licence" in source
            else ["      licence: unknown          # SPDX, e.g. mit; unknown cannot be published"]
        ),
        "sample:",
    ]
    if recorded and guess.lacks_think:
        prefill = [
            "    # Most completions close a <think> that they do not open: a template had opened it.",
            '    prefill: "<think>\\n"',
        ]
    else:
        prefill = [
            "    # If the prompt ended with an opened <think> that the completions lack:",
            '    # prefill: "<think>\\n"',
        ]
    if recorded:
        taken = {"prompt": columns["prompt"], "completion": columns["completion"]}
        taken |= {k: columns[k] for k in ("model", "finish_reason") if k in columns}
        lines += [
            "  policy:",
            "    kind: recorded              # your completions, as they are: nothing is sampled",
            f"    path: {_scalar(path)}",
            f"    columns: {_mapping(taken)}",
            *([] if "model" in taken else ["    model: unknown              # who wrote them; the card says it"]),
            *prefill,
        ]
    else:
        lines += [
            "  # your model: a folder or a Hub id; the built-in one knows nothing but the puzzles of the quickstart",
            '  policy: {kind: auto, model: "builtin:micro"}',
            "  group_size: 4                 # completions per prompt",
            "  temperature: 0.6              # as DeepSeek-R1 is sampled (R1 v2, D.1)",
            "  top_p: 0.95",
            "  max_tokens: 512               # R1 takes 32768 (R1 v2, D.1); the built-in model holds 1024 in all",
            '  # prompt: {suffix: "\\nPlease reason step by step, and put your final answer within \\\\boxed{}."}',
        ]
    lines += ["verify:"]
    if judge:
        lines += [f"  - {{kind: {judge}}}         # against the column {columns['reference']!r}"]
    else:
        lines += ["  # No column holds a usable reference, so nothing says which completions are right."]
    lines += [
        "  - {kind: language}            # share of words in the prompt's language",
        "  - {kind: repetition}          # longest run of the same words",
        "  # - {kind: format}            # reasoning once, closed, then an answer; add it to `by` below to require it",
        "filter:",
        "  - {kind: truncated}",
    ]
    if judge:
        lines += [f"  - {{kind: rejected, by: [{judge}]}}"]
    lines += [
        "  - {kind: language, min_consistency: 0.95}",
        "  - {kind: repetition, max_repeats: 3}",
        "mix:",
        "  per_problem: 4                # at most; delete the line to keep all that pass",
        "  pick: random                  # or shortest, longest",
        "  validation: 0.02              # share of the problems held out",
        "publish:",
        "  licence: other                # of the corpus as a whole, SPDX",
    ]
    return "\n".join(lines) + "\n"


def _completions(value: Any) -> list[str]:
    """Return the texts of a cell that holds completions, in any of the forms that are read."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        with contextlib.suppress(ValueError):
            return [message["content"] for message in read_messages(value)[-1:]]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _ends_with_assistant(rows: list[dict[str, Any]], column: str | None) -> bool:
    """Tell whether the prompts are whole conversations, completions included."""
    for row in rows:
        with contextlib.suppress(ValueError):
            messages = read_messages(row.get(column or ""))
            if len(messages) > 1:
                return messages[-1]["role"] == "assistant"
    return False


def _reference_kind(rows: list[dict[str, Any]], columns: dict[str, str]) -> str | None:
    if "reference" not in columns:
        return None
    if "options" in columns:
        return "choice"
    values = [row.get(columns["reference"]) for row in rows]
    given = [v for v in values if v not in (None, "")]
    if not given or not all(isinstance(v, (str, int, float)) for v in given):
        return None
    readable = 0
    for value in given:
        try:
            parse_reference(answer_of(str(value)))
        except ValueError:
            continue
        # A page of prose is a solution, not an answer that another can be compared with.
        readable += len(answer_of(str(value))) <= 200
    return "answer" if readable >= 0.8 * len(given) else None


def _scalar(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _mapping(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in pairs.items()) + "}"
