"""Measure how often the judge of mathematical answers errs, beside Math-Verify and a comparison of text.

    python benchmarks/verdicts.py --sets tables,gsm8k,math_self,math_others,math_near --size 1000

Judges labelled answers with `math_answer`, with Math-Verify in its default configuration and with a naive grader that
compares text, all three in the same run and in killable processes. A table goes to standard error, with some of the
cases where ours errs (`--errors`); one JSON line goes to standard output: for every grader, set and category the number
of right and wrong answers, precision (right answers among those that passed), recall (right answers that passed), false
passes, misses, and unknowns. An unknown counts neither as a false pass nor as a miss, but it is no agreement either.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from math_graders import GRADERS, Graded, Served
from math_sets import DATA, ROOT, SETS, Case, load

from verifiers import MathAnswer
from verifiers.measured import keep_error_rates

LIMIT_S = 20.0
"""Wall time after which a grader is killed: above the sum of Math-Verify's own limits."""


def judged(cases: Sequence[Case], names: Sequence[str], *, limit_s: float = LIMIT_S) -> dict[str, list[Graded]]:
    """Return what every grader says of every case, in their order."""
    found: dict[str, list[Graded]] = {}
    for name in names:
        with Served(name, limit_s=limit_s) as grader:
            found[name] = [grader.grade(case.reference, case.completion, case.prompt) for case in cases]
    return found


def figures(cases: Sequence[Case], graded: Sequence[Graded]) -> dict[str, Any]:
    """Return the figures of one grader on some cases."""
    seen = Counter((case.outcome, _plain(verdict.outcome)) for case, verdict in zip(cases, graded, strict=True))
    right = sum(count for (wanted, _), count in seen.items() if wanted == "pass")
    passed = sum(count for (_, said), count in seen.items() if said == "pass")
    true_passes, false_passes = seen["pass", "pass"], passed - seen["pass", "pass"]
    return {
        "cases": len(cases),
        "right": right,
        "wrong": len(cases) - right,
        "agreement": _share(sum(count for (wanted, said), count in seen.items() if wanted == said), len(cases)),
        "precision": _share(true_passes, passed),
        "recall": _share(true_passes, right),
        "false_passes": false_passes,
        "false_pass_rate": _share(false_passes, len(cases) - right),
        "misses": seen["pass", "fail"],
        "miss_rate": _share(seen["pass", "fail"], right),
        "unknowns_of_right": seen["pass", "unknown"],
        "unknowns_of_wrong": seen["fail", "unknown"],
        "killed": sum(verdict.outcome in ("killed", "died") for verdict in graded),
    }


def errors(cases: Sequence[Case], graded: Sequence[Graded]) -> list[dict[str, str]]:
    """Return the cases where a grader does not say what it should, false passes first."""
    wrong = [(c, g) for c, g in zip(cases, graded, strict=True) if _plain(g.outcome) != c.outcome]
    wrong.sort(key=lambda pair: (pair[1].outcome != "pass", pair[0].set, pair[0].category))
    return [
        {
            "set": case.set,
            "category": case.category,
            "should": case.outcome,
            "said": verdict.outcome,
            "reference": case.reference[:120],
            "answer": case.completion[-120:],
            "reason": verdict.reason[:160],
        }
        for case, verdict in wrong
    ]


def report(cases: Sequence[Case], graded: dict[str, list[Graded]]) -> dict[str, Any]:
    """Return figures by grader, set and category; each set also in all."""
    parts: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        parts.setdefault(f"{case.set}", []).append(place)
        parts.setdefault(f"{case.set}: {case.category}", []).append(place)
    return {
        name: {part: figures([cases[i] for i in places], [said[i] for i in places]) for part, places in parts.items()}
        for name, said in graded.items()
    }


def machine() -> dict[str, Any]:
    """Say what was measured, and on what."""
    command = ["git", "describe", "--always", "--dirty"]
    return {
        "commit": subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "math_verify": importlib.metadata.version("math-verify"),
        "sympy": importlib.metadata.version("sympy"),
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS), help=f"some of {', '.join(SETS)}")
    parser.add_argument("--size", type=int, default=0, help="cases of each set, chosen by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, default=True, help="also judge with the peers"
    )
    parser.add_argument("--errors", type=int, default=40, help="cases where ours errs to print; -1: all")
    parser.add_argument("--save", action="store_true", help="keep our figures in verifiers/error_rates.json")
    arguments = parser.parse_args()
    if arguments.save and (arguments.size or arguments.seed or arguments.sets != ",".join(SETS)):
        parser.error("--save keeps the figures of all sets, whole: leave --size, --seed and --sets out")
    unknown = set(arguments.sets.split(",")) - set(SETS)
    if unknown:
        parser.error(f"no set is called {min(unknown)!r}; there are {', '.join(SETS)}")
    if arguments.sets != "tables" and not DATA.is_dir():
        parser.error(f"all sets but `tables` need the data folder {DATA}")
    cases = load(arguments.sets.split(","), size=arguments.size, seed=arguments.seed)
    graded = judged(cases, list(GRADERS) if arguments.peers else ["ours"])
    wrong = errors(cases, graded["ours"])
    for error in wrong[: None if arguments.errors < 0 else arguments.errors]:
        print("ours errs:", json.dumps(error, ensure_ascii=False), file=sys.stderr)
    table = report(cases, graded)
    _print_table(table)
    if arguments.save:
        _save(table["ours"])
    result = {"benchmark": "verdicts", "size": arguments.size, "seed": arguments.seed, "graders": table, **machine()}
    print(json.dumps(result, ensure_ascii=False))


TITLES = {
    "tables": "cases written for this judge (its own tests)",
    "gsm8k": "GSM8K: completions of four models, labelled by their final answer",
    "math_self": "MATH: references against themselves",
    "math_others": "MATH: references against those of other problems",
    "math_near": "MATH: references against near misses of themselves",
}


def _save(ours: dict[str, Any]) -> None:
    kept = ("right", "misses", "unknowns_of_right", "wrong", "false_passes", "unknowns_of_wrong")
    sets = {name: {"title": TITLES[name], **{key: ours[name][key] for key in kept}} for name in SETS}
    keep_error_rates("math_answer", version=MathAnswer.version, command="python benchmarks/verdicts.py", sets=sets)


def _plain(outcome: str) -> str:
    return outcome if outcome in ("pass", "fail") else "unknown"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None


def _print_table(table: dict[str, Any]) -> None:
    columns = ("cases", "agreement", "precision", "recall", "false_passes", "misses", "unknowns_of_right", "killed")
    print(f"{'':44}" + "".join(f"{name:>18}" for name in columns), file=sys.stderr)
    for part in next(iter(table.values())):
        for name, parts in table.items():
            cells = "".join(f"{'-' if parts[part][c] is None else parts[part][c]:>18}" for c in columns)
            print(f"{part[:31]:31} {name:12}{cells}", file=sys.stderr)


if __name__ == "__main__":
    main()
