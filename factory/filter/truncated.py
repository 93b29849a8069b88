"""Drop traces that did not end by themselves."""

from __future__ import annotations

from typing import Literal

import polars as pl

from factory.filter.filter import TraceFilter


class Truncated(TraceFilter):
    """Keep traces whose finish reason is `stop`."""

    kind: Literal["truncated"] = "truncated"

    def drop(self) -> pl.Expr:
        """Drop what ended at the token limit, in a loop or in an error."""
        return pl.col("finish_reason") != "stop"

    def reason(self) -> pl.Expr:
        """Give the finish reason and the number of tokens."""
        return pl.format("ended by {} after {} tokens", "finish_reason", "num_completion_tokens")
