"""What a filter is: an expression that says which rows are dropped, and one that says why.

A filter works on columns and on stored verdict scores, so a new threshold re-judges nothing. The reason is a sentence
with the number in it.
"""

from __future__ import annotations

import polars as pl

from factory.config import Config


class ProblemFilter(Config):
    """A filter on problems, before anything is sampled."""

    kind: str

    def drop(self) -> pl.Expr:
        """Return an expression over the problem columns (scope.ProblemScope.kept): true where one is dropped."""
        raise NotImplementedError

    def reason(self) -> pl.Expr:
        """Return an expression for the sentence that says why."""
        raise NotImplementedError


class TraceFilter(Config):
    """A filter on traces and their verdicts."""

    kind: str

    def judges(self) -> tuple[str, ...]:
        """Return the kinds of judges whose verdicts it reads; the recipe must use them."""
        return ()

    def drop(self) -> pl.Expr:
        """Return an expression over the columns of `fates.trace_frame`: true where a trace is dropped."""
        raise NotImplementedError

    def reason(self) -> pl.Expr:
        """Return an expression for the sentence that says why."""
        raise NotImplementedError
