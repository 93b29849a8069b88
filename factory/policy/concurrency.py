"""How many requests one server is given at once.

In: what happens to requests (answered, overloaded) and, from a vLLM server, its own gauges. Out: `limit`. Nothing here
sends or waits; time comes in as an argument.

A vLLM server says how it is: the limit doubles while nothing waits there and its key-value cache has room, stays while
a few requests wait (so that the engine never runs dry), and shrinks when many wait or when it throws out running
requests for lack of memory. Other servers say only "too much": the limit doubles with each round of answers until that
happens, is halved at most once per round trip, and then grows by one per round, as TCP does. A few refusals in a
hundred are not about load and cut nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

START = 8
"""Requests that an unknown server is given first."""
CACHE_TARGET = 0.9
"""Share of the key-value cache above which a vLLM server is given no more."""
GAUGES_LAST_S = 5.0
"""Gauges older than this no longer count: the server is then treated as one that has none."""
TOLERATED = 0.05
"""Share of requests that may be refused for load before the limit is cut."""
_FEW_WAITING = 4
_FEW_WAITING_SHARE = 0.25

_GAUGE_LINE = re.compile(
    r"^vllm:(num_requests_waiting|num_requests_running|kv_cache_usage_perc|num_preemptions)(?:_total)?"
    r"(?:\{[^}\n]*\})? ([0-9.eE+-]+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What a vLLM server says of itself; sums over its engines."""

    running: float
    """Requests that it decodes now."""
    waiting: float
    """Requests that wait for room."""
    cache: float
    """Share of the key-value cache in use, 0 to 1; that of its fullest engine."""
    preemptions: float
    """Requests it has thrown out for lack of memory since it started."""


def read_gauges(text: str) -> Gauges | None:
    """Read the gauges from a server's /metrics; None if they are not vLLM's."""
    found: dict[str, list[float]] = {}
    for match in _GAUGE_LINE.finditer(text):
        try:
            found.setdefault(match.group(1), []).append(float(match.group(2)))
        except ValueError:
            return None
    if "num_requests_running" not in found or "num_requests_waiting" not in found:
        return None
    return Gauges(
        running=sum(found["num_requests_running"]),
        waiting=sum(found["num_requests_waiting"]),
        cache=max(found.get("kv_cache_usage_perc", [0.0])),
        preemptions=sum(found.get("num_preemptions", [0.0])),
    )


class Concurrency:
    """The limit of one server."""

    def __init__(self, maximum: int, *, start: int = START) -> None:
        self._maximum, self._start = maximum, min(start, maximum)
        self._limit = float(self._start)
        self._slow_from = math.inf
        self._last_cut = -math.inf
        self._num_outcomes = self._num_refused = 0
        self._gauged_at = -math.inf
        self._has_room = False
        self._preemptions: float | None = None

    @property
    def limit(self) -> int:
        """Most requests to have there at once."""
        return int(self._limit)

    def answered(self, now: float, *, in_flight: int) -> None:
        """Note an answer, with the requests that were there when it came, itself included."""
        self._count(refused=0)
        if in_flight < self.limit:
            return  # the limit was not what held us back
        if self._limit >= self._slow_from:
            if not self._has_gauges(now) or self._has_room:
                self._grow(1.0 / self._limit)
        elif not self._has_gauges(now):
            self._grow(1.0)

    def overloaded(self, now: float, *, sent_at: float) -> bool:
        """Note a refusal for load (429, 503) or a timeout of a request sent at `sent_at`; say whether it is one of
        many, and not one of the few in a hundred that are not about load.

        Requests that were on their way when the limit was last cut say nothing new.
        """
        if sent_at <= self._last_cut:
            return True
        self._count(refused=1)
        if self._num_refused > TOLERATED * max(self._num_outcomes, self._limit):
            idle = self._has_gauges(now) and self._has_room
            self._cut(max(self._limit / 2, self._start if idle else 1.0), now)
            return True
        return False

    def gauged(self, now: float, gauges: Gauges, *, in_flight: int) -> None:
        """Note what a vLLM server says of itself."""
        preempted = gauges.preemptions - (gauges.preemptions if self._preemptions is None else self._preemptions)
        self._gauged_at, self._preemptions = now, gauges.preemptions
        self._has_room = preempted <= 0 and gauges.waiting == 0 and gauges.cache < CACHE_TARGET
        if preempted > 0:
            self._cut(self._limit * 0.75, now)
        elif gauges.waiting > max(_FEW_WAITING, _FEW_WAITING_SHARE * gauges.running):
            self._cut(max(self._limit / 2, self._limit - gauges.waiting / 2), now)
        elif self._has_room and in_flight >= 0.9 * self.limit:
            if self._limit >= self._slow_from:
                self._grow(max(1.0, self._limit / 4))
            else:
                # Not past the share of the cache that is to be used, if requests to come are as long as those there.
                self._grow(self._limit * min(1.0, CACHE_TARGET / max(gauges.cache, 1e-9) - 1.0))

    def restart(self) -> None:
        """Begin anew with a server that was away."""
        self._limit, self._slow_from, self._preemptions = float(self._start), math.inf, None

    def _has_gauges(self, now: float) -> bool:
        return now - self._gauged_at <= GAUGES_LAST_S

    def _count(self, *, refused: int) -> None:
        """Count an outcome of this round, which is as long as the limit."""
        if self._num_outcomes >= self._limit:
            self._num_outcomes = self._num_refused = 0
        self._num_outcomes += 1
        self._num_refused += refused

    def _grow(self, by: float) -> None:
        self._limit = min(float(self._maximum), self._limit + by)

    def _cut(self, to: float, now: float) -> None:
        self._num_outcomes = self._num_refused = 0
        self._limit = min(self._limit, max(1.0, to))
        self._slow_from = self._limit
        self._last_cut = now
