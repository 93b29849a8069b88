"""The policy `kind: server` against the mock server, and against servers that misbehave in ways of their own."""

import asyncio
import email.utils
import json
import logging
import sys
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

from factory.errors import MissingExtra, PolicyError, RecipeError, UsageError
from factory.identity import digest
from factory.policy.protocol import LoopCut, PromptForm, Sampling
from factory.policy.server import ServerPolicy, ServerPolicyConfig
from factory.policy.server_answers import (
    Answer,
    Fault,
    fault_of_status,
    read_answer,
    read_retry_after,
    scrub,
    whole_characters,
)
from factory.policy.server_client import allow_connections
from factory.policy.server_look import PromptTokens
from factory.policy.server_pool import Timing
from factory.policy.server_requests import joined, opened_by, reopened
from factory.recipe import load
from factory.records import Completion, Failure, Slot

web = pytest.importorskip("aiohttp.web")
mock = pytest.importorskip("factory.testing.mock_server")

KEY = "sk-Secret/Key+0123456789=abc"
SAMPLING = Sampling(max_tokens=400)
FAST = Timing(backoff_s=0.01, knock_s=0.02, outage_s=0.5)


def slots(count, group_size=4, **more):
    return [
        Slot(
            trace_id=digest([at]),
            problem_id=f"p{at // group_size}",
            prompt=[{"role": "user", "content": f"{at // group_size} + 1?"}],
            index=at % group_size,
            seed=2**62 + at,
            **more,
        )
        for at in range(count)
    ]


@contextmanager
def opened(*urls, sampling=SAMPLING, form=None, timing=FAST, **fields):
    config = ServerPolicyConfig(model="mock", urls=urls, **fields)
    policy = ServerPolicy(config, sampling, form or PromptForm(), timing=timing)
    try:
        yield policy
    finally:
        policy.close()


def sample(url, asked, **options):
    with opened(url, **options) as policy:
        return list(policy.sample(asked))


def texts(results):
    return {r.trace_id: r.text for r in results}


@contextmanager
def canned(answer, *, models=("mock",), **routes):
    """Serve whatever `answer(request)` returns for every chat completion; gives the base URL."""

    async def list_models(request):
        return web.json_response({"data": [{"id": name} for name in models]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_post("/v1/completions", answer)
    app.router.add_get("/v1/models", routes.get("list_models", list_models))
    loop, ready, urls = asyncio.new_event_loop(), threading.Event(), []

    async def start():
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        ready.set()
        return runner

    def serve():
        runner = loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def whole(content="four", *, finish="stop", usage=(5, 3), **message):
    return {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]},
    }


def test_every_slot_comes_back_once_with_what_a_reader_needs():
    asked = slots(60)
    with mock.serving() as one, mock.serving() as two:
        prices = {"prompt": 1.0, "completion": 2.0}
        with opened(one.url, two.url, price_per_million=prices) as policy:
            results = list(policy.sample(asked))
            again = list(policy.sample(asked))
            assert policy.engine == "vllm 0.32.0 (server)"
            status = policy.status()
    assert sorted(r.trace_id for r in results) == sorted(s.trace_id for s in asked)
    assert texts(again) == texts(results), "the seed decides"
    assert len(set(texts(results).values())) > 50
    for r in results:
        assert r.finish_reason == "stop"
        assert r.num_prompt_tokens > 0
        assert r.num_completion_tokens > 0
        assert r.cost == pytest.approx((r.num_prompt_tokens + 2 * r.num_completion_tokens) / 1e6)
        assert r.token_ids is None
        assert r.logprobs is None
    assert {r.host for r in results} == {one.url, two.url}
    assert [s.name for s in status.servers] == [one.url, two.url]
    assert sum(s.num_done for s in status.servers) == 120
    assert status.in_flight == 0


def test_all_sampling_parameters_are_sent():
    bodies = []

    async def answer(request):
        bodies.append(await request.json())
        return web.json_response(whole())

    sampling = Sampling(
        temperature=0.7, top_p=0.9, presence_penalty=0.1, frequency_penalty=0.2, stop=("X",), loop_cut=None
    )
    with canned(answer) as url:
        sample(url, slots(1), sampling=sampling, form=PromptForm(system="Be brief.", suffix="Say why."))
    (body,) = bodies
    assert body == {
        "model": "mock",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "0 + 1?\nSay why."}],
        "temperature": 0.7,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "max_tokens": 1024,
        "stop": ["X"],
        "seed": 2**62,
    }


