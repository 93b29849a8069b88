"""Judge random and mutated mathematical text for as long as you like: always a verdict, memory flat, laws kept.

    python benchmarks/math_fuzz.py --examples 1000000

The texts are those of the tests (`tests/verifiers/math_grammar.py`), from other seeds: runs of LaTeX, damaged answers,
two spellings of one answer (which must pass), integers in many spellings against other integers and expressions against
themselves plus one (which must not pass). Judges in this process and prints one JSON line: judgements and their
outcomes, exceptions that a verdict reports, broken laws, median, p99 and the slowest CPU times, and memory at a tenth
of the run and at its end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappush, heappushpop
from random import Random

from math_graders import high_water, resident
from math_sets import ROOT, boxed
from verdicts import machine

from verifiers import MathAnswer, parse_reference

sys.path.insert(0, str(ROOT / "tests" / "verifiers"))
from math_grammar import TOKENS, junk, mutate, spell, spell_integer, thing, tree, wrapped

Example = tuple[str, str, str]
"""Reference, completion, and the law: `pass`, `no pass` or nothing."""


def runs(random: Random) -> Iterator[Example]:
    """Yield a run of LaTeX against an answer, or against another run."""
    yield thing(random)[0] if random.random() < 0.7 else junk(random), wrapped(junk(random), random), ""


def characters(random: Random) -> Iterator[Example]:
    """Yield characters of all scripts, with pieces of LaTeX among them."""
    marks = [chr(random.choice([random.randrange(128), random.randrange(0x3000), random.randrange(0x110000)]))]
    marks += random.choices(TOKENS, k=random.randint(0, 12))
    random.shuffle(marks)
    yield "\\frac{1}{2}", wrapped("".join(marks), random), ""


def damaged(random: Random) -> Iterator[Example]:
    """Yield an answer with a few places damaged, and such a reference."""
    reference, answer = thing(random)
    yield reference, wrapped(mutate(answer, random), random), ""
    yield mutate(reference, random), boxed(answer), ""


def spellings(random: Random) -> Iterator[Example]:
    """Yield two spellings of one answer."""
    reference, answer = thing(random)
    yield reference, boxed(answer), "pass"


def integers(random: Random) -> Iterator[Example]:
    """Yield an integer against itself and against another one."""
    size = random.choice([10, 1000, 10**6, 10**12, 10**40])
    number = random.randint(-size, size)
    other = number + random.choice([-10, -2, -1, 1, 2, 9, 10, 1000])
    yield str(number), boxed(spell_integer(number, random)), "pass"
    yield spell_integer(number, random), boxed(spell_integer(other, random)), "no pass"


def expressions(random: Random) -> Iterator[Example]:
    """Yield an expression against itself plus something, and against itself in disguise."""
    made = tree(random, 2)
    one = ("int", random.choice([1, 2, 10**6]))
    yield spell(made, random), boxed(spell(("add", made, one), random)), "no pass"
    yield spell(made, random), boxed(spell(("sub", ("add", made, one), one), random)), "no fail"


KINDS: tuple[Callable[[Random], Iterator[Example]], ...] = (runs, characters, damaged, spellings, integers, expressions)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000, help="judgements")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slowest", type=int, default=10, help="how many of the slowest to print")
    arguments = parser.parse_args()
    judge = MathAnswer()
    judge.prepare()
    outcomes: Counter[str] = Counter()
    raised: list[str] = []
    broken: list[str] = []
    num_raised = num_broken = 0
    slowest: list[tuple[float, str]] = []
    seconds: list[float] = []
    early: float | None = None
    random = Random(f"fuzz {arguments.seed}")
    while sum(outcomes.values()) < arguments.examples:
        for reference, completion, law in random.choice(KINDS)(random):
            reference = reference.encode("utf-8", "ignore").decode() or "0"  # noqa: PLW2901 - half a character is refused
            parsed = parse_reference({"kind": "answer", "value": reference})
            started = time.process_time()
            verdict = judge.judge(completion, parsed)
            spent = time.process_time() - started
            outcomes[verdict.outcome] += 1
            if len(seconds) < 100_000:
                seconds.append(spent)
            shown = f"{spent:.3f} s: {reference!r} against {completion!r}: {verdict.outcome}, {verdict.reason}"[:500]
            if len(slowest) < arguments.slowest:
                heappush(slowest, (spent, shown))
            else:
                heappushpop(slowest, (spent, shown))
            if "raised" in verdict.reason or verdict.cause == "transient":
                num_raised += 1
                raised.append(shown)
            is_kept = {"pass": verdict.outcome == "pass", "no pass": verdict.outcome != "pass"}.get(law, True)
            if not is_kept or (law == "no fail" and verdict.outcome == "fail"):
                num_broken += 1
                broken.append(f"must {law}: {shown}")
            raised, broken = raised[:50], broken[:200]
        if early is None and sum(outcomes.values()) >= arguments.examples / 10:
            early = resident()
    seconds.sort()
    for line in [*raised, *broken, *(shown for _, shown in sorted(slowest, reverse=True))]:
        print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    result = {
        "benchmark": "math_fuzz",
        "judgements": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "exceptions": num_raised,
        "broken_laws": num_broken,
        "median_ms": round(statistics.median(seconds) * 1e3, 3),
        "p99_ms": round(seconds[int(len(seconds) * 0.99)] * 1e3, 2),
        "slowest_s": round(max(slowest)[0], 3),
        "memory_mb": {"after a tenth": early, "end": resident(), "peak": high_water()},
        "seed": arguments.seed,
    }
    print(json.dumps(result | machine(), ensure_ascii=False))


if __name__ == "__main__":
    main()
