"""Drop problems that repeat an earlier one but for case, punctuation and spacing."""

from __future__ import annotations

from typing import Literal

import polars as pl

from factory.filter.filter import ProblemFilter


class Duplicate(ProblemFilter):
    """Keep the first of the problems whose letters, digits and mathematical signs are the same."""

    kind: Literal["duplicate"] = "duplicate"

    def drop(self) -> pl.Expr:
        """Drop all but the first in source order."""
        return pl.int_range(pl.len()).over(_skeleton()) > 0

    def reason(self) -> pl.Expr:
        """Name the problem it repeats."""
        return pl.format("repeats problem {} but for case and spacing", pl.col("problem_id").first().over(_skeleton()))


def _skeleton() -> pl.Expr:
    text = pl.col("prompt").list.eval(pl.element().struct.field("content")).list.join(" ")
    # Signs stay: `3 + 4` and `3 - 4` are two problems. Sentence punctuation goes only where a space or the end follows.
    text = text.str.to_lowercase().str.replace_all(r"[.,;:!?。，；：！？…]+(\s|$)", " ")
    return text.str.replace_all(r"\s+", "").str.strip_chars()
