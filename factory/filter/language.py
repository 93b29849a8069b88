"""Drop traces that mix languages (R1 v2, B.3.3: chains of thought with mixed languages are filtered out)."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from factory.filter.filter import TraceFilter


class Language(TraceFilter):
    """Keep traces whose share of words in the prompt's language is high enough. Reads the judge `language`."""

    kind: Literal["language"] = "language"
    min_consistency: float = Field(default=0.95, ge=0.0, le=1.0)
    """Smallest share; 1.0 forbids every foreign word. Names, terms and short quotations do not count as any."""

    def judges(self) -> tuple[str, ...]:
        """Return `language`."""
        return ("language",)

    def drop(self) -> pl.Expr:
        """Drop what is below; a trace without words, or too few to tell (score unknown), mixes nothing and stays."""
        return (pl.col("language.score") < self.min_consistency).fill_null(value=False)

    def reason(self) -> pl.Expr:
        """Give the share and the bound."""
        share = (pl.col("language.score") * 100).round(1)
        return pl.format("{} % of its words are in the prompt's language, below {} %", share, pl.lit(_percent(self)))


def _percent(filter_: Language) -> float:
    return round(filter_.min_consistency * 100, 1)