def test_token_ids_and_logprobs():
    sampling = Sampling(max_tokens=300, token_ids=True, logprobs=True)
    with mock.serving() as server:
        for form in (PromptForm(), PromptForm(prefill="<think>\n"), PromptForm(template="r1-zero")):
            for r in sample(server.url, slots(4), sampling=sampling, form=form):
                assert len(r.token_ids) == len(r.logprobs) == r.num_completion_tokens
                assert all(p <= 0 for p in r.logprobs)


FAULTS = ["rate_limited", "server_error", "reset", "truncated_json", "malformed_json", "empty"]


@pytest.mark.parametrize("dialect", ["vllm", "openai"])
@pytest.mark.parametrize("fault", FAULTS)
def test_passing_faults_are_retried_and_leave_no_trace(fault, dialect):
    asked = slots(40)
    with mock.serving(mock.MockBehaviour(dialect=dialect)) as server:
        right = texts(sample(server.url, asked))
    behaviour = mock.MockBehaviour(dialect=dialect, faults=mock.Faults(**{fault: 0.3}), retry_after=0.01)
    with mock.serving(behaviour) as server:
        results = sample(server.url, asked, timing=Timing(backoff_s=0.01, knock_s=0.02, max_attempts=12))
        assert server.stats()["faults"].get(fault), "the fault did occur"
    assert texts(results) == right


CLASSES = {
    "server_error": "server_error",
    "reset": "connection",
    "truncated_json": "malformed",
    "malformed_json": None,
    "empty": "empty",
    "content_filter": "content_filter",
    "timeout": "timeout",
}


@pytest.mark.parametrize("fault", CLASSES)
def test_a_slot_that_always_fails_is_set_aside_as_what_it_is(fault):
    faults = mock.Faults(**{fault: 1.0})
    with mock.serving(mock.MockBehaviour(dialect="openai", faults=faults, retry_after=0.01)) as server:
        sampling = Sampling(max_tokens=300, loop_cut=None)
        timing = Timing(backoff_s=0.01, knock_s=0.02, max_attempts=2)
        results = sample(server.url, slots(2), sampling=sampling, timing=timing, timeout_s=0.3)
    for r in results:
        assert isinstance(r, Failure)
        assert r.error == CLASSES[fault] or (CLASSES[fault] is None and r.error in ("malformed", "server_error"))
        assert r.attempts == (1 if fault == "content_filter" else 2)
        assert r.message


def test_a_server_that_only_says_too_much_ends_the_run_and_costs_no_slot():
    faults = mock.Faults(rate_limited=1.0)
    with (
        mock.serving(mock.MockBehaviour(dialect="openai", faults=faults, retry_after=0.01)) as server,
        opened(server.url, timing=Timing(backoff_s=0.01, max_attempts=2, outage_s=0.2)) as policy,
        pytest.raises(PolicyError, match=r"no server was usable.*429"),
    ):
        next(policy.sample(slots(4)))


def test_vllm_is_believed_that_a_model_ended_at_once():
    with mock.serving(mock.MockBehaviour(faults=mock.Faults(empty=1.0))) as server:
        (r,) = sample(server.url, slots(1), timing=Timing(backoff_s=0.01, max_attempts=2))
    assert (r.text, r.finish_reason, r.num_completion_tokens) == ("", "stop", 1)


def test_a_prompt_longer_than_the_context_is_a_failure_of_its_own():
    asked = slots(3)
    asked.append(
        Slot(trace_id="long", problem_id="l", prompt=[{"role": "user", "content": "?" * 900}], index=0, seed=1)
    )
    with mock.serving(mock.MockBehaviour(max_model_len=800)) as server:
        results = sample(server.url, asked)
    assert [r.error for r in results if isinstance(r, Failure)] == ["prompt_too_long"]


def test_another_server_takes_over_when_one_dies():
    asked = slots(300)
    with mock.running() as one, mock.serving() as two, opened(one.url, two.url) as policy:
        results = []
        for r in policy.sample(asked):
            results.append(r)
            if len(results) == 20:
                one.stop()  # its process is killed
        assert policy.status().servers[0].state == "down"
    assert Counter(r.trace_id for r in results) == Counter(s.trace_id for s in asked)
    assert all(isinstance(r, Completion) for r in results)


def test_no_server_for_too_long_ends_the_run_with_a_hint():
    with mock.running() as server, opened(server.url) as policy:
        results = policy.sample(slots(300))
        next(results)
        server.stop()
        with pytest.raises(PolicyError, match="no server was usable") as caught:
            list(results)
        assert caught.value.hint
        assert policy.status().in_flight == 0


