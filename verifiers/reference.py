"""What a completion is held against: the reference of a problem, in the forms that files and judges take.

In: JSON data (a bare string or number is a math answer, otherwise an object with a `kind`). Out: one frozen object per
kind, and its canonical JSON form. References of all kinds are read and written here; whether one can be *judged* is the
business of the judge of its kind.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

Text = Annotated[str, StringConstraints(min_length=1)]


class _Reference(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnswerReference(_Reference):
    """The final answer of a mathematical problem, plain or LaTeX."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    kind: Literal["answer"] = "answer"
    """Which form it has."""
    value: Text
    """The answer: `18`, `\\\\frac{3}{4}`, `(-1, 2]`, `x = 5`."""


class ChoiceReference(_Reference):
    """The right option of a multiple-choice problem."""

    kind: Literal["choice"] = "choice"
    """Which form it has."""
    value: Text
    """Letter of the right option, or its text."""
    options: tuple[str, ...] = ()
    """Texts of the options in their order; may be left out when `value` is a letter."""


class PuzzleReference(_Reference):
    """One problem of a procedural family, judged by the family's own checker."""

    kind: Literal["puzzle"] = "puzzle"
    """Which form it has."""
    family: Text
    """Name of the family in reasoning-gym, e.g. `chain_sum`."""
    version: str = ""
    """Version of reasoning-gym that made the problem; empty where it is not known."""
    entry: dict[str, Any]
    """The problem as the family made it: question, answer, metadata."""


class CodeTest(_Reference):
    """One test of a program: text in and out, or arguments and the expected result."""

    input: str | None = None
    """Standard input of the program."""
    output: str | None = None
    """What it must print."""
    args: list[Any] | None = None
    """Positional arguments of the function."""
    kwargs: dict[str, Any] | None = None
    """Keyword arguments of the function."""
    expected: Any = None
    """What the function must return."""


class TestsReference(_Reference):
    """The tests that a program must pass."""

    __test__ = False  # the name starts like a test class; pytest must not collect it

    kind: Literal["tests"] = "tests"
    """Which form it has."""
    language: Text = "python"
    """Programming language of the solution."""
    mode: Literal["stdin", "function", "asserts", "script"]
    """How a test reaches the solution."""
    tests: tuple[CodeTest | str, ...] = ()
    """The tests: input and output, arguments and result, or Python assert statements."""
    test: str = ""
    """Mode `script`: a program that defines `check(candidate)`."""
    entry_point: str = ""
    """Modes `function` and `script`: name of the function."""
    setup: str = ""
    """Mode `asserts`: code that runs before the tests."""
    time_limit: Annotated[float, Field(gt=0)] = 6.0
    """Seconds one test may take."""
    memory_limit_mb: Annotated[int, Field(gt=0)] = 512
    """Memory one test may take."""
    checker: Text = "tokens"
    """How printed output is compared."""


class InstructionsReference(_Reference):
    """Instructions on form that a completion must follow. Its fields are kept as they are given."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["instructions"] = "instructions"
    """Which form it has."""


class RubricReference(_Reference):
    """Criteria that a judging model applies. Its fields are kept as they are given."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["rubric"] = "rubric"
    """Which form it has."""


Reference = Annotated[
    AnswerReference | ChoiceReference | PuzzleReference | TestsReference | InstructionsReference | RubricReference,
    Field(discriminator="kind"),
]


def parse_reference(value: Any) -> Reference:
    """Read a reference from JSON data: a bare string or number is a math answer, an object says its `kind`.

    A string that is such an object written as JSON, as in a corpus's column `reference`, is that object.

    Raises ValueError with one sentence that names the field and what is wrong with it.
    """
    if isinstance(value, _Reference):
        return value  # type: ignore[return-value]  # every subclass is in the union
    if isinstance(value, bool) or not isinstance(value, (str, int, float, dict)):
        raise ValueError(f"a reference is a string, a number or an object with a `kind`, not {_shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a reference is a finite number, not {value}")
    if isinstance(value, str):
        value = _unpacked(value)
    data = value if isinstance(value, dict) else {"kind": "answer", "value": value}
    try:
        return _adapter().validate_python(data)
    except ValidationError as error:
        raise ValueError(_sentence(error, data)) from None


def reference_json(reference: Reference) -> dict[str, Any]:
    """Return the reference as minimal JSON data: its kind and the fields that do not hold their default."""
    return {"kind": reference.kind, **reference.model_dump(mode="json", exclude_defaults=True)}


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Reference]:
    return TypeAdapter(Reference)


def _unpacked(text: str) -> str | dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return text  # LaTeX: {1, 2, 3}
        if isinstance(data, dict) and "kind" in data:
            return data
    return text


def _sentence(error: ValidationError, data: dict[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    kinds = "answer, choice, puzzle, tests, instructions, rubric"
    if first["type"] == "union_tag_not_found":
        return f"a reference needs a `kind` (one of {kinds}); this one has {_shown(sorted(map(str, data)))}"
    if first["type"] == "union_tag_invalid":
        return f"no kind of reference is called {_shown(data.get('kind'))}; there are {kinds}"
    place = ".".join(str(part) for part in first["loc"][1:])
    return (
        f"the {data['kind']} reference's field `{place}` is wrong: {first['msg'].lower()}, got {_shown(first['input'])}"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
