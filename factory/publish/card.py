"""The data card: a pure function of a corpus's manifest and the recipe's section `publish`.

Names come from users' files and model repositories, so whatever enters the page is escaped for Markdown.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import jinja2

from factory.publish.section import PublishSection

_HUB_LICENCES = (
    "apache-2.0",
    "mit",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc0-1.0",
    "odc-by",
    "openrail",
    "bsd-3-clause",
    "gpl-3.0",
    "cdla-permissive-2.0",
    "unknown",
)
"""Licence identifiers the Hub knows; another one is published as `other` with its name."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def render(manifest: dict[str, Any], section: PublishSection) -> str:
    """Return the card's Markdown, with the YAML front matter that the Hub reads."""
    template = resources.files("data_cards").joinpath("card.md.jinja").read_text(encoding="utf-8")
    # Markdown, not HTML: `md` and `code` escape what comes from data.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["md"] = escape
    environment.filters["revision"] = revision
    environment.filters["sampled_with"] = sampled_with
    environment.filters["code"] = lambda text: re.sub(
        r"[`\s|]+", " ", "".join(filter(str.isprintable, str(text)))
    ).strip()
    languages = section.language or tuple(code for code in manifest["languages"] if code != "und")
    card: str = environment.from_string(template).render(
        m=manifest,
        title=section.title or manifest["name"],
        licence=section.licence,
        hub_licence=section.licence if section.licence in _HUB_LICENCES else "other",
        languages=[re.sub(r"[^A-Za-z0-9-]", "", code) for code in languages],
        tags=["reasoning", "chain-of-thought", "trace-factory", *section.tags],
        size_category=_size(manifest["num_rows"]),
        configs=_configs(manifest),
        has_rejected=any(f["config"] == "rejected" for f in manifest["files"]),
        unpublishable=unpublishable(manifest),
    )
    return card.rstrip() + "\n"


def revision(policy: dict[str, Any]) -> str:
    """Say which weights a policy has: a commit, a hash of files, or what the recipe's author declares of a server."""
    stated = str(policy.get("revision") or "not stated")
    weights = (policy.get("identity") or {}).get("weights")
    return f"{stated} (declared)" if isinstance(weights, dict) and weights.get("declared") else stated


def sampled_with(policy: dict[str, Any]) -> str:
    """Say in a line how a policy was sampled: engine, type of the weights, parameters, form of the prompt."""
    sampling = {k: v for k, v in (policy.get("sampling") or {}).items() if k == "temperature" or v not in _NEUTRAL[k]}
    cut = sampling.pop("loop_cut", None)
    parts = [str(policy.get("kind", "")), str(policy.get("dtype") or "")]
    parts += [f"adapter {policy['adapter']}"] if policy.get("adapter") else []
    parts += [f"{name} {value}" for name, value in sampling.items()]
    if cut:
        sizes = f"{cut['min_pattern_size']} to {cut['max_pattern_size']}"
        parts.append(f"loops cut at {cut['min_count']} times the same {sizes} tokens")
    parts += [f"{name} {value!r}" for name, value in (policy.get("form") or {}).items()]
    return ", ".join(part for part in parts if part)


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "temperature": (),
    "top_p": (1.0,),
    "top_k": (0,),
    "min_p": (0.0,),
    "repetition_penalty": (1.0,),
    "presence_penalty": (0.0,),
    "frequency_penalty": (0.0,),
    "max_tokens": (),
    "stop": ([], ()),
    "loop_cut": (None,),
}
"""Values of sampling parameters that do nothing, and are not worth a word."""


def unpublishable(manifest: dict[str, Any]) -> list[str]:
    """Name the sources whose rows cannot be published because their licence is unknown."""
    return sorted({s["source"] for s in manifest["sources"] if "unknown" in s["licences"]})


def escape(text: Any) -> str:
    """Write text from data into Markdown so that it stays text: one line, no markup, no HTML."""
    line = re.sub(r"\s+", " ", str(text))
    line = "".join(c if c.isprintable() else "�" for c in line)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~!{}])", r"\\\1", line)


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "1M<n<10M")


def _configs(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    configs: dict[str, dict[str, str]] = {}
    for file in manifest["files"]:
        folder = file["path"].split("/")[0]
        configs.setdefault(file["config"], {})[file["split"]] = f"{folder}/{file['split']}-*.parquet"
    return [
        {"name": name, "splits": [{"name": split, "path": path} for split, path in splits.items()]}
        for name, splits in configs.items()
    ]
