"""Problems from a dataset of the Hugging Face Hub, with a mapping of its columns, pinned to a commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from factory.errors import FactoryError, MissingExtra, UsageError
from factory.records import Problem
from factory.source.columns import BadValue, RowReader, check_columns, to_problem
from factory.source.source import BadRow, Source


class Hub(Source, RowReader):
    """Rows of a dataset on the Hub."""

    kind: Literal["hub"] = "hub"
    dataset: str
    """Name on the Hub, `org/name`."""
    config: str | None = None
    """Configuration, where the dataset has several."""
    split: str = "train"
    """Split to read."""
    revision: str | None = None
    """Commit. Left out, the lock file beside the recipe holds it: it is written at the first run with a network."""
    limit: int | None = None
    """Read only the first rows."""

    @property
    def name(self) -> str:
        """`hub:` and the dataset's name, with its configuration."""
        return f"hub:{self.dataset}" + (f"/{self.config}" if self.config else "")

    @property
    def lock_key(self) -> str | None:
        """Key of this dataset in the lock file; None where the recipe gives the commit."""
        return None if self.revision is not None else f"dataset:{self.dataset}"

    def at(self, revision: str) -> Hub:
        """Return this source fixed to a commit."""
        return self.model_copy(update={"revision": revision})

    def current_revision(self) -> str:
        """Return the pinned commit, or the newest one of the Hub. Raises UsageError if there is no such dataset."""
        if self.revision is not None:
            return self.revision
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.errors import HfHubHTTPError
        except ImportError as error:
            raise MissingExtra("huggingface-hub", extra="hub", needed_for="a source of kind `hub`") from error
        try:
            sha = HfApi().dataset_info(self.dataset).sha
        except HfHubHTTPError as error:
            raise UsageError(
                f"there is no dataset {self.dataset!r} on the Hub that this account can read",
                hint="check the name; for a gated dataset accept its terms and set HF_TOKEN",
            ) from error
        except OSError as error:
            raise FactoryError(
                f"the Hub cannot be reached to look up {self.dataset!r}",
                hint="give the source a `revision`, or keep the recipe's .lock file",
            ) from error
        assert sha is not None, self.dataset
        return sha

    def read(self) -> Iterator[Problem | BadRow]:
        """Yield the rows of the split in their order. Raises UsageError if a mapped column does not exist."""
        try:
            from datasets import load_dataset
        except ImportError as error:
            raise MissingExtra("datasets", extra="hub", needed_for="a source of kind `hub`") from error
        try:
            data = load_dataset(self.dataset, self.config, split=self.split, revision=self.current_revision())
        except (ValueError, OSError) as error:
            raise UsageError(f"{self.name}: {str(error).splitlines()[0]}") from error
        check_columns(self.columns.names(), data.column_names, place=self.name)
        if self.limit is not None:
            data = data.select(range(min(self.limit, len(data))))
        for number, row in enumerate(data):
            try:
                yield to_problem(row, number, self, source=self.name)
            except BadValue as error:
                yield BadRow(place=f"{self.name}:{self.split}:{number}", message=str(error))
