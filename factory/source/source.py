"""What a source is: it reads problems, and says which version of what it read."""

from __future__ import annotations

from collections.abc import Iterator

from factory.config import Config
from factory.records import BadRow, Problem


class Source(Config):
    """Where problems come from. One subclass per kind."""

    kind: str

    @property
    def name(self) -> str:
        """What a reader knows it by, e.g. `puzzles:chain_sum`; stored with every problem."""
        raise NotImplementedError

    @property
    def lock_key(self) -> str | None:
        """Key of its revision in the recipe's lock file; None where the content itself says its revision."""
        return None

    def at(self, revision: str) -> Source:
        """Return this source fixed to a revision."""
        del revision
        return self

    def current_revision(self) -> str:
        """Return what pins the content: a file's hash, a Hub commit, a generator's version. Raises UsageError if the
        source does not exist."""
        raise NotImplementedError

    def read(self) -> Iterator[Problem | BadRow]:
        """Yield the problems in a fixed order. Raises UsageError if the source does not exist or lacks a column."""
        raise NotImplementedError
