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
        if key in known:
            return known[key]
        found = look_up()
        # Read once more: another run may have written in the meantime, and the first one counts.
        known = self._read()
        if key not in known:
            known[key] = found
            self._write(known)
        return known[key]

    def _write(self, known: dict[str, str]) -> None:
        if self.path is None:
            return
        lines = [f"{name}: {known[name]}\n" for name in sorted(known)]
        text = "".join(["# Written by factory: what the names in the recipe stand for.\n", *lines])
        write_new(self.path, text.encode())

    def _read(self) -> dict[str, str]:
        if self.path is None or not self.path.is_file():
            return {}
        hint = "delete it to look the commits up again"
        try:
            # base: every value is a string. A commit may look like a number.
            data = YAML(typ="base").load(self.path.read_text(encoding="utf-8"))
        except (YAMLError, UnicodeDecodeError, OSError) as error:
            raise UsageError("is damaged", place=str(self.path), hint=hint) from error
        known = {} if data in (None, "") else data
        if not isinstance(known, dict) or not all(isinstance(v, str) and isinstance(k, str) for k, v in known.items()):
            raise UsageError("is damaged: it is no list of `name: commit`", place=str(self.path), hint=hint)
        return {key: value for key, value in known.items() if value}
