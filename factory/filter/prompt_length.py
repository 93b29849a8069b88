"""Drop problems whose prompt is too short or too long to be worth sampling."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from factory.filter.filter import ProblemFilter


class PromptLength(ProblemFilter):
    """Bounds on the characters of a prompt."""

    kind: Literal["prompt_length"] = "prompt_length"
    min_chars: int = Field(default=1, ge=0)
    """Fewest characters."""
    max_chars: int = Field(default=20_000, ge=1)
    """Most characters."""

    def drop(self) -> pl.Expr:
        """Drop what is outside the bounds."""
        return ~_chars().is_between(self.min_chars, self.max_chars)

    def reason(self) -> pl.Expr:
        """Give the length and the bounds."""
        return pl.format("{} characters, outside {} to {}", _chars(), pl.lit(self.min_chars), pl.lit(self.max_chars))


def _chars() -> pl.Expr:
    return pl.col("prompt").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
