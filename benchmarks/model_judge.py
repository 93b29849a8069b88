"""What judging by a model costs besides the model, and how full a pool keeps an engine.

    python benchmarks/model_judge.py                 # prints one JSON line

The model is a stand-in: an engine that works on `--room` replies at a time, each after a random while, and writes the
right verdict. `framing_us` is the time of one judgement with a model that answers at once: the question and the reading
of the reply. `busy_fed` is the share of the engine's places that are taken while a recipe's pool judges, `busy_batches`
the same where the engine is a plain callable that takes lists and answers whole ones.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from factory.policy.completer import Completer
from factory.policy.protocol import taken
from factory.records import Completion, Slot
from verifiers import JudgePool, ModelJudge, Task, parse_reference

KEY = re.compile(r'\{"key": "([0-9a-f]{16})"')


def reply(prompt: str) -> str:
    """Write a verdict in the form that is asked for."""
    return json.dumps({"key": KEY.findall(prompt)[-1], "analysis": "It says so.", "correctness": "correct"})


class Engine:
    """Answers up to `room` questions at a time, each after 20 to 400 ms, most of them soon."""

    fingerprint, engine, unit_size, can_continue = "stand-in", "stand-in", None, False
    description: dict[str, Any] = {"model": "stand-in"}

    def __init__(self, room: int) -> None:
        self.room, self.busy, self.since = room, 0.0, time.perf_counter()
        self._draws = random.Random(1)

    def _seconds(self) -> float:
        return min(0.4, 0.02 + self._draws.expovariate(1 / 0.05))

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion]:
        """Yield completions as they finish."""
        stream, more, out = iter(slots), True, []
        while more or out:
            if more and len(out) < self.room:
                batch, more = taken(stream, self.room - len(out))
                for slot in batch:
                    seconds = self._seconds()
                    self.busy += seconds
                    heapq.heappush(out, (time.perf_counter() + seconds, slot.trace_id, slot))
            if not out:
                continue
            time.sleep(max(0.0, out[0][0] - time.perf_counter()))
            slot = heapq.heappop(out)[2]
            yield Completion(
                trace_id=slot.trace_id,
                text=reply(slot.prompt[0]["content"]),
                finish_reason="stop",
                num_prompt_tokens=0,
                num_completion_tokens=0,
            )

    def complete(self, asked: list[Any]) -> list[str]:
        """Answer a list, as a callable does: the slowest reply is waited for, in parts of `room`."""
        for start in range(0, len(asked), self.room):
            seconds = [self._seconds() for _ in asked[start : start + self.room]]
            self.busy += sum(seconds)
            time.sleep(max(seconds))
        return [reply(messages[0]["content"]) for messages in asked]

    def close(self) -> None:
        """Nothing is held."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=3000, help="judgements (default: %(default)s)")
    parser.add_argument("--room", type=int, default=64, help="replies the engine works on (default: %(default)s)")
    options = parser.parse_args()
    reference = parse_reference("Paris, France")
    prompt = [{"role": "user", "content": "What is the capital of France? " * 5}]
    texts = [
        f"<think>{'so ' * 400}</think>{'It lies on the Seine. ' * 40}It is Paris ({n})." for n in range(options.size)
    ]
    judge = ModelJudge(model="stand-in")

    at_once = judge.bound(lambda asked: [reply(messages[0]["content"]) for messages in asked])
    started = time.process_time()
    for text in texts:
        assert at_once.judge(text, reference, prompt).outcome == "pass"
    framing = (time.process_time() - started) / len(texts)

    def judged(bound: ModelJudge, engine: Engine) -> tuple[float, float]:
        with JudgePool(1) as pool:
            engine.since = time.perf_counter()
            tasks = (Task(judge=bound, completion=text, reference=reference, prompt=prompt) for text in texts)
            assert all(verdict.outcome == "pass" for verdict in pool.map(tasks))
            wall = time.perf_counter() - engine.since
        return len(texts) / wall, engine.busy / (wall * engine.room)

    fed, lists = Engine(options.room), Engine(options.room)
    with Completer(fed) as completer:  # type: ignore[arg-type]
        fed_rate, fed_busy = judged(judge.bound(completer), fed)
    list_rate, list_busy = judged(judge.bound(lists.complete), lists)
    print(
        json.dumps(
            {
                "benchmark": "model_judge",
                "size": options.size,
                "room": options.room,
                "framing_us": round(framing * 1e6),
                "fed_per_s": round(fed_rate),
                "busy_fed": round(fed_busy, 3),
                "batches_per_s": round(list_rate),
                "busy_batches": round(list_busy, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
