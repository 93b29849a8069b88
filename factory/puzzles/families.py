"""Problems of reasoning-gym's families: same family, seed, size and configuration, same problems.

In: the name of a family and a seed. Out: entries with question, answer and metadata as JSON data, and the question in
a language that the family has. reasoning-gym is an optional dependency, imported when it is first needed.

reasoning-gym draws its i-th problem from `seed + i`, so neighbouring seeds would share nearly all problems. A source's
seed is hashed into a band of its own first; training problems come from a range that no source reaches.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from factory.errors import MissingExtra, UsageError
from factory.identity import digest
from factory.puzzles.wording import CHINESE

NUM_SOURCE_SEEDS = 2**30
"""Sources draw from generator seeds below this, plus their size."""
TRAINING_SEED = 2**40
"""Training problems draw from generator seeds from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One generated problem."""

    family: str
    """The generator, e.g. `chain_sum`."""
    question: str
    """The question as the generator words it, in English, without space around it."""
    answer: Any
    """The expected answer as the generator gives it: a string for nearly all families, None for some."""
    data: dict[str, Any]
    """The whole entry (question, answer, metadata) as JSON data: what the family's own checker reads."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the generator says of the problem."""
        metadata: Mapping[str, Any] = self.data["metadata"]
        return metadata


def generator_version() -> str:
    """Return the version of reasoning-gym. Raises MissingExtra if it is not installed."""
    _generator()
    return importlib.metadata.version("reasoning-gym")


def source_seed(seed: int) -> int:
    """Return the generator seed of a source's first problem: far from the next source's, below the training range."""
    return int(digest(["puzzles", seed]), 16) % NUM_SOURCE_SEEDS


def entries(family: str, *, first_seed: int, size: int, config: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield `size` problems, the i-th drawn from the generator seed `first_seed + i`.

    Raises UsageError if there is no such family, or it refuses the configuration or its entries are no JSON data.
    """
    generator = _generator()
    if family not in generator.factory.DATASETS:
        close = difflib.get_close_matches(family, generator.factory.DATASETS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "reasoning-gym's gallery lists the families"
        raise UsageError(f"there is no puzzle family {family!r}", hint=hint)
    try:
        dataset = generator.create_dataset(family, **{**config, "seed": first_seed, "size": size})
    except (TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"puzzle family {family!r} refuses the configuration {dict(config)}: {error}") from error
    for index in range(size):
        yield _entry(family, dataset[index])


def languages_of(family: str) -> tuple[str, ...]:
    """Return the languages a family can be asked in."""
    return ("en", "zh") if family in CHINESE else ("en",)


def question(entry: Entry, language: str) -> str:
    """Word the question in `language`. Raises UsageError, with the families that have it, where there is no wording."""
    require_language(entry.family, language)
    return entry.question if language == "en" else CHINESE[entry.family](entry.metadata)


def require_language(family: str, language: str) -> None:
    """Raise UsageError, with the families that have it, if a family cannot be asked in `language`."""
    if language in languages_of(family):
        return
    if language == "zh":
        raise UsageError(
            f"puzzle family {family!r} has no wording in 'zh'", hint=f"families that have one: {', '.join(CHINESE)}"
        )
    raise UsageError(f"puzzles have no wording in {language!r}", hint="languages: en for every family, zh for some")


def _generator() -> Any:
    try:
        return importlib.import_module("reasoning_gym")
    except ImportError as error:
        raise MissingExtra("reasoning-gym", extra="puzzles", needed_for="the source of puzzles") from error


def _entry(family: str, raw: Mapping[str, Any]) -> Entry:
    data = {key: raw[key] for key in ("question", "answer", "metadata")}
    try:
        data = json.loads(json.dumps(data, default=_plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"problems of the puzzle family {family!r} cannot be stored: {error}") from error
    return Entry(family=family, question=data["question"].strip(), answer=data["answer"], data=data)


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON data")
