"""The load of a mock server: who is decoded, who waits, and what was counted.

In: requests that begin and end. Out: the numbers behind `/metrics` and `/mock/stats`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Any

from factory.testing.mock_behaviour import MockBehaviour


def slot_key(prompt: str, seed: Any) -> bytes:
    """Return what names a rendered prompt and a seed among the counters and in the draw of faults."""
    return blake2b(f"{seed} {prompt}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


class MockEngine:
    """Counts what goes on in a mock server. Lives in the server's event loop."""

    def __init__(self, behaviour: MockBehaviour) -> None:
        self._behaviour = behaviour
        self._places = asyncio.Semaphore(behaviour.capacity)
        self._tokens_held = 0
        self.running = 0
        self.waiting = 0
        self.preemptions = 0
        self.in_flight = 0
        self._requests = 0
        self._most_in_flight = 0
        self._most_running = 0
        self._most_waiting = 0
        self._faults: Counter[str] = Counter()
        self._attempts: Counter[bytes] = Counter()
        self._answers: Counter[bytes] = Counter()

    def begin(self, slot: bytes) -> int:
        """Note a request for a slot; returns how many there were before."""
        self._requests += 1
        self.in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self.in_flight)
        attempt = self._attempts[slot]
        self._attempts[slot] = attempt + 1
        return attempt

    def answered(self, slot: bytes) -> None:
        """Note that a slot got a right answer."""
        self._answers[slot] += 1

    def failed(self, fault: str) -> None:
        """Note that a request met a fault, or was refused."""
        self._faults[fault] += 1

    @property
    def full(self) -> bool:
        """Whether no request may wait any more."""
        limit = self._behaviour.queue
        return limit is not None and self._places.locked() and self.waiting >= limit

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, at most 1."""
        if self._behaviour.kv_tokens is None:
            return self.running / self._behaviour.capacity
        return min(1.0, self._tokens_held / self._behaviour.kv_tokens)

    @asynccontextmanager
    async def decoding(self, num_tokens: int) -> AsyncIterator[float]:
        """Hold one of the places while decoding; gives the factor by which that takes longer."""
        waits = self._places.locked()
        self.waiting += waits
        self._most_waiting = max(self._most_waiting, self.waiting)
        try:
            await self._places.acquire()
        finally:
            self.waiting -= waits
        self.running += 1
        self._tokens_held += num_tokens
        self._most_running = max(self._most_running, self.running)
        kv_tokens = self._behaviour.kv_tokens
        preempted = kv_tokens is not None and self._tokens_held > kv_tokens
        self.preemptions += preempted
        try:
            yield 2.0 if preempted else 1.0
        finally:
            self.running -= 1
            self._tokens_held -= num_tokens
            self._places.release()

    def stats(self, *, slots: bool) -> dict[str, Any]:
        """Return the counters; with `slots`, also the number of right answers by slot key (hex)."""
        stats: dict[str, Any] = {
            "requests": self._requests,
            "slots": len(self._attempts),
            "answers": sum(self._answers.values()),
            "slots_by_answers": {str(n): count for n, count in sorted(Counter(self._answers.values()).items())},
            "most_attempts": max(self._attempts.values(), default=0),
            "faults": dict(sorted(self._faults.items())),
            "in_flight": self.in_flight,
            "most_in_flight": self._most_in_flight,
            "most_running": self._most_running,
            "most_waiting": self._most_waiting,
            "preemptions": self.preemptions,
        }
        if slots:
            stats["answers_by_slot"] = {slot.hex(): count for slot, count in self._answers.items()}
        return stats