THINKING = {
    "inline": {},
    "reasoning_content": {"reasoning_apart": "reasoning_content"},
    "reasoning": {"reasoning_apart": "reasoning"},
    "prefilled by the template": {"prefilled_think": True},
    "prefilled and apart": {"prefilled_think": True, "reasoning_apart": "reasoning"},
}


@pytest.mark.parametrize("dialect", ["vllm", "openai"])
@pytest.mark.parametrize("name", THINKING)
def test_reasoning_is_stored_whole_and_once_however_it_comes(name, dialect):
    behaviour = mock.MockBehaviour(dialect=dialect, **THINKING[name])
    with mock.serving(behaviour) as server:
        results = sample(server.url, slots(8))
    for r in results:
        assert r.text.startswith("<think>\n")
        assert r.text.count("<think>") == 1
        assert r.text.count("</think>\n\n") == 1
        assert "\\boxed{" in r.text.partition("</think>")[2]


@pytest.mark.parametrize("dialect", ["vllm", "openai"])
def test_reasoning_apart_is_the_same_text_as_inline(dialect):
    stored = []
    for apart in ("off", "reasoning_content", "reasoning"):
        with mock.serving(mock.MockBehaviour(dialect=dialect, reasoning_apart=apart)) as server:
            stored.append(texts(sample(server.url, slots(12))))
    assert stored[0] == stored[1] == stored[2]


def test_a_truncated_thought_that_the_template_opened_begins_with_think():
    for apart in ("off", "reasoning"):
        behaviour = mock.MockBehaviour(prefilled_think=True, reasoning_apart=apart)
        with mock.serving(behaviour) as server:
            (r,) = sample(server.url, slots(1), sampling=Sampling(max_tokens=10))
        assert r.finish_reason == "length"
        assert r.text.startswith("<think>\n")
        assert "</think>" not in r.text


def test_prefill_stands_once_before_what_is_sampled():
    for prefilled in (False, True):
        with mock.serving(mock.MockBehaviour(prefilled_think=prefilled)) as server:
            for r in sample(server.url, slots(4), form=PromptForm(prefill="<think>\nOkay,")):
                assert r.text.startswith("<think>\nOkay,")
                assert r.text.count("<think>") == 1


