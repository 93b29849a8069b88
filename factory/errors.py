"""Every error the factory raises on purpose.

    FactoryError                  exit code 1
    ├── UsageError                exit code 2: a command, a recipe or an input file is wrong
    │   └── RecipeError           … with the place in the recipe
    ├── LedgerError               the ledger on disk cannot be read or written
    ├── PolicyError               a policy cannot be loaded or cannot sample
    └── MissingExtra              an optional dependency is not installed

Each carries a sentence for a person and, where there is one, a hint that says what to do next. A programmer's mistake
is an assert, not one of these.
"""

from __future__ import annotations


class FactoryError(Exception):
    """Something that stops a command, said so that its reader can act on it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n\nhint: {self.hint}"


class UsageError(FactoryError):
    """A command, an option or an input file is wrong. `place` is `file:line` where it is known."""

    exit_code = 2

    def __init__(self, message: str, *, place: str | None = None, hint: str | None = None) -> None:
        super().__init__(message if place is None else f"{place}: {message}", hint=hint)
        self.place = place


class RecipeError(UsageError):
    """A recipe is wrong; `place` names the file and the line."""


class LedgerError(FactoryError):
    """The ledger cannot be read or written; the message names the file."""


class PolicyError(FactoryError):
    """A policy cannot be loaded, or stopped while sampling."""


class MissingExtra(FactoryError):
    """An optional dependency is not installed; the hint is the exact install line."""

    def __init__(self, package: str, *, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package {package!r}, which is not installed",
            hint=f"pip install 'trace-factory[{extra}]'",
        )
