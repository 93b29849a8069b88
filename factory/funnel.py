"""Funnels: what came in, what each rule took, what was left. They add up, or the run stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from factory.scope import ProblemScope, SlotScope


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """One funnel. Lines are (step, label, rows): positive for a level, negative for what a rule took."""

    title: str
    """What is counted."""
    lines: tuple[tuple[str, str, int], ...]
    """From the top down."""

    def as_json(self) -> list[dict[str, Any]]:
        """Return the lines as JSON data."""
        return [{"step": step, "label": label, "rows": rows} for step, label, rows in self.lines]


def problem_funnel(problems: ProblemScope) -> Funnel:
    """Count problems: read = kept + dropped per rule."""
    rules = problems.dropped.group_by("rule", maintain_order=True).len().rows()
    assert problems.num_rows == problems.kept.height + sum(n for _, n in rules), rules
    lines = [("source", "read", problems.num_rows)]
    lines += [("source", rule, -n) for rule, n in rules]
    lines += [("source", "kept", problems.kept.height)]
    return Funnel(title="problems", lines=tuple(lines))


def slot_funnel(slots: SlotScope, fates: pl.DataFrame | None, filter_rules: tuple[str, ...]) -> Funnel:
    """Count slots: requested = stored + failed + missing; stored = kept + dropped per rule + superseded.

    `fates` is the frame of `mix.select` (or of `filter.fates` where the recipe has no mix).
    """
    lines = [("sample", "requested", slots.num_requested)]
    lines += [("sample", f"failed: {c}", -n) for c, n in slots.failed.group_by("class").len().sort("class").rows()]
    if not slots.missing.is_empty():
        lines.append(("sample", "not sampled yet", -slots.missing.height))
    lines.append(("sample", "stored", slots.stored.height))
    if num := slots.cut_off.filter(state="stored").height:
        lines.append(("sample", "of them continued", num))
    if num := slots.cut_off.filter(state="failed").height:
        lines.append(("sample", "could not be continued", num))
    if slots.num_superseded:
        lines.append(("sample", "superseded", slots.num_superseded))
    if fates is None:
        return Funnel(title="traces", lines=tuple(lines))
    counts = dict(fates.group_by("rule").len().rows())
    kept = counts.pop(None, 0)
    assert slots.stored.height == kept + sum(counts.values()), counts
    passed = slots.stored.height
    for rule in filter_rules:
        if rule in counts:
            lines.append(("filter", rule, -counts[rule]))
            passed -= counts.pop(rule)
    if filter_rules:
        lines.append(("filter", "passed", passed))
    for rule in ("out_of_scope", "per_problem", "rows"):
        if rule in counts:
            lines.append(("mix", rule, -counts.pop(rule)))
    assert not counts, counts
    lines.append(("mix", "kept", kept))
    return Funnel(title="traces", lines=tuple(lines))
