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

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

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
    """Code that runs before the program and before the tests; not in mode `stdin`."""
    time_limit: Annotated[float, Field(gt=0)] = 6.0
    """Seconds one test may take."""
    memory_limit_mb: Annotated[int, Field(gt=0)] = 512
    """Memory one test may take."""
    checker: Literal["tokens", "exact", "floats", "unordered", "program"] = "tokens"
    """How output is compared (`code_compare.py`); `program` is `checker_program`."""
    tolerance: Annotated[float, Field(ge=0)] = 1e-6
    """Checker `floats`: how far a decimal may be off, relative or absolute."""
    checker_program: str = ""
    """Checker `program`: Python that is run with three files as arguments, the input, the expected output and the
    actual one, and accepts by printing nothing, or as its last word `ok`, `yes`, `true` or a number of 1 or more."""


class Instruction(_Reference):
    """One instruction that a rule can check: its id, and its parameters beside it, under IFEval's names."""

    model_config = ConfigDict(extra="allow")

    id: Text
    """Kind of the instruction, e.g. `length_constraints:number_words`."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What stands beside the id, e.g. `{"num_words": 100, "relation": "at least"}`."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        # rows of a dataset hold a null for every parameter of the other kinds
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class InstructionsReference(_Reference):
    """Instructions that an answer must follow; IFEval's columns `instruction_id_list` and `kwargs` are read too."""

    kind: Literal["instructions"] = "instructions"
    """Which form it has."""
    instructions: Annotated[tuple[Instruction, ...], Field(min_length=1)]
    """The instructions, in their order."""

    @model_validator(mode="before")
    @classmethod
    def _from_columns(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "instruction_id_list" not in data:
            return data
        ids, kwargs = data["instruction_id_list"], data.get("kwargs")
        if not isinstance(ids, (list, tuple)) or not isinstance(kwargs, (list, tuple)) or len(ids) != len(kwargs):
            raise ValueError("`instruction_id_list` and `kwargs` must be lists of the same length")
        rest = {key: value for key, value in data.items() if key not in ("instruction_id_list", "kwargs")}
        given = [{**(parameters or {}), "id": name} for name, parameters in zip(ids, kwargs, strict=True)]
        return {**rest, "instructions": given}


class Criterion(_Reference):
    """One criterion of a rubric."""

    text: Text
    """What is true of a good answer, or, where the weight is negative, of a bad one."""
    weight: float = 1.0
    """What meeting it counts."""


class RubricReference(_Reference):
    """Criteria that a judging model applies. Fields that are not named here are kept as they are given."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["rubric"] = "rubric"
    """Which form it has."""
    criteria: tuple[Text | Criterion, ...] = ()
    """The criteria: a bare text weighs 1."""
    value: str = ""
    """A good answer, if there is one, which the judging model is shown."""


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
