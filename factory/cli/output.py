"""How commands print: tables and JSON on stdout, funnels and hints on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import polars as pl
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from factory.funnel import Funnel

LedgerOption = Annotated[str, Parameter(name="--ledger", help="Folder of the ledger.")]
JsonOption = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]


def print_json(value: Any) -> None:
    """Print JSON data on stdout."""
    text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    sys.stdout.write("".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text) + "\n")


def print_frame(frame: pl.DataFrame, *, as_json: bool, max_width: int = 60) -> None:
    """Print a frame on stdout: JSON lines, a table on a terminal, tab-separated values in a pipe."""
    if as_json:
        sys.stdout.write(frame.write_ndjson())
        return
    rows = ([_cell(value) for value in row] for row in frame.iter_rows())
    if sys.stdout.isatty():
        cut = ([v if len(v) <= max_width else v[: max_width - 1] + "…" for v in row] for row in rows)
        print_table(frame.columns, cut)
        return
    sys.stdout.write("\t".join(frame.columns) + "\n")
    for row in rows:
        sys.stdout.write("\t".join(value.replace("\t", " ") for value in row) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, to_stderr: bool = False) -> None:
    """Print a table for a person."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    console = Console(stderr=to_stderr, highlight=False, emoji=False)
    if not console.is_terminal:  # a pipe has no width to fit into
        console.width = 10_000
    console.print(table)


def funnel_text(funnel: Funnel) -> str:
    """Write a funnel as aligned lines, the bars in proportion to its first level."""
    top = max(1, funnel.lines[0][2])
    lines = [funnel.title]
    for step, label, rows in funnel.lines:
        bar = "" if rows < 0 else "█" * max(0, round(24 * rows / top))
        lines.append(
            f"  {step:<7} {label:<24} {rows:>+10,}" if rows < 0 else f"  {step:<7} {label:<24} {rows:>10,}  {bar}"
        )
    return "\n".join(lines)


def printable(text: str) -> str:
    """Make text from a model safe for a terminal: control characters (escape sequences, bidi) become visible."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return printable(text).replace("\n", "⏎")
