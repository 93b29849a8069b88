"""Measure how fast answers are judged, and what hostile answers cost.

    python benchmarks/math_verdicts.py --size 1000

Speed: realistic answers (references of MATH against themselves and with one digit changed, recorded completions of
GSM8K), each judged once by `math_answer` and by Math-Verify, in turns of 50, each in one
warm process; judgements per second,
median, p99 and maximum of the wall time, the same of the CPU time, and the ratio of the two. Hostile answers: every one
of `tests/verifiers/hostile_answers.py` against `--references` references, in the main thread, in another thread, and
without gmpy2 where it is installed; the longest, those over a second, those that passed, and the most memory that the
judging processes ever held. Prints one JSON line; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Sequence
from random import Random
from typing import Any

from math_graders import Graded, Served
from math_sets import ROOT, Case, boxed, change_digit, gsm8k, math_references
from verdicts import LIMIT_S, machine

sys.path.insert(0, str(ROOT / "tests" / "verifiers"))
from hostile_answers import HOSTILE, PAYLOADS, REFERENCES

SLOW_S = 1.0
"""A hostile answer that takes longer is named."""


def realistic(size: int, seed: int) -> dict[str, list[Case]]:
    """Return what models answer: right answers as they stand, answers with one digit changed, whole completions."""
    random = Random(f"speed {seed}")
    references = random.sample(math_references(), size)
    changed = [(reference, change_digit(reference, random)) for reference in references]
    completions = gsm8k()
    return {
        "math, the reference itself": [_case(reference, boxed(reference)) for reference in references],
        "math, one digit changed": [_case(reference, boxed(wrong)) for reference, wrong in changed if wrong],
        "gsm8k completions": random.sample(completions, min(size, len(completions))),
    }


BLOCK = 50
"""Answers that one grader judges before it is the other's turn: in bulk, as they do in use, with their caches warm."""


def speed(cases: Sequence[Case], names: Sequence[str]) -> dict[str, list[Graded]]:
    """Return what every grader says, the graders taking turns so that a busy machine slows them all."""
    graders = [Served(name, limit_s=LIMIT_S) for name in names]
    found: dict[str, list[Graded]] = {name: [] for name in names}
    try:
        for grader in graders:
            grader.grade("3", "\\boxed{3}")
        for turn, start in enumerate(range(0, len(cases), BLOCK)):
            for grader in graders if turn % 2 else graders[::-1]:
                block = [(case.reference, case.completion, None) for case in cases[start : start + BLOCK]]
                found[grader.name] += grader.grade_many(block)
    finally:
        for grader in graders:
            grader.close()
    return found


def times(graded: Sequence[Graded]) -> dict[str, Any]:
    """Return rate and percentiles of wall and CPU time."""
    figures: dict[str, Any] = {"answers": len(graded)}
    for clock in ("wall_s", "cpu_s"):
        seconds = sorted(getattr(verdict, clock) for verdict in graded)
        figures[clock.removesuffix("_s")] = {
            "per_second": round(len(seconds) / sum(seconds), 1),
            "median_ms": round(statistics.median(seconds) * 1e3, 4),
            "p99_ms": round(seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))] * 1e3, 3),
            "max_ms": round(seconds[-1] * 1e3, 2),
        }
    return figures


def compared(graded: dict[str, list[Graded]]) -> dict[str, Any]:
    """Return the times of every grader, and how many times faster the first is than the second."""
    figures: dict[str, Any] = {name: times(said) for name, said in graded.items()}
    if "math_verify" in figures:
        us, them = figures["ours"], figures["math_verify"]
        for clock in ("wall", "cpu"):
            figures[f"ratio_{clock}"] = {
                "of_throughput": round(us[clock]["per_second"] / them[clock]["per_second"], 1),
                "of_medians": round(them[clock]["median_ms"] / us[clock]["median_ms"], 1),
            }
    return figures


