"""Which request goes to which server, how many at once, what is tried again, and who is away.

In: slots, and a coroutine that asks one server for one slot. Out: exactly one `Completion` or `Failure` per slot, or
the error that ends the run. It knows no HTTP; time and sleep are the event loop's, and all of it runs in that loop.

    add       takes slots
    _dispatch gives the next slot to the server with the most room
    _work     asks, and decides what a fault means: again elsewhere, set aside, or the server is away
    _watch    one per server: reads its gauges while it is up, knocks with growing pauses while it is down
    _clock    ends the run when no server was usable for too long

A slot is charged only for what may be its own fault. A server that cannot be reached, has no credit left or fails many
times in a row is set down until it answers again; then it must answer one request before it is given more. A status
that speaks of the key or the model (401, 403, 404, a redirect) can be a filter's answer to one prompt, and "too much"
that to a long one: other requests decide whether it is the server's, and where there are none, a question of ours
(`_PROBE`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from factory.errors import FactoryError, PolicyError
from factory.policy.concurrency import Concurrency
from factory.policy.server_answers import Fault
from factory.policy.server_client import ServerClient
from factory.records import Completion, Failure, ServerStatus, Slot

log = logging.getLogger(__name__)

BACKLOG = 16
"""Slots that wait here at least, so that a server with room need not wait for the caller."""
STREAK = 5
"""Faults in a row, without an answer between them, after which a server is taken to be away; an eighth of its limit if
that is more."""
MAX_BACKOFF_S = 60.0
_MAX_KNOCK_S = 10.0
_GAUGE_SECONDS = 1.0
_MAX_REFUSED_FIRST = 8
_MAX_PROBLEMS_REFUSED_FIRST = 3
"""Slots, and problems that they belong to, that may be refused before any is answered: if all that is under way then is
refused too, it is the recipe that is wrong, not the slots."""
_PROBE = Slot(trace_id="", problem_id="", prompt=({"role": "user", "content": "1+1?"},), index=0, seed=0)
"""Asked of a server that refuses all it is asked, to see whether it would answer something else."""
_OF_THE_TEXT = frozenset({"content_filter", "prompt_too_long"})
"""Faults of a text alone: a server that says so of a probe is at work."""
_WEIGHING = frozenset({"connection", "server_error", "timeout", "malformed"})
"""Faults that many of in a row mean a server is not well."""

Result = Completion | Failure | BaseException
Ask = Callable[[ServerClient, Slot], Awaitable[Completion | Fault]]


@dataclass(slots=True, kw_only=True)
class Timing:
    """How long things take; tests shorten them."""

    max_attempts: int = 5
    """Requests that a slot is given before it is set aside."""
    outage_s: float = 600.0
    """How long no server may be usable."""
    backoff_s: float = 0.5
    """Longest pause before the second attempt; it doubles with each."""
    knock_s: float = 0.5
    """First pause before a server that is away is asked whether it is back; it doubles with each."""


class Server:
    """One server as the pool sees it."""

    def __init__(self, client: ServerClient, *, max_in_flight: int, start: int) -> None:
        self.client = client
        self.concurrency = Concurrency(max_in_flight, start=start)
        self.state: Literal["starting", "up", "down"] = "up"
        self.on_trial = False
        self.gone: str | None = None
        self.in_flight = 0
        self.num_done = 0
        self.num_faults = 0
        self.streak = 0
        self.is_limiting = False
        self.refused_us = False
        self.paused_until = 0.0
        self.last_fault = ""
        self.knock_s = 0.0

    @property
    def limit(self) -> int:
        """Most requests that it is given at once now."""
        return min(1, self.concurrency.limit) if self.on_trial else self.concurrency.limit

    def room(self, now: float) -> int:
        """Return how many more requests it may be given now."""
        return self.limit - self.in_flight if self.takes_requests(now) else 0

    def takes_requests(self, now: float) -> bool:
        """Say whether it is there and has not asked to be left alone."""
        return self.state == "up" and now >= self.paused_until

    def status(self) -> ServerStatus:
        """Say how it is doing."""
        return ServerStatus(
            name=self.client.url,
            state=self.state,
            in_flight=self.in_flight,
            limit=self.limit if self.state == "up" else 0,
            num_done=self.num_done,
            num_faults=self.num_faults,
        )


@dataclass(slots=True, eq=False)
class _Item:
    slot: Slot
    num_answers: int
    """Answers that the pool had had when this slot last came back, or was taken."""
    num_faults: int = 0
    attempts: int = 0
    """Those of its faults that it is charged for."""
    avoid: Server | None = None
    is_limited: bool = False
    """Whether its last fault was "too much"."""


class ServerPool:
    """Servers that answer for one policy. All methods are for the event loop's thread, except those that say so."""

    def __init__(self, servers: Sequence[Server], ask: Ask, timing: Timing, *, health_path: str | None) -> None:
        self.servers = tuple(servers)
        self._ask, self._timing, self._health_path = ask, timing, health_path
        self._random = random.Random()  # for times only: no text depends on it
        self._deliver: Callable[[Result], None] | None = None
        self._waiting: deque[_Item] = deque()
        self._again: deque[_Item] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watchers: list[asyncio.Task[None]] = []
        self._num_pausing = 0
        self._num_answers = 0
        self._all_given = False
        self._refused: list[tuple[str, Failure]] = []
        self._usable_at = 0.0

    def capacity(self) -> int:
        """Return how many slots to hand over in all: those in flight and a backlog. From any thread."""
        limits = sum(server.limit for server in self.servers if server.state == "up")
        return limits + max(BACKLOG, limits // 4)

    def start(self) -> None:
        """Begin to watch the servers."""
        self._usable_at = self._now()
        self._watchers = [asyncio.create_task(self._watch(server)) for server in self.servers]
        self._watchers.append(asyncio.create_task(self._clock()))

    async def stop(self) -> None:
        """Stop watching, and give up what is in flight; who still waits for results is told."""
        self._end(PolicyError("the policy was closed while it sampled"))
        for task in self._watchers:
            task.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self.cancel()

    def begin(self, deliver: Callable[[Result], None]) -> None:
        """Begin a run of slots, whose results go to `deliver`."""
        assert self._deliver is None, "one run at a time"
        self._forget()
        self._deliver = deliver
        self._all_given = False
        self._usable_at = self._now()

    def add(self, slots: Iterable[Slot]) -> None:
        """Take slots to work on."""
        self._waiting.extend(_Item(slot, self._num_answers) for slot in slots)
        self._dispatch()

    def no_more(self) -> None:
        """Note that there are no further slots, or none for now."""
        self._all_given = True
        self._settle()

    async def cancel(self) -> None:
        """End the run: give up what waits and what is in flight, at once."""
        self._forget()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def mark_down(self, server: Server, why: str, *, state: Literal["starting", "down"] = "down") -> None:
        """Give a server no more requests until it answers again."""
        server.last_fault = why
        if server.state == "up":
            log.warning("server %s is away: %s", server.client.url, why)
        if server.state == "up" or state == "starting":
            server.knock_s = self._timing.knock_s if server.knock_s == 0.0 else min(_MAX_KNOCK_S, server.knock_s * 2)
        server.state = state

    def _dispatch(self) -> None:
        """Give slots away while any server has room; those that failed before go first, and elsewhere if possible."""
        now = self._now()
        while self._again or self._waiting:
            queue, server = self._again, None
            if self._again:
                server = self._freest(now, avoid=self._again[0].avoid)
            if server is None and self._waiting and not self._refuse_all():
                queue, server = self._waiting, self._freest(now, avoid=None)
            if server is None:
                return
            self._give(server, queue.popleft())

    def _freest(self, now: float, *, avoid: Server | None) -> Server | None:
        """Return one on trial, else the server with the most room; the one to avoid only if no other takes requests."""
        best, most = None, 0
        others = avoid is not None and any(s is not avoid and s.takes_requests(now) for s in self.servers)
        for server in self.servers:
            room = 0 if others and server is avoid else server.room(now)
            if room > 0 and server.on_trial:
                return server  # else nothing would be asked of it as long as the others have more room
            if room > most:
                best, most = server, room
        return best

    def _give(self, server: Server, item: _Item) -> None:
        server.in_flight += 1
        task = asyncio.create_task(self._work(server, item))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, server: Server, item: _Item) -> None:
        sent_at = self._now()
        try:
            outcome = await self._ask(server.client, item.slot)
        except FactoryError as error:  # the slot cannot be put in the form that the recipe asks for
            outcome = Fault(error="prompt_form", message=error.message, permanent=True)
        except Exception as error:  # noqa: BLE001  (a mistake of ours: said in the caller's thread)
            self._end(error)
            return
        finally:
            in_flight = server.in_flight
            server.in_flight -= 1
        if item.slot is _PROBE:
            self._note_probe(server, outcome)
        elif isinstance(outcome, Completion):
            self._note_answer(server, in_flight)
            self._give_back(outcome)
        else:
            self._note_fault(server, outcome, sent_at, is_first=item.attempts == 0)
            if self._deliver is None:
                return  # that fault ended the run
            self._retry_or_set_aside(server, item, outcome)
        if server.refused_us and server.state == "down" and not server.in_flight and item.slot is not _PROBE:
            self._give(server, _Item(_PROBE, 0))
        self._dispatch()
        self._settle()

    def _note_answer(self, server: Server, in_flight: int) -> None:
        server.num_done += 1
        server.streak, server.knock_s, server.on_trial = 0, 0.0, False
        server.is_limiting = server.refused_us = False
        server.concurrency.answered(self._now(), in_flight=in_flight)
        self._usable_at = self._now()

    def _note_fault(self, server: Server, fault: Fault, sent_at: float, *, is_first: bool) -> None:
        if fault.error == "prompt_form":
            return
        server.num_faults += 1
        server.last_fault = fault.message
        now = self._now()
        many = fault.overload and server.concurrency.overloaded(now, sent_at=sent_at)
        if many and fault.retry_after_s is not None:
            server.paused_until = max(server.paused_until, now + fault.retry_after_s)
            asyncio.get_running_loop().call_later(fault.retry_after_s + 0.001, self._dispatch)
        server.is_limiting = server.is_limiting or fault.error == "rate_limited"
        if fault.error in _WEIGHING or fault.of_server:
            # One slot whose every answer is garbled says nothing of the server.
            server.streak += is_first or fault.error != "malformed"
        else:
            server.streak = 0
        enough = 1 if server.on_trial else max(STREAK, server.limit // 8)
        doubtful = fault.error == "unavailable" and server.in_flight > 0  # then what is in flight will tell
        if (fault.of_server and not doubtful) or server.streak >= enough:
            server.refused_us = fault.error == "unavailable"
            self.mark_down(server, fault.message)
        if fault.error == "no_credit":
            self._end_if_useless(server, fault)

    def _note_probe(self, server: Server, outcome: Completion | Fault) -> None:
        """Let a server work again that answers a probe; leave it alone otherwise."""
        if isinstance(outcome, Fault) and outcome.otherwise is None and outcome.error not in _OF_THE_TEXT:
            if outcome.error != "rate_limited":
                self.mark_down(server, outcome.message)
            self._end_if_useless(server, outcome)
            return
        server.refused_us = False
        if server.state == "down":
            self._welcome(server)
        self._note_answer(server, 1)
        server.num_done -= 1
        self._num_answers += 1
        self._say_refused()

    def _end_if_useless(self, server: Server, fault: Fault) -> None:
        """End the run if no server ever answered anything, and this fault says that it will not either."""
        never = fault.of_server and fault.error != "connection" and self._num_answers == 0
        if never and all(other.state == "down" and not other.in_flight for other in self.servers):
            message = f"{server.client.url} does not answer: {fault.message}"
            self._end(PolicyError(message, hint="check `urls`, `model`, the key and its credit"))

    def _retry_or_set_aside(self, server: Server, item: _Item, fault: Fault) -> None:
        item.avoid, item.is_limited = server, fault.error == "rate_limited"
        item.num_faults += 1
        item.attempts += self._is_charged(item, fault)
        item.num_answers = self._num_answers
        # A key that is withdrawn meets all that is in flight: that alone sets nothing aside.
        most = max(2, self._timing.max_attempts) if fault.of_server else self._timing.max_attempts
        last = fault.permanent or item.attempts >= most
        if last and fault.otherwise is not None:
            self._give_back(fault.otherwise)
        elif last:
            failure = Failure(
                trace_id=item.slot.trace_id, error=fault.error, message=fault.message, attempts=item.attempts
            )
            self._set_aside(item.slot.problem_id, failure)
        elif fault.error == "connection" and fault.of_server:
            self._again.append(item)
        elif fault.of_server:
            self._waiting.append(item)  # not first, or it would meet every trial of that server
        else:
            self._num_pausing += 1
            pause = self._pause(server, item, fault)
            asyncio.get_running_loop().call_later(pause, self._try_again, item, self._deliver)

    def _is_charged(self, item: _Item, fault: Fault) -> bool:
        """Say whether a fault may be the slot's own: whether others were answered since its last."""
        if fault.error in ("unavailable", "rate_limited"):
            return self._num_answers > item.num_answers
        return not fault.of_server

    def _pause(self, server: Server, item: _Item, fault: Fault) -> float:
        """Return how long a slot waits for its next attempt: "full jitter", and what the only server there asks for."""
        longest = min(MAX_BACKOFF_S, self._timing.backoff_s * 2 ** min(item.num_faults - 1, 32))
        pause = self._random.uniform(0.0, longest)
        now = self._now()
        if fault.retry_after_s is None or any(s is not server and s.takes_requests(now) for s in self.servers):
            return pause
        return max(pause, fault.retry_after_s)

    def _try_again(self, item: _Item, run: object) -> None:
        if run is self._deliver:  # else its run has ended meanwhile
            self._num_pausing -= 1
            self._again.append(item)
            server = item.avoid
            unanswered = item.is_limited and item.num_answers == self._num_answers
            if unanswered and server is not None and server.state == "up" and not server.in_flight:
                self._give(server, _Item(_PROBE, 0))  # it may be this slot that is too much, by its length
            self._dispatch()

    def _give_back(self, completion: Completion) -> None:
        self._num_answers += 1
        self._say_refused()
        self._say(completion)

    def _set_aside(self, problem_id: str, failure: Failure) -> None:
        """Give a failure back; refusals are kept until one slot is answered, for it may be all that are refused."""
        if failure.error != "refused" or self._num_answers > 0:
            self._say(failure)
        else:
            self._refused.append((problem_id, failure))

    def _refuse_all(self) -> bool:
        """Say whether so much was refused, and nothing answered, that no further slots are to be asked for."""
        many = len(self._refused) >= _MAX_REFUSED_FIRST
        return many and len({problem_id for problem_id, _ in self._refused}) >= _MAX_PROBLEMS_REFUSED_FIRST

    def _settle(self) -> None:
        """Decide on the refusals that were kept, once nothing is under way that may still be answered."""
        if self._again or self._num_pausing or any(server.in_flight for server in self.servers):
            return
        if self._refuse_all():
            message = f"the server refuses every request: {self._refused[-1][1].message}"
            self._end(PolicyError(message, hint="see which parameter of the recipe it does not understand"))
        elif self._all_given and not self._waiting:
            self._say_refused()

    def _say_refused(self) -> None:
        refused, self._refused = self._refused, []
        for _, failure in refused:
            self._say(failure)

    def _say(self, result: Result) -> None:
        if self._deliver is not None:
            self._deliver(result)

    def _end(self, error: BaseException) -> None:
        """End the run with an error."""
        self._say(error)
        self._forget()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    def _forget(self) -> None:
        """Drop what is left of a run; timers that it set do nothing any more."""
        self._deliver = None
        self._waiting.clear()
        self._again.clear()
        self._refused.clear()
        self._num_pausing = 0

    async def _watch(self, server: Server) -> None:
        while True:
            if server.state == "up":
                gauges = await server.client.gauges() if self._health_path is not None else None
                if gauges is not None:
                    server.concurrency.gauged(self._now(), gauges, in_flight=server.in_flight)
                    self._dispatch()
                await self._pause_while_up(server)
            else:
                await asyncio.sleep(server.knock_s * self._random.uniform(0.5, 1.0))
                # The list of models asks for the key, `/health` does not.
                path = None if server.refused_us else self._health_path
                if server.gone is None and await server.client.healthy(path=path):
                    self._welcome(server)
                elif server.state == "down":
                    server.knock_s = min(_MAX_KNOCK_S, server.knock_s * 2)

    async def _pause_while_up(self, server: Server) -> None:
        """Wait for the next look at the gauges, less if the server goes down meanwhile."""
        until = self._now() + _GAUGE_SECONDS
        while server.state == "up" and self._now() < until:
            await asyncio.sleep(min(_GAUGE_SECONDS, self._timing.knock_s))

    def _welcome(self, server: Server) -> None:
        log.info("server %s answers", server.client.url)
        server.state, server.on_trial, server.streak, server.paused_until = "up", True, 0, 0.0
        server.is_limiting = False
        server.concurrency.restart()
        if server.refused_us and self._deliver is not None:
            self._give(server, _Item(_PROBE, 0))
        self._dispatch()

    async def _clock(self) -> None:
        """End the run when no server was usable for too long, though there was something to do.

        One on trial, or that only says "too much", is usable while it works on a request.
        """
        while True:
            await asyncio.sleep(min(1.0, self._timing.outage_s / 4))
            up = [server for server in self.servers if server.state == "up"]
            if self._is_idle() or any(not server.on_trial and not server.is_limiting for server in up):
                self._usable_at = self._now()
            elif any(server.in_flight for server in up):
                continue
            elif all(s.gone for s in self.servers) or self._now() - self._usable_at > self._timing.outage_s:
                self._end(self._outage())

    def _is_idle(self) -> bool:
        waits = self._waiting or self._again or self._num_pausing
        return not waits and not any(server.in_flight for server in self.servers)

    def _outage(self) -> PolicyError:
        why = "; ".join(f"{s.client.url}: {s.gone or s.last_fault}" for s in self.servers)
        return PolicyError(
            f"no server was usable for {self._timing.outage_s:g} s ({why})",
            hint="run again once one is: what is done is kept, and nothing is recorded against the slots in flight",
        )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