def test_connections_are_allowed_up_to_the_systems_own_limit():
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        allow_connections(1000)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == (1512 if hard == -1 else min(1512, hard))
        allow_connections(1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(1512, soft)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("template", ["model", "r1-zero"])
@pytest.mark.parametrize("prefilled", [False, True])
def test_a_truncated_trace_is_continued(template, prefilled):
    form = PromptForm(template=template)
    with mock.serving(mock.MockBehaviour(prefilled_think=prefilled)) as server:
        first = sample(server.url, slots(6), form=form, sampling=Sampling(max_tokens=12))
        beginnings = {r.trace_id: r.text for r in first if r.finish_reason == "length"}
        assert beginnings
        asked = [
            Slot(**{**{f: getattr(s, f) for f in s.__slots__}, "beginning": beginnings[s.trace_id]})
            for s in slots(6)
            if s.trace_id in beginnings
        ]
        for r in sample(server.url, asked, form=form):
            assert r.text.startswith(beginnings[r.trace_id])
            assert len(r.text) > len(beginnings[r.trace_id])


def test_endpoints_that_are_not_vllms_cannot_continue():
    with mock.serving(mock.MockBehaviour(dialect="openai")) as server:
        (r,) = sample(server.url, slots(1, beginning="<think>\nSo"))
    assert (r.error, r.attempts) == ("cannot_continue", 1)


@pytest.mark.parametrize("dialect", ["vllm", "openai"])
def test_loops_are_cut_by_the_engine_or_while_they_stream(dialect):
    cut = LoopCut(min_pattern_size=24, max_pattern_size=64, min_count=4)
    behaviour = mock.MockBehaviour(dialect=dialect, faults=mock.Faults(loop=1.0))
    with mock.serving(behaviour) as server:
        results = sample(server.url, slots(4), sampling=Sampling(max_tokens=4000, loop_cut=cut))
        uncut = sample(server.url, slots(4), sampling=Sampling(max_tokens=1000, loop_cut=None))
    assert [r.finish_reason for r in results] == ["loop"] * 4
    assert all(r.num_completion_tokens < 700 for r in results)
    assert [r.finish_reason for r in uncut] == ["length"] * 4


def test_slots_are_pulled_as_others_finish():
    pulled = 0

    def stream():
        nonlocal pulled
        for one in slots(800):
            pulled += 1
            yield one

    with mock.serving() as server, opened(server.url, max_in_flight=8) as policy:
        results = policy.sample(stream())
        assert pulled == 0
        for done, _ in enumerate(results):
            assert pulled <= done + 1 + 8 + 16
        assert done == 799


def test_giving_up_cancels_what_is_in_flight_and_the_policy_goes_on():
    with mock.serving(mock.MockBehaviour(token_seconds=0.002)) as server, opened(server.url) as policy:
        results = policy.sample(slots(500))
        next(results)
        results.close()
        assert policy.status().in_flight == 0
        assert sum(s.in_flight for s in policy.status().servers) == 0
        assert len(list(policy.sample(slots(5)))) == 5


def test_closing_in_another_thread_ends_the_sampling():
    with mock.serving(mock.MockBehaviour(token_seconds=0.01)) as server, opened(server.url) as policy:
        results = policy.sample(slots(500))
        next(results)
        closing = threading.Thread(target=policy.close)
        closing.start()
        with pytest.raises(PolicyError, match="closed"):
            list(results)
        closing.join()


def test_a_server_is_not_blamed_for_anothers_tokens():
    """Both share a prompt, whose tokens one of them does not give any more."""
    with mock.serving() as one, mock.serving() as two, opened(one.url, two.url) as policy:
        (first, second) = (server.client for server in policy._pool.servers)
        requests = policy._requests
        first.post_json = lambda path, body: asyncio.sleep(0.05, Fault(error="malformed", message="gone"))
        prompts = PromptTokens(requests)

        async def both():
            (asked,) = slots(1)
            return await asyncio.gather(prompts.of(first, asked), prompts.of(second, asked))

        broken, right = policy._run(both())
    assert isinstance(broken, Fault)
    assert isinstance(right, list)


def test_an_error_of_the_callers_slots_reaches_the_caller():
    def stream():
        yield from slots(3)
        raise RuntimeError("the ledger is gone")

    with mock.serving() as server, opened(server.url) as policy:
        with pytest.raises(RuntimeError, match="the ledger is gone"):
            list(policy.sample(stream()))
        assert len(list(policy.sample(slots(3)))) == 3


def test_the_key_is_sent_and_stands_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("THE_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    seen = []

    async def answer(request):
        seen.append(request.headers["Authorization"])
        at = len(seen) % 5
        echo = {"error": {"message": f"you sent {request.headers['Authorization']} and {KEY}", "headers": [KEY]}}
        if at == 1:
            return web.json_response(echo, status=500)
        if at == 2:
            return web.json_response(echo, status=429, headers={"Retry-After": "0"})
        if at == 3:
            return web.Response(text="{" + KEY, content_type="application/json")
        if at == 4:
            return web.json_response(echo, status=400)
        return web.json_response(whole(f"The key is {KEY}."))

    with canned(answer) as url, opened(url, api_key_env="THE_KEY", sampling=Sampling(loop_cut=None)) as policy:
        results = list(policy.sample(slots(40)))
        held = repr((results, policy.description, policy.status(), policy.fingerprint, policy.engine))
    assert set(seen) == {f"Bearer {KEY}"}
    assert any(isinstance(r, Failure) for r in results)
    assert any(isinstance(r, Completion) for r in results)
    for form in (KEY, "Secret/Key", json.dumps(KEY)[1:-1]):
        assert form not in held
        assert form not in caplog.text


@pytest.mark.parametrize("dialect", ["vllm", "openai"])
def test_a_wrong_key_is_said_at_the_start_without_the_key(monkeypatch, dialect):
    monkeypatch.setenv("THE_KEY", KEY)
    with mock.serving(mock.MockBehaviour(dialect=dialect, api_key="another")) as server:
        with pytest.raises(PolicyError, match="THE_KEY") as caught, opened(server.url, api_key_env="THE_KEY"):
            pass
        with pytest.raises(PolicyError, match="without a key"), opened(server.url):
            pass
    assert KEY not in str(caught.value)


def test_a_key_that_is_revoked_while_it_runs_costs_no_slot():
    count = 0

    async def answer(request):
        nonlocal count
        count += 1
        status = 200 if count <= 5 else 401
        return web.json_response(whole() if status == 200 else {"error": "Unauthorized"}, status=status)

    with canned(answer) as url, opened(url, sampling=Sampling(loop_cut=None)) as policy:
        results = []
        with pytest.raises(PolicyError, match="401"):
            results.extend(r for r in policy.sample(slots(30)))
        assert not any(isinstance(r, Failure) for r in results)


def test_the_environment_variable_must_be_set(monkeypatch):
    monkeypatch.delenv("THE_KEY", raising=False)
    with pytest.raises(UsageError, match="THE_KEY"), opened("http://localhost:1/v1", api_key_env="THE_KEY"):
        pass


def test_a_base_url_without_the_endpoint_is_said_at_once():
    async def none(request):
        return web.json_response({"detail": "Not Found"}, status=404)

    with canned(none, list_models=none) as url, pytest.raises(PolicyError, match="404"):
        sample(url, slots(3), timing=Timing(outage_s=1000.0))


def test_without_aiohttp_the_install_line_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtra, match="aiohttp") as caught, opened("http://localhost:1/v1"):
        pass
    assert "trace-factory[server]" in str(caught.value.hint)


def test_a_wrong_model_is_said_at_the_start_with_those_there_are():
    other = mock.MockBehaviour(model="r1-distill")
    with (
        mock.serving(other) as server,
        pytest.raises(PolicyError, match="'mock'") as caught,
        opened(server.url),
    ):
        pass
    assert "r1-distill" in str(caught.value.hint)


def test_more_tokens_than_the_context_has_are_said_at_the_start():
    with (
        mock.serving(mock.MockBehaviour(max_model_len=400)) as server,
        pytest.raises(PolicyError, match="the context of 'mock' is 400 tokens"),
        opened(server.url),
    ):
        pass


def test_no_server_at_the_start_is_said_at_once():
    with mock.serving() as server:
        url = server.url
    with pytest.raises(PolicyError, match="no server is usable"), opened(url):
        pass


def test_one_server_that_is_away_at_the_start_does_not_matter():
    with mock.serving() as gone:
        url = gone.url
    with mock.serving() as server, opened(url, server.url) as policy:
        assert policy.status().servers[0].state == "down"
        assert len(list(policy.sample(slots(20)))) == 20


BAD_URLS = {
    "http://user:hunter2@host:8000/v1": "a user or a password",
    "http://hunter2@host/v1": "a user or a password",
    "https://host/v1?api-key=hunter2": "a query",
    "https://host/v1#hunter2": "a query",
    "ftp://host/hunter2": "no http URL",
    "hunter2": "no http URL",
    "http://host:hunter2/v1": "no URL",
}


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_with_secrets_are_refused_without_repeating_them(url):
    for urls in ((url,), url):
        with pytest.raises(ValueError, match=BAD_URLS[url]) as caught:
            ServerPolicyConfig.model_validate({"model": "m", "urls": urls})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["sk-abc", "gsk_0123456789abcdef", "A" * 65, "not a name", "", 12345678, ["sk-abc"]])
