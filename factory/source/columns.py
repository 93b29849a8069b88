"""From a row of a user's data to a problem: which column is what. Used by `local` and `hub`.

Nothing is guessed about a value: a row that does not fit is an error with a sentence, which the source reports with its
place and counts.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from factory.config import Config
from factory.errors import UsageError
from factory.records import Domain, Message, Problem
from verifiers.language import language_of
from verifiers.reference import parse_reference, reference_json

_MAX_PROMPT_CHARS = 1_000_000


class Columns(Config):
    """Names of the columns that hold the parts of a problem."""

    prompt: str = "prompt"
    """The question: text, or a list of messages with role and content."""
    reference: str | None = None
    """What an answer is held against: a math answer, the right option, or a reference object with a `kind`."""
    options: str | None = None
    """The options of a multiple choice question; the reference is then a letter, an index from 0 or an option."""
    id: str | None = None
    """The row's own key; without it the row's number is used."""
    domain: str | None = None
    """Column with the domain, where it differs by row."""
    language: str | None = None
    """Column with the language, where the data says it."""
    licence: str | None = None
    """Column with the licence, where it differs by row."""

    def names(self) -> list[str]:
        """Return the columns that must exist."""
        return [name for name in self.model_dump().values() if name is not None]


class RowReader(Config):
    """The mapping shared by all sources of rows."""

    columns: Columns = Field(default_factory=Columns)
    """Which column is what."""
    domain: Domain = "general"
    """Domain of all rows, unless a column says it."""
    language: str = "auto"
    """Language of the prompts (BCP 47), or `auto`: detected per prompt."""
    licence: str = "unknown"
    """SPDX identifier of the data, in lower case. `unknown` cannot be published."""


class BadValue(ValueError):
    """A row that is no problem; the message says why."""


def check_columns(wanted: Iterable[str], found: Iterable[str], *, place: str) -> None:
    """Raise UsageError if a mapped column does not exist."""
    found = list(found)
    for name in wanted:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(found)}"
            raise UsageError(f"there is no column {name!r}", place=place, hint=hint)


def to_problem(row: Mapping[str, Any], number: int, reader: RowReader, *, source: str) -> Problem:
    """Make a problem of a row. Raises BadValue with the reason if it is none."""
    columns = reader.columns
    prompt = _prompt(row.get(columns.prompt), columns.prompt)
    language = _text(row, columns.language) or reader.language
    if language == "auto":
        language = language_of(prompt) or "und"
    domain = _text(row, columns.domain) or reader.domain
    if domain not in ("math", "code", "stem", "logic", "general"):
        raise BadValue(f"domain {domain!r} is none of math, code, stem, logic, general")
    key = row.get(columns.id) if columns.id else number
    if key is None or not str(key).strip():
        raise BadValue(f"column {columns.id!r} is empty")
    return Problem(
        prompt=prompt,
        domain=domain,  # type: ignore[arg-type]
        language=language,
        source=source,
        row=_clean(str(key)),
        licence=(_text(row, columns.licence) or reader.licence).lower(),
        reference=_reference(row, columns),
    )


def _prompt(value: Any, column: str) -> tuple[Message, ...]:
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise BadValue(f"column {column!r} holds no text and no messages")
    messages: list[Message] = []
    for message in value:
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise BadValue(f"column {column!r} holds a message without role and content")
        role, content = message["role"], message["content"]
        if role not in ("system", "user", "assistant") or not isinstance(content, str):
            raise BadValue(f"column {column!r} holds a message of role {role!r} that is no text of a known role")
        messages.append({"role": role, "content": _clean(content)})
    if messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise BadValue(f"column {column!r} does not end with a user's words")
    if sum(len(m["content"]) for m in messages) > _MAX_PROMPT_CHARS:
        raise BadValue(f"column {column!r} is longer than {_MAX_PROMPT_CHARS:,} characters")
    return tuple(messages)


def _reference(row: Mapping[str, Any], columns: Columns) -> dict[str, Any] | None:
    if columns.reference is None:
        return None
    value = row.get(columns.reference)
    if value is None:
        raise BadValue(f"column {columns.reference!r} is empty")
    if columns.options is not None:
        value = {"kind": "choice", "value": value, "options": row.get(columns.options)}
        if isinstance(value["value"], int) and isinstance(value["options"], list):
            if not 0 <= value["value"] < len(value["options"]):
                raise BadValue(f"column {columns.reference!r}: there is no option {value['value']}")
            value["value"] = chr(ord("A") + value["value"])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    try:
        reference: dict[str, Any] = reference_json(parse_reference(value))
        _clean(json.dumps(reference, ensure_ascii=False))
    except (ValueError, TypeError) as error:
        raise BadValue(f"column {columns.reference!r}: {str(error).splitlines()[0]}") from error
    return reference


def _text(row: Mapping[str, Any], column: str | None) -> str | None:
    value = row.get(column) if column else None
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadValue(f"column {column!r} holds no text")
    return _clean(value.strip())


def _clean(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadValue(f"text that is no Unicode (a lone surrogate at character {error.start})") from error
    return text
