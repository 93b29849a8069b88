"""The recipe's section `publish`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from factory.config import Config


class PublishSection(Config):
    """How the corpus is documented and licensed."""

    licence: Annotated[str, AfterValidator(str.lower)] = Field(min_length=1)
    """SPDX identifier of the corpus as a whole, in lower case; each row has its source's own."""
    title: str | None = None
    """Heading of the card; the recipe's name unless it is said."""
    language: tuple[str, ...] | None = None
    """Languages named on the card; those of the rows unless it is said."""
    tags: tuple[str, ...] = ()
    """More tags for the Hub."""
