"""Drop traces that are hard to read: long paragraphs, code blocks (R1 v2, B.3.3 names both, and no thresholds)."""

from __future__ import annotations

from typing import Literal, Self

import polars as pl
from pydantic import Field, model_validator

from factory.filter.filter import TraceFilter


class Readability(TraceFilter):
    """Keep traces within the bounds that are set. Reads the judges `longest_paragraph` and `code_blocks`, as needed.

    Programs are code blocks too: where the problems ask for them, give the judge `code_blocks` the other domains only.
    """

    kind: Literal["readability"] = "readability"
    max_paragraph: int | None = Field(default=None, ge=1)
    """Most words of a paragraph, or characters where the judge counts those; null: any number."""
    max_code_blocks: int | None = Field(default=None, ge=0)
    """Most code blocks of the reasoning; null: any number."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.max_paragraph is None and self.max_code_blocks is None:
            raise ValueError("set max_paragraph, max_code_blocks or both: without a bound nothing is dropped")
        return self

    def judges(self) -> tuple[str, ...]:
        """Return those whose bound is set."""
        return tuple(kind for kind, _, _ in self._bounds())

    def drop(self) -> pl.Expr:
        """Drop what is above a bound."""
        return pl.any_horizontal(
            [(pl.col(f"{kind}.score") > most).fill_null(value=False) for kind, most, _ in self._bounds()]
        )

    def reason(self) -> pl.Expr:
        """Give the first measure above its bound, and the bound."""
        return pl.coalesce(
            pl.when(pl.col(f"{kind}.score") > most).then(
                pl.format(sentence, pl.col(f"{kind}.score").cast(pl.Int64), pl.lit(most))
            )
            for kind, most, sentence in self._bounds()
        )

    def _bounds(self) -> list[tuple[str, int, str]]:
        bounds = (
            ("longest_paragraph", self.max_paragraph, "its longest paragraph counts {}, more than {}"),
            ("code_blocks", self.max_code_blocks, "code blocks in its reasoning: {}, more than {}"),
        )
        return [(kind, most, sentence) for kind, most, sentence in bounds if most is not None]
