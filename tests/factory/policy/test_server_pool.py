"""How many requests a server is given, and which server gets what: without HTTP."""

import asyncio
from collections import Counter

import pytest

from factory.errors import PolicyError
from factory.policy.concurrency import Concurrency, Gauges, read_gauges
from factory.policy.server_answers import Fault
from factory.policy.server_pool import Server, ServerPool, Timing
from factory.records import Completion, Failure, Slot

FAST = {"backoff_s": 0.001, "knock_s": 0.01}


def idle(cache=0.1):
    return Gauges(running=10, waiting=0, cache=cache, preemptions=0)


def answers(limit, count):
    for at in range(count):
        limit.answered(float(at), in_flight=limit.limit)


def test_without_gauges_the_limit_doubles_each_round_and_stays_below_its_maximum():
    limit = Concurrency(100, start=8)
    answers(limit, 8)
    assert limit.limit == 16
    answers(limit, 16)
    assert limit.limit == 32
    answers(limit, 500)
    assert limit.limit == 100


def test_answers_below_the_limit_say_nothing():
    limit = Concurrency(100, start=8)
    for _ in range(50):
        limit.answered(0.0, in_flight=7)
    assert limit.limit == 8


def test_refusals_halve_it_once_per_round_trip_then_it_grows_by_one_per_round():
    limit = Concurrency(256, start=64)
    for at in range(20):  # all sent before the first refusal came
        limit.overloaded(10.0 + at, sent_at=9.0)
    assert limit.limit == 32
    for _ in range(20):
        limit.overloaded(40.0, sent_at=35.0)
    assert limit.limit == 16
    for _ in range(17):
        limit.answered(41.0, in_flight=limit.limit)
    assert limit.limit == 17


def test_a_few_refusals_in_a_hundred_cut_nothing():
    limit = Concurrency(200, start=200)
    for at in range(1000):
        if at % 50 == 0:
            limit.overloaded(float(at), sent_at=at - 0.5)
        else:
            limit.answered(float(at), in_flight=limit.limit)
    assert limit.limit == 200


def test_it_never_falls_below_one():
    limit = Concurrency(64)
    for at in range(50):
        limit.overloaded(float(at), sent_at=at - 0.5)
    assert limit.limit == 1


GAUGES = {
    # name: (gauges, in flight, limit that follows 64)
    "idle: doubles": (idle(), 64, 128),
    "idle, but the limit is not used": (idle(), 20, 64),
    "the cache would overflow: only up to its share": (idle(cache=0.6), 64, 96),
    "the cache is full enough": (idle(cache=0.95), 64, 64),
    "few wait: stays": (Gauges(running=60, waiting=4, cache=0.5, preemptions=0), 64, 64),
    "many wait: half of them fewer": (Gauges(running=32, waiting=32, cache=0.5, preemptions=0), 64, 48),
    "very many wait (others ask too): at most halved": (Gauges(running=9, waiting=999, cache=1, preemptions=0), 64, 32),
    "requests were thrown out": (Gauges(running=64, waiting=0, cache=0.5, preemptions=3), 64, 48),
}


@pytest.mark.parametrize("name", GAUGES)
def test_gauges_of_vllm_decide(name):
    gauges, in_flight, expected = GAUGES[name]
    limit = Concurrency(256, start=64)
    limit.gauged(0.0, idle(), in_flight=0)
    limit.gauged(1.0, gauges, in_flight=in_flight)
    assert limit.limit == expected


def test_with_gauges_answers_do_not_double_it_and_old_gauges_do_not_count():
    limit = Concurrency(256, start=64)
    limit.gauged(0.0, idle(cache=0.95), in_flight=64)
    limit.answered(1.0, in_flight=64)
    assert limit.limit == 64
    limit.answered(60.0, in_flight=64)
    assert limit.limit == 65


def test_a_server_that_says_it_is_idle_keeps_its_start():
    limit = Concurrency(256, start=64)
    for at in range(30):
        limit.gauged(float(at), idle(), in_flight=0)
        limit.overloaded(at + 0.5, sent_at=at + 0.25)
    assert limit.limit == 64


