"""Call a function of lists from many threads: one of them at a time calls it, with all that waits.

In: items, from any thread. Out: the results of these items. A slow function so gets large batches and need not be
thread-safe. Before a call the rest is waited for a fiftieth of the time that the last call took: those whom it served
come back with their next items, and would otherwise find a call under way with the first one's alone. There is no
thread of its own, and no order between callers.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_SHARE = 1 / 50
_MOST_S = 0.1
"""Longest time that is waited for more items."""


class Together(Generic[_In, _Out]):
    """A function of lists that any number of threads may call."""

    def __init__(self, function: Callable[[list[_In]], Sequence[_Out]], *, most: int) -> None:
        """Wrap `function`, which returns one result per item; it is given at most `most` items."""
        assert most >= 1, most
        self._function, self._most = function, most
        self._is_called = False
        self._begin()

    def __call__(self, items: Sequence[_In]) -> list[_Out]:
        """Return one result per item. Raises what the function raised on the batch that an item was in."""
        if self._process != os.getpid():
            self._begin()  # in a forked child: whoever held the turn, or waited for it, is the parent's
        places: list[_Place[_In, _Out]] = [_Place(item) for item in items]
        with self._news:
            self._waiting.extend(places)
            while not all(place.is_done for place in places):
                if self._is_called:
                    self._news.wait()
                    continue
                self._is_called = True
                self._news.release()
                try:
                    self._serve()
                finally:
                    self._news.acquire()
                    self._is_called = False
                    self._news.notify_all()
        for place in places:
            if place.error is not None:
                raise place.error
        return [place.result for place in places]  # type: ignore[misc]  # it is done and has no error

    def _begin(self) -> None:
        self._process = os.getpid()
        self._waiting: deque[_Place[_In, _Out]] = deque()
        self._news = threading.Condition()
        self._is_called = False
        self._pause_s = 0.0

    def _serve(self) -> None:
        """Call the function once. Only one thread does at a time; others may add to what waits."""
        time.sleep(self._pause_s)
        batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        started = time.perf_counter()
        try:
            results = self._function([place.item for place in batch])
            assert len(results) == len(batch), (len(results), len(batch))
        except Exception as error:  # noqa: BLE001 - raised again in every thread that it concerns
            for place in batch:
                place.error, place.is_done = error, True
        except BaseException:
            self._waiting.extendleft(reversed(batch))  # Ctrl-C in this thread: what others wait for is still to do
            raise
        else:
            for place, result in zip(batch, results, strict=True):
                place.result, place.is_done = result, True
        self._pause_s = min(_MOST_S, (time.perf_counter() - started) * _SHARE)


@dataclass(slots=True, eq=False)
class _Place(Generic[_In, _Out]):
    """One item that waits."""

    item: _In
    result: _Out | None = None
    error: Exception | None = None
    is_done: bool = False
