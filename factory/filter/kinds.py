"""The register of trace filters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from factory.filter.language import Language
from factory.filter.readability import Readability
from factory.filter.rejected import Rejected
from factory.filter.repetition import Repetition
from factory.filter.truncated import Truncated

AnyTraceFilter = Annotated[Language | Readability | Rejected | Repetition | Truncated, Field(discriminator="kind")]