def hostile(name: str, answers: dict[str, str], references: dict[str, str], **how: bool) -> dict[str, Any]:
    """Judge every hostile answer against every reference and return the worst of it."""
    found: list[tuple[str, str, Graded]] = []
    with Served(name, limit_s=LIMIT_S, **how) as grader:
        for answer, completion in answers.items():
            for kind, reference in references.items():
                found.append((answer, kind, grader.grade(reference, completion)))
    slow = sorted((f for f in found if f[2].wall_s > SLOW_S), key=lambda f: -f[2].wall_s)
    return {
        "judgements": len(found),
        "max_wall_s": round(max(g.wall_s for _, _, g in found), 3),
        "max_cpu_s": round(max(g.cpu_s for _, _, g in found), 3),
        "over_1_s_wall": sum(g.wall_s > SLOW_S for _, _, g in found),
        "over_1_s_cpu": sum(g.cpu_s > SLOW_S for _, _, g in found),
        "killed": [f"{a} / {k}" for a, k, g in found if g.outcome in ("killed", "died")],
        "passed": [f"{a} / {k}" for a, k, g in found if g.outcome == "pass"],
        "raised": [f"{a} / {k}: {g.reason}" for a, k, g in found if "raised" in g.reason][:40],
        "peak_mb": max(g.peak_mb for _, _, g in found),
        "slow": [f"{a} / {k}: {g.wall_s:.2f} s, {g.cpu_s:.2f} s CPU" for a, k, g in slow[:40]],
        "slowest": [f"{a} / {k}: {g.cpu_s:.3f} s CPU" for a, k, g in sorted(found, key=lambda f: -f[2].cpu_s)[:8]],
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=600, help="answers of each realistic set; 0: no speed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--references", type=int, default=3, help="references that each hostile answer meets; 0: none")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="also measure Math-Verify")
    parser.add_argument("--peer-hostile", type=int, default=0, help="hostile answers that Math-Verify gets as well")
    arguments = parser.parse_args()
    names = ["ours", "math_verify"] if arguments.peers else ["ours"]
    result: dict[str, Any] = {"benchmark": "math_verdicts", "seed": arguments.seed, "speed": {}, "hostile": {}}
    everything: dict[str, list[Graded]] = {name: [] for name in names}
    for part, cases in realistic(arguments.size, arguments.seed).items() if arguments.size else ():
        graded = speed(cases, names)
        result["speed"][part] = compared(graded)
        for name in names:
            everything[name] += graded[name]
        _say(part, result["speed"][part])
    if arguments.size:
        result["speed"]["all"] = compared(everything)
        _say("all", result["speed"]["all"])

    answers = HOSTILE | {f"payload {number}": boxed(payload) for number, payload in enumerate(PAYLOADS)}
    references = dict(list(REFERENCES.items())[:: -(-len(REFERENCES) // max(1, arguments.references))])
    has_gmpy2 = importlib.util.find_spec("gmpy2") is not None
    modes: dict[str, dict[str, bool]] = {"main thread": {}, "another thread": {"in_thread": True}}
    if has_gmpy2:
        modes["without gmpy2"] = {"without_gmpy2": True}
    result["gmpy2"] = has_gmpy2
    if arguments.references:
        for mode, how in modes.items():
            result["hostile"][mode] = hostile("ours", answers, references, **how)
            _say(mode, result["hostile"][mode])
    if arguments.peer_hostile:
        some = dict(Random(arguments.seed).sample(list(answers.items()), arguments.peer_hostile))
        result["hostile"]["math_verify"] = hostile("math_verify", some, dict([next(iter(references.items()))]))
        _say("math_verify", result["hostile"]["math_verify"])
    print(json.dumps(result | machine(), ensure_ascii=False))


def _case(reference: str, completion: str) -> Case:
    return Case(set="speed", category="", reference=reference, completion=completion, outcome="")


def _say(part: str, figures: dict[str, Any]) -> None:
    print(part, json.dumps(figures, ensure_ascii=False, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