def test_a_key_in_the_place_of_its_variables_name_is_refused_without_repeating_it(name):
    with pytest.raises(ValueError, match="must be the NAME of an environment variable") as caught:
        ServerPolicyConfig.model_validate({"model": "m", "urls": ["http://a"], "api_key_env": name})
    assert repr(name) not in str(caught.value)


@pytest.mark.parametrize("line", ["urls: http://bob:hunter2@host/v1", "{urls: [http://a], api_key_env: sk-hunter2}"])
def test_a_secret_in_a_recipe_is_said_with_its_line_and_not_repeated(tmp_path, line):
    file = tmp_path / "r.yaml"
    more = line.strip("{}").replace(", ", "\n    ")
    file.write_text(
        "name: r\nsource:\n  from:\n    - {kind: puzzles, family: chain_sum, size: 1, seed: 1}\n"
        f"sample:\n  group_size: 1\n  policy:\n    kind: server\n    model: m\n    {more}\n"
    )
    with pytest.raises(RecipeError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}:{len(file.read_text().splitlines())}: ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://host:8000", "http://host:8000/", "http://host:8000/v1/", "http://host:8000/v1"]
)
def test_urls_are_written_in_one_way(url):
    assert ServerPolicyConfig(model="m", urls=(url,)).urls == ("http://host:8000/v1",)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"urls": ["http://a/v1"], "launch": {}},
        {"urls": ["http://a/v1", "http://a"]},
        {"launch": {}, "api_key_env": "KEY"},
        {"urls": ["http://a"], "max_in_flight": 0},
        {"urls": ["http://a"], "api_key_env": "not a name"},
    ],
)
def test_configurations_that_make_no_sense(fields):
    with pytest.raises(ValueError, match=r".+"):
        ServerPolicyConfig.model_validate({"model": "m", **fields})


