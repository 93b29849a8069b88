"""From a row of a user's data to a problem: which column is what. Used by `local` and `hub`.

In: rows with their place. Out: problems, and a `BadRow` with a sentence for each row that is none. Nothing is guessed
about a value: a row that does not fit is reported and counted, it is not bent.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from factory.config import Config
from factory.conversation import read_messages, split_completion
from factory.errors import UsageError
from factory.identity import canonical_json
from factory.records import BadRow, Domain, Message, Problem
from verifiers.extract import final_answer
from verifiers.language import language_of
from verifiers.reference import parse_reference, reference_json

_MAX_PROMPT_CHARS = 1_000_000


class Columns(Config):
    """Names of the columns that hold the parts of a problem."""

    prompt: str = "prompt"
    """The question: text, or a list of messages; an assistant's last message is a completion and left out."""
    reference: str | None = None
    """What an answer is held against: a math answer, the right option, or a reference object with a `kind`, which may
    be written as a JSON string."""
    options: str | None = None
    """The options of a multiple choice question, a list or a JSON list; the reference is then a letter, a number that
    counts them from 0, or the text of an option."""
    id: str | None = None
    """The row's own key; without it the row's number is used. Two prompts must not have the same."""
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


def to_problems(
    rows: Iterable[tuple[int, str, Mapping[str, Any]] | BadRow], reader: RowReader, *, source: str
) -> Iterator[Problem | BadRow]:
    """Make problems of rows, given as number, place and values; what is bad already goes through as it is."""
    prompts: dict[str, int] = {}  # row key -> hash of its prompt
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        number, place, values = row
        try:
            problem = to_problem(values, number, reader, source=source)
            prompt = hash(tuple((m["role"], m["content"]) for m in problem.prompt))
            if reader.columns.id is not None and prompts.setdefault(problem.row, prompt) != prompt:
                raise BadValue(
                    f"column {reader.columns.id!r}: another prompt has the key {_shown(problem.row)} already"
                )
        except BadValue as error:
            yield BadRow(place=place, message=str(error))
        except RecursionError:
            yield BadRow(place=place, message="a value is nested too deeply")
        else:
            yield problem


def to_problem(row: Mapping[str, Any], number: int, reader: RowReader, *, source: str) -> Problem:
    """Make a problem of a row. Raises BadValue with the reason if it is none."""
    columns = reader.columns
    prompt = _prompt(row.get(columns.prompt), columns.prompt)
    language = _text(row, columns.language) or reader.language
    if language == "auto":
        language = language_of(prompt) or "und"
    domain = _text(row, columns.domain) or reader.domain
    if domain not in ("math", "code", "stem", "logic", "general"):
        raise BadValue(f"domain {_shown(domain)} is none of math, code, stem, logic, general")
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
    try:
        messages, _ = split_completion(read_messages(value))
    except ValueError as error:
        raise BadValue(f"column {column!r} {error}") from error
    messages = [{"role": m["role"], "content": _clean(m["content"])} for m in messages]
    if not messages or messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise BadValue(f"column {column!r} does not end with a user's words")
    if sum(len(m["content"]) for m in messages) > _MAX_PROMPT_CHARS:
        raise BadValue(f"column {column!r} is longer than {_MAX_PROMPT_CHARS:,} characters")
    return tuple(messages)


def _reference(row: Mapping[str, Any], columns: Columns) -> dict[str, Any] | None:
    if columns.reference is None:
        return None
    value = row.get(columns.reference)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadValue(f"column {columns.reference!r} is empty")
    if columns.options is not None:
        options = _options(row.get(columns.options), columns.options)
        value = {"kind": "choice", "value": _option(value, options, columns.reference), "options": options}
    try:
        reference: dict[str, Any] = reference_json(parse_reference(_unpacked(value)))
        _clean(canonical_json(reference))  # what it is stored as
    except (ValueError, TypeError) as error:
        raise BadValue(f"column {columns.reference!r}: {_first_line(error)}") from error
    return reference


def _options(value: Any, column: str) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):  # a CSV file has no other way to write a list
        try:
            value = json.loads(value)
        except ValueError as error:
            raise BadValue(f"column {column!r} holds no JSON list: {_first_line(error)}") from error
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(option, str) for option in value):
        raise BadValue(f"column {column!r} holds no list of texts")
    return list(value)


def _option(value: Any, options: list[str], column: str) -> str:
    """Return the right option as a letter or as its text. A number in a text is never taken for a place: data sets
    count from 0 and from 1, and the judge would call every answer wrong."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < min(len(options), 26):
            raise BadValue(f"column {column!r}: there is no option {_shown(value)}")
        return chr(ord("A") + value)
    if not isinstance(value, str):
        raise BadValue(f"column {column!r} holds no letter, number or text of an option, but {_shown(value)}")
    text = value.strip()
    letter = text.strip("().").upper()
    is_letter = len(letter) == 1 and "A" <= letter <= "Z" and ord(letter) - ord("A") < len(options)
    if not is_letter and text.casefold() not in [option.strip().casefold() for option in options]:
        raise BadValue(f"column {column!r}: {_shown(value)} is neither the letter nor the text of an option")
    return text


def _unpacked(value: Any) -> Any:
    """Return a reference without the empty fields that a format gives it whose rows all have the same ones, and of a
    worked solution the answer."""
    if isinstance(value, Mapping):
        return {name: part for name, part in value.items() if part is not None}
    return answer_of(value) if isinstance(value, str) else value


def answer_of(solution: str) -> str:
    """Return the answer of a worked solution that ends as GSM8K's do (`#### 7`) or MATH's (`\\boxed{7}`).

    What is not such a solution is returned as it is.
    """
    _, mark, answer = solution.rpartition("####")
    if mark and answer.strip():
        return answer.strip()
    if "\\boxed" in solution and (found := final_answer(solution)) is not None and found.how == "box":
        return found.text
    return solution


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


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
