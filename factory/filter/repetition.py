"""Drop traces that repeat themselves (R1 v2, B.3.2: rules for repetition detection)."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from factory.filter.filter import TraceFilter


class Repetition(TraceFilter):
    """Keep traces in which nothing stands too many times in a row. Reads the judge `repetition`."""

    kind: Literal["repetition"] = "repetition"
    max_repeats: int = Field(default=3, ge=1)
    """Most times the same words, sentence or line may follow itself."""

    def judges(self) -> tuple[str, ...]:
        """Return `repetition`."""
        return ("repetition",)

    def drop(self) -> pl.Expr:
        """Drop what is above."""
        return (pl.col("repetition.score") > self.max_repeats).fill_null(value=False)

    def reason(self) -> pl.Expr:
        """Give the count, the bound and the judge's evidence."""
        count = pl.col("repetition.score").cast(pl.Int64)
        return pl.format("{} times the same in a row, more than {}", count, pl.lit(self.max_repeats))
