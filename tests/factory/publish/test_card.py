"""The card: what it says comes from the manifest, and what comes from data stays text."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from factory.publish.card import escape, render, unpublishable
from factory.publish.section import PublishSection


def front_matter(card: str) -> dict[str, Any]:
    _, matter, _ = card.split("---\n", 2)
    data: dict[str, Any] = YAML(typ="safe").load(matter)
    return data


def test_the_front_matter_is_what_the_hub_reads(workplace: Any) -> None:
    corpus = workplace.run().corpus
    matter = front_matter((corpus.folder / "README.md").read_text())
    assert matter["license"] == "apache-2.0"
    assert matter["size_categories"] == ["n<1K"]
    assert matter["language"] == ["en"]
    assert [c["config_name"] for c in matter["configs"]] == ["default", "rejected"]
    assert {d["split"]: d["path"] for d in matter["configs"][0]["data_files"]} == {
        "train": "data/train-*.parquet",
        "validation": "data/validation-*.parquet",
    }


def test_every_number_is_the_manifests(workplace: Any) -> None:
    corpus = workplace.run().corpus
    card = (corpus.folder / "README.md").read_text()
    assert "11 verified traces of 11 problems" in card
    for lines in corpus.manifest["funnels"].values():
        for line in lines:
            assert f"| {escape(line['label'])} | {line['step']} | {line['rows']:,} |" in card


def test_the_same_manifest_gives_the_same_card(workplace: Any) -> None:
    corpus = workplace.run().corpus
    section = PublishSection(licence="apache-2.0")
    assert render(corpus.manifest, section) == render(corpus.manifest, section)


def test_names_from_data_stay_text(workplace: Any) -> None:
    manifest = workplace.run().corpus.manifest
    hostile = "x|](https://evil.example)<script>alert(1)</script>\n# Heading {{ 7*7 }} `code`"
    manifest["models"][0]["policy"]["model"] = hostile
    manifest["sources"][0]["source"] = hostile
    manifest["description"] = hostile
    card = render(manifest, PublishSection(licence='my own: "licence"\nconfigs: []', title=hostile, tags=("a\nb: c",)))
    assert "<script" not in card
    assert "7\\*7" in card  # not evaluated
    assert "\n# Heading" not in card
    assert front_matter(card)["license"] == "other"
    assert len(front_matter(card)["configs"]) == 2
    assert front_matter(card)["tags"][-1] == "a\nb: c"


def test_unknown_licences_are_named(workplace: Any) -> None:
    manifest = workplace.run("source.from.0.licence=unknown").corpus.manifest
    assert unpublishable(manifest) == ["local:problems.jsonl"]
    assert "Not publishable as it is" in render(manifest, PublishSection(licence="mit"))