def test_gauges_are_read_and_summed_over_engines():
    text = """# HELP vllm:num_requests_running Number of requests
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5
vllm:num_preemptions_total{engine="0",model_name="m"} 2.0
"""
    assert read_gauges(text) == Gauges(running=7, waiting=1, cache=0.5, preemptions=2)


@pytest.mark.parametrize("text", ["", "process_cpu_seconds_total 4.0", "vllm:num_requests_running{} 1-2e", "<html>"])
def test_metrics_of_others_are_no_gauges(text):
    assert read_gauges(text) is None


class FakeClient:
    def __init__(self, name, *, healthy=True):
        self.url, self.is_healthy, self.knocks = name, healthy, 0

    async def healthy(self, *, path=None):
        self.knocks += 1
        return self.is_healthy

    async def gauges(self):
        return None


def slot(at, group_size=1):
    return Slot(
        trace_id=f"t{at}",
        problem_id=f"p{at // group_size}",
        prompt=[{"role": "user", "content": "?"}],
        index=at % group_size,
        seed=at,
    )


def completion(slot, client):
    return Completion(
        trace_id=slot.trace_id,
        text="",
        finish_reason="stop",
        num_prompt_tokens=1,
        num_completion_tokens=1,
        host=client.url,
    )


def fault(error="server_error", **more):
    return Fault(error=error, message=f"it said {error}", **more)


async def drain(pool, count, *, group_size=1):
    """Give slots 0..count to the pool; return what comes back until there are `count` results or an error."""
    results = asyncio.Queue()
    pool.start()
    pool.begin(results.put_nowait)
    pool.add([slot(at, group_size) for at in range(count)])
    pool.no_more()
    found = []
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                found.append(await results.get())
                if isinstance(found[-1], BaseException):
                    break
    finally:
        await pool.stop()
    return found


def run(ask, *, clients=("a", "b"), count=20, group_size=1, max_in_flight=8, **timing):
    async def main():
        servers = [
            Server(c if isinstance(c, FakeClient) else FakeClient(c), max_in_flight=max_in_flight, start=8)
            for c in clients
        ]
        pool = ServerPool(servers, ask, Timing(**{**FAST, **timing}), health_path="/health")
        return servers, await drain(pool, count, group_size=group_size)

    return asyncio.run(main())


def test_each_slot_is_answered_once_and_all_servers_work():
    in_flight = Counter()

    async def ask(client, slot):
        in_flight[client.url] += 1
        assert in_flight[client.url] <= 8
        await asyncio.sleep(0.001)
        in_flight[client.url] -= 1
        return completion(slot, client)

    servers, results = run(ask, count=200)
    assert sorted(r.trace_id for r in results) == sorted(f"t{at}" for at in range(200))
    assert all(server.num_done > 50 for server in servers)


def test_a_transient_fault_is_tried_on_another_server():
    asked = []

    async def ask(client, slot):
        asked.append((slot.trace_id, client.url))
        await asyncio.sleep(0)
        return fault("malformed") if sum(t == slot.trace_id for t, _ in asked) == 1 else completion(slot, client)

    _, results = run(ask, count=4)
    assert all(isinstance(r, Completion) for r in results)
    for at in range(4):
        first, second = [server for t, server in asked if t == f"t{at}"]
        assert first != second


def test_a_slot_that_always_fails_is_set_aside_and_the_others_are_not():
    async def ask(client, slot):
        await asyncio.sleep(0)
        return fault("empty") if slot.trace_id == "t3" else completion(slot, client)

    _, results = run(ask, count=10, max_attempts=4)
    (failure,) = [r for r in results if isinstance(r, Failure)]
    assert failure == Failure(trace_id="t3", error="empty", message="it said empty", attempts=4)
    assert len({r.trace_id for r in results}) == 10


@pytest.mark.parametrize("error", ["prompt_too_long", "content_filter", "cannot_continue"])
def test_permanent_faults_are_tried_once(error):
    async def ask(client, slot):
        return fault(error, permanent=True) if slot.trace_id == "t0" else completion(slot, client)

    _, results = run(ask, count=3)
    (failure,) = [r for r in results if isinstance(r, Failure)]
    assert (failure.error, failure.attempts) == (error, 1)


