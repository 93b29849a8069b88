"""card, publish: what the world gets to see."""

from __future__ import annotations

import sys
from pathlib import Path

import cyclopts

from factory.corpus import Corpus
from factory.errors import UsageError
from factory.publish.card import render, unpublishable
from factory.publish.section import PublishSection


def register(app: cyclopts.App) -> None:
    """Add the commands."""
    app.command(card)
    app.command(publish)


def card(corpus: Path, *, licence: str | None = None, title: str | None = None) -> None:
    """Print the data card of a corpus: the one beside it, or one made anew from its manifest.

    Parameters
    ----------
    corpus
        Folder of the corpus.
    licence
        SPDX identifier of the corpus as a whole, in lower case: makes a new card.
    title
        Heading; the recipe's name unless it is said: makes a new card.
    """
    opened = Corpus.open(corpus)
    staged = opened.folder / "README.md"
    if licence is None and title is None and staged.is_file():
        sys.stdout.write(staged.read_text(encoding="utf-8"))
        return
    licence = licence or "unknown"
    sys.stdout.write(render(opened.manifest, PublishSection(licence=licence, title=title)))


def publish(corpus: Path, *, to: str) -> int:
    """List what would be sent to the Hub, and whether it may be. This version sends nothing.

    Parameters
    ----------
    corpus
        Folder of the corpus.
    to
        Name on the Hub, ORG/NAME.
    """
    opened = Corpus.open(corpus)
    if to.count("/") != 1 or not all(to.split("/")):
        raise UsageError(f"{to!r} is no name on the Hub", hint="ORG/NAME")
    if problems := opened.damaged():
        raise UsageError(f"{corpus}: {problems[0]}", hint="build it again with `factory run`")
    if names := unpublishable(opened.manifest):
        raise UsageError(
            f"the licence of {', '.join(names)} is unknown, so the corpus cannot be published",
            hint="say the licence in the recipe (source.from: licence: …), or leave the source out",
        )
    files = [path for path in sorted(opened.folder.rglob("*")) if path.is_file()]
    if opened.folder / "README.md" not in files:
        raise UsageError(f"{corpus} has no card", hint="give the recipe a section `publish` and run it again")
    for path in files:
        sys.stdout.write(f"{path.relative_to(opened.folder)}\t{path.stat().st_size}\n")
    sys.stderr.write(f"would go to {to}; this version sends nothing: hf upload --repo-type dataset {to} {corpus}\n")
    return 0