@pytest.mark.parametrize(
    ("sampling", "form", "named"),
    [
        (Sampling(top_k=5), PromptForm(), "top_k"),
        (Sampling(min_p=0.1), PromptForm(), "min_p"),
        (Sampling(repetition_penalty=1.1), PromptForm(), "repetition_penalty"),
        (Sampling(token_ids=True), PromptForm(), "token_ids"),
        (Sampling(), PromptForm(prefill="<think>\n"), "prefill"),
    ],
)
def test_what_an_endpoint_cannot_do_is_said_at_the_start(sampling, form, named):
    with mock.serving(mock.MockBehaviour(dialect="openai")) as server:
        for dialect in ("auto", "openai"):
            with (
                pytest.raises(UsageError, match=named),
                opened(server.url, sampling=sampling, form=form, dialect=dialect),
            ):
                pass


def test_identity_holds_what_decides_the_text_and_nothing_else():
    def fingerprint(sampling=SAMPLING, form=None, **fields):
        return ServerPolicyConfig(**{"model": "m", "urls": ("http://a/v1",), **fields}).fingerprint(
            sampling, form or PromptForm()
        )

    same = fingerprint()
    prices = {"prompt": 1.0, "completion": 1.0}
    for change in (
        {"urls": ("http://b/v1", "http://c:9/v1")},
        {"max_in_flight": 3},
        {"price_per_million": prices},
        {"api_key_env": "KEY"},
        {"dialect": "openai"},
        {"sampling": Sampling(max_tokens=400, logprobs=True)},
    ):
        assert fingerprint(**change) == same, change
    others = [
        fingerprint(**change)
        for change in (
            {"model": "n"},
            {"revision": "v2"},
            {"sampling": Sampling(max_tokens=401)},
            {"form": PromptForm(system="s")},
            {"form": PromptForm(template="r1-zero")},
        )
    ]
    assert len({same, *others}) == 6


def test_the_description_says_what_the_fingerprint_is_the_hash_of():
    with mock.serving() as server, opened(server.url, revision="2026-11") as policy:
        description = json.loads(json.dumps(policy.description))
        assert digest(description["identity"]) == policy.fingerprint
        config = ServerPolicyConfig(model="mock", urls=(server.url,), revision="2026-11")
        assert config.fingerprint(SAMPLING, PromptForm()) == policy.fingerprint
        assert (description["kind"], description["model"], description["revision"]) == ("server", "mock", "2026-11")
        assert description["identity"]["weights"]["declared"] is True
        assert "127.0.0.1" not in json.dumps(description)
        with pytest.raises(PolicyError, match="weights"):
            policy.load_weights({})


def test_an_endpoint_that_refuses_to_stream_or_an_old_name_is_asked_otherwise():
    bodies = []

    async def answer(request):
        body = await request.json()
        bodies.append(body)
        if "stream" in body:
            return web.json_response({"error": {"message": "Streaming is not supported."}}, status=400)
        if "max_tokens" in body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return web.json_response({"error": {"message": message}}, status=400)
        return web.json_response(whole())

    with canned(answer) as url:
        results = sample(url, slots(12))
    assert [r.text for r in results] == ["four"] * 12
    assert bodies[-1]["max_completion_tokens"] == 400


@pytest.mark.parametrize("template", ["model", "r1-zero"])
def test_a_request_is_written_otherwise_at_most_once_in_each_way(template):
    asked = 0

    async def answer(request):
        nonlocal asked
        asked += 1
        return web.json_response({"error": {"message": "no stream: see max_completion_tokens"}}, status=400)

    prompt = [{"role": "user", "content": "stream"}]
    slot = Slot(trace_id="t", problem_id="p", prompt=prompt, index=0, seed=1)
    with canned(answer) as url:
        (r,) = sample(url, [slot], form=PromptForm(template=template))
    assert r.error == "refused"
    assert asked == (3 if template == "model" else 2), "as it was, without streaming, with the new name"


def test_a_recipe_whose_every_request_is_refused_ends_with_what_the_server_says():
    async def answer(request):
        return web.json_response({"error": {"message": "temperature is not supported here"}}, status=400)

    with canned(answer) as url, pytest.raises(PolicyError, match="temperature is not supported"):
        sample(url, slots(40))


def test_an_endpoint_without_logprobs_is_said_once_and_its_answers_kept(caplog):
    async def answer(request):
        assert (await request.json())["logprobs"] is True
        return web.json_response(whole())

    with canned(answer) as url:
        results = sample(url, slots(5), sampling=Sampling(logprobs=True, loop_cut=None))
    assert [(r.text, r.logprobs) for r in results] == [("four", None)] * 5
    assert sum("log-probability" in record.message for record in caplog.records) == 1


def test_an_answer_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr("factory.policy.server_client.MAX_ANSWER_BYTES", 2**16)
    sent = 0

    async def answer(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5000):
            await response.write(b" " * 2**15)
            sent += 2**15
        return response

    with canned(answer) as url:
        (r,) = sample(url, slots(1), sampling=Sampling(loop_cut=None), timing=Timing(max_attempts=1))
    assert r.error == "malformed"
    assert sent < 5000 * 2**15