def test_a_prompt_that_cannot_be_written_is_a_failure():
    async def ask(client, slot):
        if slot.trace_id == "t0":
            raise PolicyError("a prompt must end with a message of the role `user`")
        return completion(slot, client)

    servers, results = run(ask, count=3)
    (failure,) = [r for r in results if isinstance(r, Failure)]
    assert failure.error == "prompt_form"
    assert sum(server.num_faults for server in servers) == 0


def test_a_server_that_cannot_be_reached_costs_no_slot_an_attempt_and_comes_back():
    away = FakeClient("away", healthy=False)

    async def ask(client, slot):
        await asyncio.sleep(0.002)
        if client is away and not away.is_healthy:
            return fault("connection", of_server=True)
        if slot.trace_id == "t60":
            away.is_healthy = True
        return completion(slot, client)

    servers, results = run(ask, clients=(away, "b"), count=400, max_attempts=1, max_in_flight=4)
    assert all(isinstance(r, Completion) for r in results)
    assert servers[0].num_faults > 0
    assert servers[0].num_done > 0, "it is back"


def test_a_server_that_is_back_is_asked_though_others_have_more_room():
    asked = Counter()

    async def ask(client, slot):
        asked[client.url] += 1
        await asyncio.sleep(0.001)
        return completion(slot, client)

    async def main():
        servers = [Server(FakeClient(name), max_in_flight=64, start=64) for name in ("a", "b")]
        servers[1].on_trial = True
        pool = ServerPool(servers, ask, Timing(**FAST), health_path="/health")
        await drain(pool, 2)

    asyncio.run(main())
    assert asked == {"a": 1, "b": 1}


def test_a_server_that_fails_many_times_in_a_row_is_set_down():
    async def ask(client, slot):
        await asyncio.sleep(0.001)
        return fault("server_error") if client.url == "a" else completion(slot, client)

    servers, results = run(ask, clients=(FakeClient("a", healthy=False), "b"), count=100, max_attempts=50)
    assert all(isinstance(r, Completion) for r in results)
    assert servers[0].state == "down"
    assert servers[0].num_faults <= 4 + 8, "at the fifth, those that were on their way"


def test_a_few_slots_whose_answers_are_garbled_say_nothing_of_the_server():
    async def ask(client, slot):
        await asyncio.sleep(0)
        return fault("malformed")

    servers, results = run(ask, clients=(FakeClient("a", healthy=False),), count=3, max_attempts=5)
    assert [r.error for r in results] == ["malformed"] * 3
    assert servers[0].state == "up"


def test_without_any_server_for_too_long_the_run_ends_and_nothing_is_recorded():
    async def ask(client, slot):
        return fault("connection", of_server=True)

    clients = (FakeClient("a", healthy=False), FakeClient("b", healthy=False))
    _, results = run(ask, clients=clients, outage_s=0.1)
    (error,) = results
    assert isinstance(error, PolicyError)
    assert "it said connection" in str(error)
    assert all(client.knocks for client in clients)


def test_a_server_that_only_says_it_is_healthy_is_not_usable():
    async def ask(client, slot):
        await asyncio.sleep(0)
        return completion(slot, client) if slot.trace_id == "t0" else fault("unavailable", of_server=True)

    servers, results = run(ask, clients=("a",), outage_s=0.2)
    assert [type(r) for r in results] == [Completion, PolicyError]
    assert servers[0].num_faults > 8, "it was tried again"


def test_servers_that_never_had_what_is_asked_end_the_run_at_once():
    async def ask(client, slot):
        await asyncio.sleep(0)
        return fault("unavailable", of_server=True)

    _, results = run(ask, outage_s=1000.0)
    (error,) = results
    assert isinstance(error, PolicyError)
    assert "it said unavailable" in str(error)


