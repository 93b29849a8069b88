"""trace-factory: turn a reasoning policy into a verified, documented corpus, and that corpus into better policies.

    from factory import Problem, Trace, Verdict, Ledger, Corpus, Recipe, run

The names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factory.corpus import Corpus
    from factory.ledger import Ledger
    from factory.pipeline import run
    from factory.recipe import Recipe
    from factory.records import Problem, Trace
    from verifiers import Verdict

__all__ = ["Corpus", "Ledger", "Problem", "Recipe", "Trace", "Verdict", "run"]

_HOME = {
    "Corpus": "factory.corpus",
    "Ledger": "factory.ledger",
    "Problem": "factory.records",
    "Recipe": "factory.recipe",
    "Trace": "factory.records",
    "Verdict": "verifiers",
    "run": "factory.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'factory' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
