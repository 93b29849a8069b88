"""A policy asked by many threads: fed while it works, failures told one by one, its end told to all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from factory.errors import PolicyError
from factory.policy.completer import PERMANENT, Completer
from factory.policy.protocol import taken
from factory.records import Completion, Failure, Slot
from verifiers import JudgeUnusable


def turn(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def completed(slot: Slot) -> Completion | Failure:
    text = slot.prompt[0]["content"]
    if text.startswith("fail "):
        return Failure(trace_id=slot.trace_id, error=text.removeprefix("fail "), message="so it is")
    return Completion(
        trace_id=slot.trace_id,
        text=text.upper(),
        finish_reason="stop",
        num_prompt_tokens=10,
        num_completion_tokens=2,
        cost=0.5,
    )


class Engine:
    """Works on up to `room` slots at a time, the newest first, pulling as the policies do."""

    fingerprint = "f"
    description = {"model": "fake"}
    engine = "fake"
    unit_size = None

    def __init__(self, room: int = 8, seconds: float = 0.0, fails_after: int | None = None) -> None:
        self.room, self.seconds, self.fails_after = room, seconds, fails_after
        self.in_flight: list[int] = []
        self.seeds: list[int] = []
        self.is_closed = False
        self.hangs = threading.Event()

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion | Failure]:
        stream, more, out = iter(slots), True, []
        while True:
            while more and len(out) < self.room:
                batch, more = taken(stream, self.room - len(out))
                out += batch
                if len(out) < self.room:
                    break
            if not out:
                assert not more, "a stream never says that it has none for now while nothing is out"
                return
            self.in_flight.append(len(out))
            if self.fails_after is not None and len(self.in_flight) > self.fails_after:
                raise PolicyError("the engine died")
            if out[-1].prompt[0]["content"] == "hang":
                self.hangs.set()
                while not self.is_closed:
                    time.sleep(0.01)
                return
            time.sleep(self.seconds)
            slot = out.pop()
            self.seeds.append(slot.seed)
            yield completed(slot)

    def close(self) -> None:
        self.is_closed = True


def test_many_threads_keep_the_engine_full() -> None:
    engine = Engine(room=8, seconds=0.002)
    with Completer(engine) as completer, ThreadPoolExecutor(32) as threads:
        replies = list(threads.map(lambda n: completer([turn(f"q{n}"), turn(f"r{n}")]), range(100)))
    assert [[reply.text for reply in pair] for pair in replies] == [[f"Q{n}", f"R{n}"] for n in range(100)]
    assert sum(engine.in_flight) / len(engine.in_flight) > 6, "it is fed while it works, not batch by batch"
    assert engine.is_closed
    used = completer.usage
    assert (used.num_asked, used.num_prompt_tokens, used.num_completion_tokens, used.cost) == (200, 2000, 400, 100.0)


def test_the_same_question_has_the_same_seed_also_twice_at_a_time() -> None:
    engine = Engine()
    with Completer(engine) as completer:
        first = completer([turn("a"), turn("a"), turn("b")])
        completer([turn("a")])
    assert [reply.text for reply in first] == ["A", "A", "B"]
    assert len(set(engine.seeds)) == 2


@pytest.mark.parametrize("error", ["timeout", "server_error", "malformed", *sorted(PERMANENT)])
def test_a_failure_is_a_reply_without_a_text(error: str) -> None:
    with Completer(Engine()) as completer:
        failed, fine = completer([turn(f"fail {error}"), turn("a")])
    assert (failed.text, failed.is_permanent) == (None, error in PERMANENT)
    assert failed.fault == f"{error}: so it is"
    assert fine.text == "A"
    assert completer.usage.num_faults == 1


def test_an_engine_that_dies_is_told_to_all_who_wait_and_who_come_later() -> None:
    completer = Completer(Engine(fails_after=3))
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(completer, [turn(f"q{n}")]) for n in range(20)]
        errors = [future.exception(timeout=10) for future in found]
    died = [error for error in errors if error is not None]
    assert len(died) == 17
    for error in died:
        assert isinstance(error, JudgeUnusable)
        assert isinstance(error.__cause__, PolicyError)
    with pytest.raises(JudgeUnusable, match="the engine died"):
        completer([turn("later")])
    completer.close()


def test_closing_does_not_wait_for_a_hung_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("factory.policy.completer._CLOSE_S", 0.2)
    engine = Engine()
    completer = Completer(engine)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(completer, [turn("hang")])
        assert engine.hangs.wait(10)
        completer.close()
        assert isinstance(waiting.exception(timeout=10), JudgeUnusable)
    completer.close()
    with pytest.raises(JudgeUnusable, match="closed"):
        completer([turn("a")])


def test_taking_from_a_stream() -> None:
    slots = [Slot(trace_id=str(n), problem_id="p", prompt=turn("a"), index=0, seed=0) for n in range(3)]
    stream = iter([slots[0], None, slots[1], slots[2]])
    assert taken(stream, 5) == ([slots[0]], True)
    assert taken(stream, 1) == ([slots[1]], True)
    assert taken(stream, 5) == ([slots[2]], False)
    assert taken(stream, 5) == ([], False)