def test_a_server_that_asks_to_be_left_alone_is_left_alone():
    asked = Counter()

    async def ask(client, slot):
        asked[client.url] += 1
        await asyncio.sleep(0.001)
        if client.url == "a":
            return fault("rate_limited", overload=True, retry_after_s=300.0)
        return completion(slot, client)

    _, results = run(ask, count=100, max_in_flight=4, max_attempts=2)
    assert all(isinstance(r, Completion) for r in results)
    assert asked["a"] <= 4


def test_if_all_slots_are_refused_the_recipe_is_wrong():
    async def ask(client, slot):
        return fault("refused", permanent=True)

    _, results = run(ask, count=20)
    assert isinstance(results[-1], PolicyError)
    assert not any(isinstance(r, Failure) for r in results)


def test_if_some_slots_are_refused_they_are_failures():
    async def ask(client, slot):
        await asyncio.sleep(0.001)
        return fault("refused", permanent=True) if int(slot.trace_id[1:]) % 2 else completion(slot, client)

    _, results = run(ask, count=20)
    assert Counter(type(r) for r in results) == {Completion: 10, Failure: 10}


def test_prompts_that_are_refused_first_do_not_end_the_run_while_others_are_under_way():
    async def ask(client, slot):
        if slot.problem_id in ("p0", "p1"):
            return fault("refused", permanent=True)
        await asyncio.sleep(0.01)
        return completion(slot, client)

    _, results = run(ask, count=60, group_size=10)
    assert Counter(type(r) for r in results) == {Completion: 40, Failure: 20}

    async def ask_three(client, slot):  # as many as would end it, if it did not wait for those under way
        if slot.index < 3:
            return fault("refused", permanent=True)
        await asyncio.sleep(0.01)
        return completion(slot, client)

    _, results = run(ask_three, count=60, group_size=6)
    assert Counter(type(r) for r in results) == {Completion: 30, Failure: 30}


POISONED = {
    # which of 30 slots meets a filter that answers as if the key were wrong
    "the first": {0},
    "one in the middle": {15},
    "the last": {29},
    "the last, many": set(range(10, 30)),
    "all": set(range(30)),
    "many": {3, 4, 5, 6, 7, 20, 21, 22, 28, 29},
}


@pytest.mark.parametrize("clients", [("a",), ("a", "b")])
@pytest.mark.parametrize("name", POISONED)
def test_a_prompt_that_is_answered_with_403_is_set_aside_and_the_others_are_not(name, clients):
    poisoned = POISONED[name]

    async def ask(client, slot):
        if slot.trace_id in {f"t{at}" for at in poisoned}:
            return fault("unavailable", of_server=True)
        await asyncio.sleep(0.01)
        return completion(slot, client)

    _, results = run(ask, clients=clients, count=30, max_attempts=3)
    failed = {r.trace_id: r for r in results if isinstance(r, Failure)}
    assert set(failed) == {f"t{at}" for at in poisoned}
    assert {(f.error, f.attempts) for f in failed.values()} == {("unavailable", 3)}


@pytest.mark.parametrize("name", ["the last", "many", "all"])
@pytest.mark.parametrize("said", ["content_filter", "prompt_too_long"])
def test_a_server_that_only_objects_to_the_text_of_a_probe_is_at_work(name, said):
    poisoned = {f"t{at}" for at in POISONED[name]}

    async def ask(client, slot):
        if not slot.trace_id:
            return fault(said, permanent=True)
        if slot.trace_id in poisoned:
            return fault("unavailable", of_server=True)
        await asyncio.sleep(0.01)
        return completion(slot, client)

    _, results = run(ask, clients=("a", "b"), count=30, max_attempts=3)
    assert {r.trace_id for r in results if isinstance(r, Failure)} == poisoned


@pytest.mark.parametrize("answered_first", [0, 5])
def test_limits_and_a_used_up_credit_set_nothing_aside(answered_first):
    for said in (fault("rate_limited", overload=True), fault("no_credit", of_server=True)):
        num_asked = 0

        async def ask(client, slot, said=said):
            nonlocal num_asked
            num_asked += 1
            return completion(slot, client) if num_asked <= answered_first else said

        _, results = run(ask, clients=("a",), count=30, outage_s=0.3, max_attempts=2)
        assert [type(r) for r in results] == [Completion] * answered_first + [PolicyError]
        assert said.message in str(results[-1])


