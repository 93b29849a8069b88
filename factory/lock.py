"""The lock file beside a recipe: the Hub commits that its names stood for when it was first run.

A recipe names a dataset or a model; the first run with a network writes `<recipe>.lock`, and from then on the recipe
means those commits. Delete a line to look its name up again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from factory.errors import UsageError
from factory.ledger.files import write_new


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file, which need not exist yet; without a path nothing is kept."""

    path: Path | None = None
    """The file."""

    def get(self, key: str, look_up: Callable[[], str]) -> str:
        """Return the commit of a name; look it up and write it down the first time."""
        known = self._read()
        if key not in known:
            known[key] = look_up()
            if self.path is not None:
                lines = [f"{name}: {known[name]}\n" for name in sorted(known)]
                write_new(
                    self.path,
                    "".join(["# Written by factory: what the names in the recipe stand for.\n", *lines]).encode(),
                )
        return known[key]

    def _read(self) -> dict[str, str]:
        if self.path is None or not self.path.is_file():
            return {}
        try:
            data = YAML(typ="safe").load(self.path)
        except YAMLError as error:
            raise UsageError(
                "is damaged", place=str(self.path), hint="delete it to look the commits up again"
            ) from error
        return {str(key): str(value) for key, value in (data or {}).items()}
