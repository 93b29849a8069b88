"""Measure how often the judges of choices, puzzles, form, loops, code, instructions and identity err.

    python benchmarks/judges.py --judges choice,identity --save

Judges the labelled cases of `judge_sets.py`, puzzles in a worker. Some of the errors go to standard error, one JSON
line to standard output: for every judge and set the right cases, those of them that were refused or unknown, the wrong
cases and those of them that passed, and the judgements per second. `--save` keeps the figures of the judges that were
measured in verifiers/error_rates.json, whole, and leaves the others there as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from typing import Any

from judge_sets import DATA, ROOT, SETS, Case

from verifiers import JUDGES, JudgePool, Task, Verdict, parse_reference
from verifiers.measured import keep_error_rates

FILE = ROOT / "verifiers" / "error_rates.json"


def measured(kind: str, name: str, pool: JudgePool, *, errors: int) -> dict[str, Any]:
    """Return the figures of one set; print some of its errors."""
    title, cases_of = SETS[kind][name]
    cases = list(cases_of())
    started = time.process_time() if kind != "puzzle" else time.perf_counter()
    said = list(pool.map(map(_task, cases))) if kind == "puzzle" else [_judged(case) for case in cases]
    seconds = (time.process_time() if kind != "puzzle" else time.perf_counter()) - started
    seen = Counter((case.is_right, _outcome(case, verdict)) for case, verdict in zip(cases, said, strict=True))
    wrong = [(c, v) for c, v in zip(cases, said, strict=True) if _outcome(c, v) != ("pass" if c.is_right else "fail")]
    for case, verdict in wrong[:errors]:
        print(f"{kind}/{name}: {case.note!r} {case.completion[-120:]!r}: {verdict.reason[:160]}", file=sys.stderr)
    return {
        "title": title,
        "right": sum(count for (is_right, _), count in seen.items() if is_right),
        "misses": seen[True, "fail"],
        "unknowns_of_right": seen[True, "unknown"],
        "wrong": sum(count for (is_right, _), count in seen.items() if not is_right),
        "false_passes": seen[False, "pass"],
        "unknowns_of_wrong": seen[False, "unknown"],
        "per_second": round(len(cases) / seconds) if seconds else None,
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", default=",".join(SETS), help=f"some of {', '.join(SETS)}")
    parser.add_argument("--errors", type=int, default=5, help="errors of each set to print")
    parser.add_argument("--save", action="store_true", help="keep the figures in verifiers/error_rates.json")
    arguments = parser.parse_args()
    kinds = arguments.judges.split(",")
    if unknown := set(kinds) - set(SETS):
        parser.error(f"no sets are of a judge {min(unknown)!r}; there are {', '.join(SETS)}")
    if not DATA.is_dir():
        parser.error(f"the sets need the data folder {DATA}")
    with JudgePool(1) as pool:
        found = {
            kind: {name: measured(kind, name, pool, errors=arguments.errors) for name in SETS[kind]} for kind in kinds
        }
    if arguments.save:
        _save(found)
    print(json.dumps({"benchmark": "judges", "judges": found}, ensure_ascii=False))


def _task(case: Case) -> Task:
    return Task(judge=case.judge, completion=case.completion, reference=parse_reference(case.reference))


def _judged(case: Case) -> Verdict:
    reference = None if case.reference is None else parse_reference(case.reference)
    prompt = None if case.prompt is None else [{"role": "user", "content": case.prompt}]
    return case.judge.judge(case.completion, reference, prompt)  # type: ignore[arg-type]


def _outcome(case: Case, verdict: Verdict) -> str:
    if case.bound is None or verdict.score is None:
        return verdict.outcome
    return "pass" if verdict.score <= case.bound else "fail"


def _save(found: dict[str, Any]) -> None:
    for kind, sets in found.items():
        kept = {name: {key: value for key, value in rows.items() if key != "per_second"} for name, rows in sets.items()}
        keep_error_rates(kind, version=JUDGES[kind].version, command="python benchmarks/judges.py", sets=kept)


if __name__ == "__main__":
    main()