@pytest.mark.parametrize("count", [1, 20])
def test_a_slot_that_alone_is_limited_is_set_aside(count):
    async def ask(client, slot):
        await asyncio.sleep(0.001)
        return fault("rate_limited", overload=True) if slot.trace_id == "t0" else completion(slot, client)

    _, results = run(ask, clients=("a",), count=count, max_in_flight=1, max_attempts=2)
    assert [(r.error, r.attempts) for r in results if isinstance(r, Failure)] == [("rate_limited", 2)]
    assert len(results) == count


def test_the_knock_asks_for_the_key_once_it_was_refused():
    paths = []

    async def healthy(path):
        paths.append(path)
        return False

    async def ask(client, slot):
        return completion(slot, client) if slot.trace_id == "t0" else fault("unavailable", of_server=True)

    client = FakeClient("a")
    client.healthy = lambda *, path=None: healthy(path)
    _, results = run(ask, clients=(client,), count=9, outage_s=0.1)
    assert [type(r) for r in results] == [Completion, PolicyError], "the key is withdrawn: no slot is to blame"
    assert set(paths) == {None}


def test_a_run_that_was_cancelled_leaves_nothing_to_the_next():
    async def ask(client, slot):
        await asyncio.sleep(0)
        return fault("malformed") if slot.seed == 0 else fault("refused", permanent=True)

    async def main():
        pool = ServerPool(
            [Server(FakeClient("a"), max_in_flight=8, start=8)], ask, Timing(backoff_s=50.0), health_path=None
        )
        pool.start()
        pool.begin(lambda result: pytest.fail(str(result)))
        pool.add([slot(0)])
        await asyncio.sleep(0.01)
        assert pool._num_pausing == 1
        await pool.cancel()
        results = asyncio.Queue()
        pool.begin(results.put_nowait)
        pool.add([slot(1)])
        pool.no_more()
        async with asyncio.timeout(5):
            assert isinstance(await results.get(), Failure)
        await pool.stop()

    asyncio.run(main())


def test_whoever_waits_is_told_when_the_pool_stops():
    async def ask(client, slot):
        await asyncio.sleep(60)

    async def main():
        pool = ServerPool([Server(FakeClient("a"), max_in_flight=8, start=8)], ask, Timing(), health_path=None)
        pool.start()
        results = asyncio.Queue()
        pool.begin(results.put_nowait)
        pool.add([slot(0)])
        await asyncio.sleep(0)
        await pool.stop()
        assert "closed" in str(results.get_nowait())
        assert results.empty()

    asyncio.run(main())


def test_few_slots_that_are_all_refused_are_failures():
    async def ask(client, slot):
        return fault("refused", permanent=True)

    _, results = run(ask, count=3)
    assert [type(r) for r in results] == [Failure] * 3


def test_what_stands_in_for_a_last_fault_is_given_back():
    async def ask(client, slot):
        return fault("empty", otherwise=completion(slot, client))

    _, (result,) = run(ask, count=1, max_attempts=2)
    assert isinstance(result, Completion)


def test_a_mistake_of_ours_is_not_taken_for_a_fault():
    async def ask(client, slot):
        raise AssertionError("ours")

    _, results = run(ask, count=1)
    assert isinstance(results[0], AssertionError)


def test_cancel_gives_up_what_is_in_flight():
    cancelled = []

    async def ask(client, slot):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(slot.trace_id)
            raise

    async def main():
        pool = ServerPool([Server(FakeClient("a"), max_in_flight=8, start=8)], ask, Timing(), health_path=None)
        pool.start()
        pool.begin(lambda result: pytest.fail(str(result)))
        pool.add([slot(at) for at in range(20)])
        await asyncio.sleep(0.01)
        assert pool.servers[0].in_flight == 8
        await pool.cancel()
        assert pool.servers[0].in_flight == 0
        await pool.stop()

    asyncio.run(main())
    assert len(cancelled) == 8
