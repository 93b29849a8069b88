"""Problems from a dataset of the Hugging Face Hub, with a mapping of its columns, pinned to a commit.

The commit is looked up once and kept in the recipe's lock file; data of any other commit is never read, also when the
Hub is out of reach and the library would offer what it has in its cache.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from factory.errors import FactoryError, MissingExtra, UsageError
from factory.records import BadRow, Problem
from factory.source.columns import RowReader, check_columns, to_problems
from factory.source.source import Source

_TIMEOUT_S = 30.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ACCESS = "check the name; for a private or gated dataset accept its terms and set HF_TOKEN"
_REVISION = "check the source's `revision`, or delete the dataset's line in the recipe's .lock file"
_NO_COMMIT = "give the source a commit as its `revision`, or keep the recipe's .lock file beside it"
_NO_DATA = "run it again with a network; HF_HUB_OFFLINE=1 reads this revision if it was downloaded before"
_NETWORK_ERRORS = ("ConnectError", "ConnectTimeout", "ReadTimeout", "ReadError", "RemoteProtocolError", "ProxyError")


class Hub(Source, RowReader):
    """Rows of a dataset on the Hub."""

    kind: Literal["hub"] = "hub"
    dataset: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
    """Name on the Hub, `org/name`."""
    config: str | None = None
    """Configuration, where the dataset has several."""
    split: str = "train"
    """Split to read."""
    revision: str | None = Field(default=None, min_length=1)
    """Commit, or a branch or tag, whose commit the lock file beside the recipe then keeps. Left out, that is the newest
    commit at the first run with a network."""
    limit: int | None = Field(default=None, gt=0)
    """Read only the first rows. The configuration is downloaded whole all the same."""

    @property
    def name(self) -> str:
        """`hub:` and the dataset's name, with its configuration."""
        return f"hub:{self.dataset}" + (f"/{self.config}" if self.config else "")

    @property
    def lock_key(self) -> str | None:
        """Key of this dataset in the lock file; None where the recipe gives the commit."""
        if self.revision is None:
            return f"dataset:{self.dataset}"
        return None if _COMMIT.fullmatch(self.revision) else f"dataset:{self.dataset}@{self.revision}"

    def at(self, revision: str) -> Hub:
        """Return this source fixed to a commit."""
        return self.model_copy(update={"revision": revision})

    def current_revision(self) -> str:
        """Return the commit the recipe gives, or look it up on the Hub. Raises UsageError if there is no such dataset
        or revision, FactoryError if the Hub does not answer."""
        if self.revision is not None and _COMMIT.fullmatch(self.revision):
            return self.revision
        return self._look_up(self.revision)

    def read(self) -> Iterator[Problem | BadRow]:
        """Yield the rows of the split in their order. Raises UsageError if a mapped column does not exist."""
        data = self._load(self.current_revision())
        wanted = self.columns.names()
        check_columns(wanted, data.column_names, place=self.name)
        data = data.select_columns(list(dict.fromkeys(wanted)))  # the others may hold images or sound
        if self.limit is not None:
            data = data.select(range(min(self.limit, len(data))))
        rows = ((number, f"{self.name}:{self.split}:{number}", row) for number, row in enumerate(data))
        yield from to_problems(rows, self, source=self.name)

    def _look_up(self, revision: str | None) -> str:
        try:
            from huggingface_hub import HfApi
            from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of httpx or httpx2
                HFValidationError,
                HTTPError,
                RevisionNotFoundError,
            )
        except ImportError as error:
            raise MissingExtra("huggingface-hub", extra="hub", needed_for="a source of kind `hub`") from error
        try:
            sha = HfApi().dataset_info(self.dataset, revision=revision, timeout=_TIMEOUT_S).sha
        except HFValidationError as error:
            raise UsageError(f"{self.dataset!r} is no name of a dataset on the Hub", hint="org/name") from error
        except RevisionNotFoundError as error:
            raise UsageError(f"the dataset {self.dataset!r} has no revision {revision!r}", hint=_REVISION) from error
        except (HTTPError, OSError, ValueError) as error:
            if _is_refusal(error):
                raise UsageError(
                    f"there is no dataset {self.dataset!r} on the Hub that this account can read", hint=_ACCESS
                ) from error
            what = "the commit" if revision is None else f"the revision {revision[:12]!r}"
            raise FactoryError(
                f"the Hub does not answer when asked for {what} of the dataset {self.dataset!r}: {_first_line(error)}",
                hint=_NO_COMMIT if revision is None or not _COMMIT.fullmatch(revision) else _NO_DATA,
            ) from error
        assert sha is not None, self.dataset
        return sha

    def _load(self, commit: str) -> Any:
        try:
            from datasets import load_dataset_builder
            from datasets.exceptions import DatasetNotFoundError, DatasetsError
            from datasets.utils import disable_progress_bars
            from huggingface_hub.constants import is_offline_mode
            from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
        except ImportError as error:
            raise MissingExtra("datasets", extra="hub", needed_for="a source of kind `hub`") from error
        if not is_offline_mode():
            self._look_up(commit)  # one question, answered or not at once: the loader would try for minutes
        if not sys.stderr.isatty():
            disable_progress_bars()
        place = f"{self.name} at {commit[:12]}"
        try:
            # With the scheme, a folder of the same name in the working directory is not read in its place.
            builder = load_dataset_builder(f"hf://datasets/{self.dataset}", self.config, revision=commit)
            if builder.hash != commit:  # offline, the library takes whichever commit it has
                raise ConnectionError("this commit is not among the data that was downloaded before")
            builder.download_and_prepare()
            return builder.as_dataset(split=self.split)
        except (DatasetsError, HTTPError, ValueError, OSError, RuntimeError) as error:
            if _is_outage(error):
                raise FactoryError(f"{place} cannot be read: {_first_line(error)}", hint=_NO_DATA) from error
            # that it exists is known: what is left is that it is gated
            hint = _ACCESS if isinstance(error, DatasetNotFoundError) or _is_refusal(error) else None
            raise UsageError(f"{place}: {_first_line(error)}", hint=hint) from error


def _is_refusal(error: BaseException) -> bool:
    """Tell whether the Hub answered that there is no such thing, or not for this account."""
    return any(_status(cause) in (400, 401, 403, 404, 410, 451) for cause in _causes(error))


def _is_outage(error: BaseException) -> bool:
    """Tell whether the Hub did not answer, or answered that it is in trouble."""
    for cause in _causes(error):
        status = _status(cause)
        if status is not None:
            return status == 429 or status >= 500
        if isinstance(cause, ConnectionError | TimeoutError) or type(cause).__name__ in _NETWORK_ERRORS:
            return True
    return False


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        current = current.__cause__ or current.__context__
    yield from seen


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
