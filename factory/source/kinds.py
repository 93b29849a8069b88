"""The register of sources and the recipe's section `source`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from factory.config import Config
from factory.filter.duplicate import Duplicate
from factory.filter.prompt_length import PromptLength
from factory.source.hub import Hub
from factory.source.local import Local
from factory.source.puzzles import Puzzles

AnySource = Annotated[Hub | Local | Puzzles, Field(discriminator="kind")]
AnyProblemFilter = Annotated[Duplicate | PromptLength, Field(discriminator="kind")]


class SourceSection(Config):
    """Where the problems come from, and which of them are not worth sampling."""

    from_: tuple[AnySource, ...] = Field(alias="from", min_length=1)
    """The sources, in order: where two have the same prompt the first counts."""
    filters: tuple[AnyProblemFilter, ...] = ()
    """Filters on problems, applied in this order before anything is sampled."""
