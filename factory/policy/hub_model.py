"""A policy whose model is a folder, the one that ships, or on the Hub: how its commit is pinned."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from factory.policy.model_files import COMMIT, hub_commit, local_folder
from factory.policy.protocol import PolicyConfig


class HubModelConfig(PolicyConfig):
    """A model by folder or name. One subclass per engine that loads it."""

    model: str = Field(min_length=1)
    """A folder with `config.json` and safetensors, a Hub id (`org/name`), or `builtin:micro`, the model that ships."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id; without it the copy in the local cache, else the Hub's main branch."""

    @property
    def lock_key(self) -> str | None:
        """Key of a Hub id in the lock file; None for a folder, and where the recipe gives the commit."""
        if local_folder(self.model) is not None or COMMIT.fullmatch(self.revision or ""):
            return None
        return f"model:{self.model}" + (f"@{self.revision}" if self.revision else "")

    def at(self, revision: str) -> Self:
        """Return this policy fixed to a commit."""
        return self.model_copy(update={"revision": revision})

    def current_revision(self) -> str:
        """Return the commit of the Hub id: from the local cache, else by asking the Hub."""
        return hub_commit(self.model, self.revision)

    def pinned_revision(self) -> str | None:
        """Return the commit of a Hub id; of a folder what the recipe says, which is refused when it is located."""
        return self.revision if local_folder(self.model) is not None else self.current_revision()
