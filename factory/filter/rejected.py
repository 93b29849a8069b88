"""Rejection sampling: keep traces that the named judges pass."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from factory.filter.filter import TraceFilter


class Rejected(TraceFilter):
    """Keep a trace if every named judge that applies to it passes it, and at least one of them applies.

    `unknown` is not a pass: what could not be verified is not kept, and its reason says so.
    """

    kind: Literal["rejected"] = "rejected"
    by: tuple[str, ...] = Field(min_length=1)
    """Kinds of judges whose `pass` is required."""

    def judges(self) -> tuple[str, ...]:
        """Return those named."""
        return self.by

    def drop(self) -> pl.Expr:
        """Drop what one of them does not pass, and what none of them applies to."""
        outcomes = [pl.col(f"{kind}.outcome") for kind in self.by]
        refused = pl.any_horizontal([(o != "pass").fill_null(value=False) for o in outcomes])
        return refused | pl.all_horizontal([o.is_null() for o in outcomes])

    def reason(self) -> pl.Expr:
        """Give the first judge's outcome and its reason."""
        sentences = [
            pl.when(pl.col(f"{kind}.outcome") != "pass").then(
                pl.format("{}: {}, {}", pl.lit(kind), f"{kind}.outcome", f"{kind}.reason")
            )
            for kind in self.by
        ]
        return pl.coalesce(*sentences, pl.lit("no judge applies to it: there is nothing to verify it against"))
