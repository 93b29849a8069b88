"""The step `publish`: put the card and the recipe beside a corpus's shards, so that the folder can be loaded and sent.

Nothing leaves the machine here: only the command `factory publish --yes` sends anything out.
"""

from __future__ import annotations

from factory.corpus import Corpus
from factory.ledger.files import write_new
from factory.publish.card import render, unpublishable
from factory.publish.section import PublishSection
from factory.stage import Stage


def run(stage: Stage, section: PublishSection, corpus: Corpus, recipe_text: str) -> int:
    """Write README.md and recipe.yaml into the corpus folder. Returns how many files changed."""
    changed = 0
    for name, text in (("README.md", render(corpus.manifest, section)), ("recipe.yaml", recipe_text)):
        path = corpus.folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_new(path, text.encode())
            changed += 1
    if changed and (names := unpublishable(corpus.manifest)):
        stage.reporter.say(f"publish  not publishable yet: the licence of {', '.join(names)} is unknown")
    return changed