def test_a_stream_that_tears_characters_apart_is_mended():
    pieces = ["a \\ud83d", "\\ude00 b", "\\ud800"]

    async def answer(request):
        events = [f'data: {{"choices":[{{"delta":{{"content":"{p}"}}}}]}}\n\n' for p in pieces]
        events.append('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        return web.Response(text="".join(events), content_type="text/event-stream")

    with canned(answer) as url:
        (r,) = sample(url, slots(1))
    assert r.text == "a \U0001f600 b\N{REPLACEMENT CHARACTER}"
    assert r.num_completion_tokens == 3, "pieces, where the server does not say"


def test_a_stream_with_a_byte_order_mark_and_lines_in_many_chunks_is_read_whole():
    events = [
        'data: {"choices":[{"delta":{"content":"first "}}]}\n\n',
        'data: {"choices":[{"delta":{"content":"second"},"finish_reason":"stop"}]}\n\n',
    ]

    async def answer(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"\xef\xbb\xbf" + events[0][:9].encode())
        for at in range(9, len(events[0])):
            await response.write(events[0][at : at + 1].encode())
        await response.write(events[1].encode())
        return response

    with canned(answer) as url:
        (r,) = sample(url, slots(1))
    assert r.text == "first second"


@pytest.mark.parametrize("depth", [900, 960, 983, 10**5])
def test_errors_nested_deeply_set_a_slot_aside_and_end_nothing(depth):
    async def answer(request):
        return web.Response(text='{"error":' + "[" * depth + "]" * depth + "}", content_type="application/json")

    with canned(answer) as url:
        (r,) = sample(url, slots(1), sampling=Sampling(loop_cut=None), timing=Timing(backoff_s=0.01, max_attempts=2))
    assert r.error in ("server_error", "malformed")


STATUSES = {
    (429, "slow down"): ("rate_limited", False),
    (429, '{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}'): ("no_credit", False),
    (429, "Your credit balance is too low"): ("no_credit", False),
    (429, "Rate limit reached: 3 / min. Add a payment method at /account/billing"): ("rate_limited", False),
    (402, ""): ("no_credit", False),
    (500, "<html>"): ("server_error", False),
    (503, ""): ("server_error", False),
    (400, '{"error":{"message":"maximum context length is 4096 tokens","code":"context_length_exceeded"}}'): (
        "prompt_too_long",
        True,
    ),
    (400, '{"error":{"message":"triggering our content management policy","code":"content_filter"}}'): (
        "content_filter",
        True,
    ),
    (403, '{"error":{"message":"input was flagged"}}'): ("content_filter", True),
    (400, '{"error":{"message":"bad top_p"}}'): ("refused", True),
    (422, '{"detail":[{"loc":["body","seed"]}]}'): ("refused", True),
    (401, '{"error":"Unauthorized"}'): ("unavailable", False),
    (404, '{"error":{"message":"no such model"}}'): ("unavailable", False),
    (301, ""): ("unavailable", False),
    (408, ""): ("timeout", False),
    (204, ""): ("malformed", False),
}


@pytest.mark.parametrize("case", STATUSES, ids=lambda case: f"{case[0]}-{case[1][:20]}")
def test_statuses(case):
    fault = fault_of_status(*case)
    assert (fault.error, fault.permanent) == STATUSES[case]
    assert fault.message.startswith(f"HTTP {case[0]}")


HOSTILE = [
    None,
    [],
    "text",
    7,
    {},
    {"choices": None},
    {"choices": []},
    {"choices": [None]},
    {"choices": [{}]},
    {"choices": [{"message": None, "finish_reason": "stop"}]},
    {"choices": [{"message": {"content": ["a"]}, "finish_reason": "stop"}], "usage": {}},
    whole(content=None, usage=(1, 0)),
    whole(usage=(1, -1)),
    whole(usage=(1, True)),
    whole(usage=(1, 10**30)),
    whole(finish=None),
    whole(finish="tool_calls"),
    whole(finish=["stop"]),
    {**whole(), "usage": None},
    {"error": "upstream"},
    {"error": {"code": 429, "message": "later"}},
    {"error": {"code": "x" * 10**5}},
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: str(data)[:40])
def test_answers_of_the_wrong_shape_are_faults_that_can_be_tried_again(data):
    fault = read_answer(data)
    assert isinstance(fault, Fault)
    assert not fault.permanent


def test_answers_are_read():
    answer = read_answer(whole("4", reasoning="2+2", finish="repetition"))
    assert answer == Answer(
        content="4", reasoning="2+2", finish_reason="loop", num_prompt_tokens=5, num_completion_tokens=3
    )
    assert read_answer(whole("4", finish="max_tokens")).finish_reason == "length"
    assert read_answer(whole(None, finish="content_filter")).error == "content_filter"
    assert read_answer(whole(None, refusal="no")).error == "content_filter"
    bad = {"choices": [{"text": "a", "logprobs": {"token_logprobs": [float("nan")]}, "finish_reason": "stop"}]}
    assert read_answer({**bad, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).logprobs is None


NUMBERS = {
    # what a server says: (token ids, log-probabilities) that are kept
    "right": ([1, 2**31 - 1], [-0.5, 0], ([1, 2**31 - 1], [-0.5, 0.0])),
    "tokens beyond 32 bits": ([2**40, 1], [-0.5, -1.0], (None, [-0.5, -1.0])),
    "negative tokens": ([-1, 1], [-0.5, -1.0], (None, [-0.5, -1.0])),
    "tokens that are no numbers": ([True, 1.0], [-0.5, -1.0], (None, [-0.5, -1.0])),
    "a log-probability no float can hold": ([1, 2], [10**400, -1.0], ([1, 2], None)),
    "infinite": ([1, 2], [float("-inf"), -1.0], ([1, 2], None)),
    "beyond 32 bits": ([1, 2], [-1e300, -1.0], ([1, 2], None)),
    "no number": ([1, 2], [float("nan"), None], ([1, 2], None)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_cannot_be_stored_are_not_taken(name):
    token_ids, logprobs, kept = NUMBERS[name]
    data = whole()
    data["choices"][0] |= {"token_ids": token_ids, "logprobs": {"content": [{"logprob": p} for p in logprobs]}}
    answer = read_answer(data)
    assert (answer.token_ids, answer.logprobs) == kept


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("99999999", 300.0),
        ("nan", None),
        ("inf", None),
        (email.utils.formatdate(NOW + 20, usegmt=True), 20.0),
        (email.utils.formatdate(NOW - 20, usegmt=True), 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value, seconds):
    assert read_retry_after(value, now=NOW) == seconds


def test_scrub():
    assert KEY not in scrub(f"Bearer {KEY} {KEY}", KEY)
    assert "sk-abcdefghijk" not in scrub("your key sk-abcdefghijk is wrong", None)
    assert "a%2Fb" not in scrub("GET /?key=a%2Fb", "a/b")
    assert "\n" not in scrub("one\ntwo", None)
    assert len(scrub("x" * 10**6, None)) == 300
    assert scrub("a\x1b]0;owned\x07b\x1b[2J \u202e好 é", None).isprintable()
    assert scrub("好 é 🙂", None) == "好 é 🙂"


def test_whole_characters():
    assert whole_characters("好 é 🙂") == "好 é 🙂"
    assert whole_characters("\ud83d\ude00") == "\U0001f600"
    assert whole_characters("a\ud83d") == "a\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("reasoning", "content", "cut_off", "text"),
    [
        ("so", "4", False, "<think>\nso\n</think>\n\n4"),
        ("\nso\n", "\n\n4", False, "<think>\nso\n</think>\n\n4"),
        ("so", "", True, "<think>\nso"),
        ("so\n", "", True, "<think>\nso\n"),
        ("so", "", False, "<think>\nso\n</think>\n\n"),
        ("so", "4", True, "<think>\nso\n</think>\n\n4"),
        ("so", "<think>\nso\n</think>\n\n4", False, "<think>\nso\n</think>\n\n4"),
    ],
)
def test_reasoning_and_content_are_joined(reasoning, content, cut_off, text):
    assert joined(reasoning, content, cut_off=cut_off) == text


@pytest.mark.parametrize(
    ("text", "opened", "stored"),
    [
        ("so</think>4", "<think>\n", "<think>\nso</think>4"),
        ("so", "<think>\n", "<think>\nso"),
        ("<think>so</think>4", "<think>\n", "<think>\n<think>so</think>4"),  # the model did write it again
        ("so</think>4", None, "<think>\nso</think>4"),
        ("<think>so</think>4", None, "<think>so</think>4"),
        ("4", None, "4"),
        ("4", "", "4"),
        ("so</think>4", "", "so</think>4"),
    ],
)
def test_what_the_template_opened_is_put_back(text, opened, stored):
    assert reopened(text, opened) == stored


def test_opened_by():
    assert opened_by("<|user|>1<|assistant|><think>\n") == "<think>\n"
    assert opened_by("<|user|><think> is a tag<|assistant|>") == ""
