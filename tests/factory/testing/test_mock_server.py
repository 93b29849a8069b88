"""The mock server: deterministic answers in vLLM's shapes, every fault as announced, load as its metrics tell it."""

from __future__ import annotations

import http.client
import importlib
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("aiohttp")

from factory.errors import MissingExtra
from factory.testing import mock_text
from factory.testing.mock_behaviour import FAULTS, PASSING, passing_fault
from factory.testing.mock_server import Faults, MockBehaviour, MockServer, running, serving, slot_key

QUESTION = [{"role": "user", "content": "What is 12 + 30 - 2?"}]


def _send(server: MockServer, path: str, body=None, *, headers=None, timeout=10.0):
    """Return status, headers and body of a request; what breaks the connection is raised."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def _chat(server: MockServer, **options):
    status, _, body = _send(server, "/v1/chat/completions", {"messages": QUESTION, **options})
    assert status == 200, body
    return json.loads(body)


def _events(body: bytes) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.fixture(scope="module")
def plain():
    with serving() as server:
        yield server


def test_the_same_request_gets_the_same_completion_and_another_seed_another(plain):
    texts = [_chat(plain, seed=seed)["choices"][0]["message"]["content"] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert all(text.startswith("<think>\n") and "</think>" in text and "\\boxed{" in text for text in texts)
    greedy = [_chat(plain, seed=seed, temperature=0)["choices"][0]["message"]["content"] for seed in (1, 2)]
    assert greedy[0] == greedy[1] != texts[0]


def test_two_servers_of_one_behaviour_agree():
    with serving(MockBehaviour(seed=4)) as one, serving(MockBehaviour(seed=4)) as two:
        assert _chat(one, seed=9)["choices"] == _chat(two, seed=9)["choices"]


def test_a_stream_says_what_the_whole_answer_says(plain):
    for path, prompt in (("/v1/chat/completions", {"messages": QUESTION}), ("/v1/completions", {"prompt": "1 + 1 = "})):
        request = {**prompt, "seed": 5, "max_tokens": 200, "return_token_ids": True, "logprobs": 1}
        whole = json.loads(_send(plain, path, request)[2])
        options = {"stream": True, "stream_options": {"include_usage": True}}
        events = _events(_send(plain, path, request | options)[2])
        choices = [choice for event in events for choice in event["choices"]]
        token_ids = [token for choice in choices for token in choice.get("token_ids") or ()]
        assert token_ids == whole["choices"][0]["token_ids"]
        assert len(token_ids) == events[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]
        assert choices[-1]["finish_reason"] == whole["choices"][0]["finish_reason"] == "stop"
        if "messages" in prompt:
            text = "".join(choice["delta"].get("content", "") for choice in choices)
            assert text == whole["choices"][0]["message"]["content"]
            assert events[0]["prompt_token_ids"] == whole["prompt_token_ids"]
            logprobs = [row for choice in choices if choice["logprobs"] for row in choice["logprobs"]["content"]]
            assert logprobs == whole["choices"][0]["logprobs"]["content"]
        else:
            assert "".join(choice["text"] for choice in choices) == whole["choices"][0]["text"]
            logprobs = [value for choice in choices for value in choice["logprobs"]["token_logprobs"]]
            assert logprobs == whole["choices"][0]["logprobs"]["token_logprobs"]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("prefilled", [False, True])
def test_reasoning_can_stand_apart_and_the_thinking_be_opened_by_the_template(field, prefilled):
    with serving(MockBehaviour(prefilled_think=prefilled)) as server:
        text = _chat(server, seed=1)["choices"][0]["message"]["content"]
        prompt = json.loads(_send(server, "/tokenize", {"messages": QUESTION})[2])["tokens"]
        assert (
            json.loads(_send(server, "/detokenize", {"tokens": prompt})[2])["prompt"].endswith("<think>\n") == prefilled
        )
        assert text.startswith("<think>") != prefilled
    with serving(MockBehaviour(prefilled_think=prefilled, reasoning_apart=field)) as server:
        message = _chat(server, seed=1)["choices"][0]["message"]
        assert ("" if prefilled else "<think>") + message[field] + "</think>" + message["content"] == text
        events = _events(_send(server, "/v1/chat/completions", {"messages": QUESTION, "seed": 1, "stream": True})[2])
        deltas = [event["choices"][0]["delta"] for event in events]
        for name in (field, "content"):
            assert "".join(delta.get(name) or "" for delta in deltas) == message[name]
        assert json.loads(_send(server, "/tokenize", {"messages": QUESTION})[2])["tokens"] == prompt


@pytest.mark.parametrize(
    "text", ["", "3+4", "日本語 and ascii", "\r\n\t<think>\n\n<|user|>", "a\x00b", "🤔 Hmm,  two  spaces"]
)
def test_the_toy_tokenizer_is_reversible(text):
    assert mock_text.detokenize(mock_text.tokenize(text)) == text


def test_half_a_surrogate_pair_is_tokenized_without_harm():
    assert mock_text.detokenize(mock_text.tokenize("a \ud800 b")).startswith("a \ufffd")


def test_stop_strings_and_the_token_limit_cut(plain):
    whole = _chat(plain, seed=3)
    full = whole["choices"][0]["message"]["content"]
    stopped = _chat(plain, seed=3, stop=["never", "answer is"])["choices"][0]
    assert stopped["message"]["content"] == full[: full.index("answer is")]
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", "answer is")
    cut = _chat(plain, seed=3, max_tokens=7)
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 7)
    assert full.startswith(cut["choices"][0]["message"]["content"])


def test_a_text_continued_from_its_prefix_does_not_open_the_thinking_again(plain):
    body = {"prompt": "<|user|>\n1 + 1?\n<|assistant|>\n<think>\nso far", "max_tokens": 300}
    text = json.loads(_send(plain, "/v1/completions", body)[2])["choices"][0]["text"]
    assert "<think>" not in text
    assert "</think>" in text


def test_sums_are_solved_at_the_given_rate():
    for right, low, high in ((1.0, 100, 100), (0.5, 30, 70), (0.0, 0, 0)):
        behaviour = MockBehaviour(right=right)
        texts = [
            "".join(mock_text.write("12 + 30 - 2 =", {"seed": s}, behaviour, max_tokens=999, fault=None).pieces)
            for s in range(100)
        ]
        assert low <= sum("\\boxed{40}" in text for text in texts) <= high


@pytest.mark.parametrize("stream", [False, True])
def test_loops_are_cut_where_it_is_asked_for(stream):
    cut = {"min_pattern_size": 24, "max_pattern_size": 64, "min_count": 7}
    with serving(MockBehaviour(faults=Faults(loop=1.0))) as server:
        uncut = _chat(server, seed=1, max_tokens=2000)
        assert (uncut["choices"][0]["finish_reason"], uncut["usage"]["completion_tokens"]) == ("length", 2000)
        body = {"messages": QUESTION, "seed": 1, "max_tokens": 2000, "repetition_detection": cut}
        answer = _send(server, "/v1/chat/completions", body | {"stream": stream})[2]
        choice = _events(answer)[-1]["choices"][0] if stream else json.loads(answer)["choices"][0]
        assert (choice["finish_reason"], choice["stop_reason"]) == ("repetition", "repetition_detected")
    with serving(MockBehaviour(faults=Faults(length=1.0))) as server:
        assert _chat(server, seed=1, max_tokens=500, repetition_detection=cut)["usage"]["completion_tokens"] == 500


def _fault_seen(server: MockServer, *, stream: bool, timeout: float = 30.0) -> str:
    """Send one request and name what came back, as a client could."""
    body = {"messages": QUESTION, "seed": 1, "stream": stream, "max_tokens": 300}
    try:
        status, headers, answer = _send(server, "/v1/chat/completions", body, timeout=timeout)
    except TimeoutError:
        return "timeout"
    except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
        return "reset"
    except http.client.IncompleteRead:
        return "truncated_json"
    if status == 429:
        return "rate_limited" if "Retry-After" in headers else "429 without Retry-After"
    if status == 400:
        return str(json.loads(answer)["error"]["code"])
    if status >= 500:
        return "server_error"
    if stream:
        return _stream_fault(answer.decode())
    try:
        choice = json.loads(answer)["choices"][0]
        text = choice["message"]["content"]
        assert isinstance(text, str)
    except json.JSONDecodeError as error:
        return "malformed_json" if b"<html>" in answer or b'"a" "b"' in answer else f"truncated_json at {error.pos}"
    except (ValueError, LookupError, TypeError, AssertionError):
        return "malformed_json"
    if choice["finish_reason"] != "stop":
        return choice["finish_reason"]
    return "empty" if not text else "right"


def _stream_fault(answer: str) -> str:
    datas = [line.removeprefix("data: ") for line in answer.split("\n\n") if line]
    text, finish = "", None
    for data in datas:
        if data == "[DONE]":
            return finish or "no finish" if text or finish != "stop" else "empty"
        try:
            event = json.loads(data)
        except ValueError:
            return "malformed_json" if datas[-1] == "[DONE]" else "truncated_json"
        if "error" in event:
            return "server_error"
        text += event["choices"][0]["delta"].get("content") or ""
        finish = event["choices"][0]["finish_reason"]
    return "truncated_json"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [f for f in FAULTS if f not in ("slow", "loop", "length")])
def test_each_fault_looks_as_its_name_says(fault, stream):
    tries = 1 if fault == "timeout" else 12
    with serving(MockBehaviour(faults=Faults(**{fault: 1.0}))) as server:
        patience = 0.5 if fault == "timeout" else 30.0
        seen = {_fault_seen(server, stream=stream, timeout=patience).split(" at ")[0] for _ in range(tries)}
        assert seen == {fault}
        stats = server.stats()
        assert stats["answers"] == 0
        assert stats["faults"] == {fault: tries}


def test_a_slow_answer_is_right_but_late():
    with serving(MockBehaviour(faults=Faults(slow=1.0), slow_seconds=60.0)) as server:
        assert _fault_seen(server, stream=False, timeout=0.5) == "timeout"
        assert server.stats()["answers"] == 0
    with serving(MockBehaviour(faults=Faults(slow=1.0), slow_seconds=0.0)) as server:
        assert _fault_seen(server, stream=False) == "right"
        assert server.stats()["answers"] == 1


def test_a_retry_can_succeed_and_the_same_faults_come_again():
    def outcomes() -> list[list[int]]:
        with serving(MockBehaviour(faults=Faults(rate_limited=0.3, server_error=0.2))) as server:
            statuses = [
                [_send(server, "/v1/chat/completions", {"messages": QUESTION, "seed": s})[0] for _ in range(4)]
                for s in range(30)
            ]
            stats = server.stats(slots=True)
        rights = Counter(s for row in statuses for s in row)[200]
        assert (stats["requests"], stats["slots"], stats["answers"]) == (120, 30, rights)
        assert sum(stats["faults"].values()) == 120 - rights
        prompt = mock_text.render_chat(
            QUESTION, prefilled_think=False, add_generation_prompt=True, continue_final=False
        )
        for s, row in enumerate(statuses):
            assert stats["answers_by_slot"].get(slot_key(prompt, s).hex(), 0) == row.count(200)
        return statuses

    first = outcomes()
    assert any(row[0] != 200 and row[1] == 200 for row in first)
    assert outcomes() == first


def test_rates_hold_and_some_slots_always_fail():
    behaviour = MockBehaviour(faults=Faults(reset=0.05, empty=0.1), always_fail=0.02)
    slots = [slot_key("p", s) for s in range(5000)]
    drawn = Counter(passing_fault(behaviour, slot, 0)[0] for slot in slots)
    assert abs(drawn["reset"] / 5000 - 0.06) < 0.02
    assert abs(drawn["empty"] / 5000 - 0.11) < 0.02
    stubborn = [slot for slot in slots if all(passing_fault(behaviour, slot, n)[0] for n in range(12))]
    assert 50 <= len(stubborn) <= 150
    assert all(len({passing_fault(behaviour, slot, n)[0] for n in range(12)}) == 1 for slot in stubborn)


def test_load_shows_in_the_metrics_and_a_full_queue_refuses():
    behaviour = MockBehaviour(capacity=2, queue=3, overflow_status=429, token_seconds=0.004, tokens=(100, 100))
    with serving(behaviour) as server, ThreadPoolExecutor(8) as pool:
        seen: list[tuple[float, float, float]] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                lines = _send(server, "/metrics")[2].decode().splitlines()
                values = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
                rows = {name.partition("{")[0].removeprefix("vllm:"): float(value) for name, value in values}
                assert all('{engine="0",model_name="mock"}' in name for name, _ in values)
                seen.append((rows["num_requests_running"], rows["num_requests_waiting"], rows["kv_cache_usage_perc"]))
                done.wait(0.02)

        watcher = pool.submit(watch)
        bodies = [{"messages": QUESTION, "seed": s} for s in range(7)]
        statuses = Counter(pool.map(lambda body: _send(server, "/v1/chat/completions", body)[0], bodies))
        done.set()
        watcher.result()
        assert statuses == {200: 5, 429: 2}
        assert (2.0, 3.0, 1.0) in seen
        stats = server.stats()
        assert (stats["most_running"], stats["faults"]) == (2, {"overflow": 2})
        assert stats["most_in_flight"] >= 5


def test_a_client_that_goes_away_frees_its_place():
    with serving(MockBehaviour(capacity=1, token_seconds=1.0)) as server:
        with pytest.raises(TimeoutError):
            _send(server, "/v1/chat/completions", {"messages": QUESTION}, timeout=0.2)
        deadline = time.monotonic() + 10
        while server.stats()["in_flight"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert b'vllm:num_requests_running{engine="0",model_name="mock"} 0.0' in _send(server, "/metrics")[2]


def test_preemptions_are_counted_when_the_cache_overflows():
    behaviour = MockBehaviour(kv_tokens=200, tokens=(100, 100), token_seconds=0.001)
    with serving(behaviour) as server, ThreadPoolExecutor(4) as pool:
        bodies = [{"messages": QUESTION, "seed": s} for s in range(4)]
        list(pool.map(lambda body: _send(server, "/v1/chat/completions", body), bodies))
        assert server.stats()["preemptions"] > 0


REFUSED = [
    ({"messages": QUESTION, "model": "other"}, 404, "The model `other` does not exist."),
    ({"messages": "hello"}, 400, "messages"),
    ({"messages": QUESTION, "n": 2}, 400, "n=1"),
    ({"messages": QUESTION, "max_tokens": 0}, 400, "max_tokens must be at least 1"),
    ({"messages": QUESTION, "seed": 2**63}, 400, "seed"),
    ({"messages": [{"role": "user", "content": "x " * 300}], "max_tokens": 1}, 400, "maximum context length is 256"),
]


def test_requests_that_cannot_be_answered_are_refused_as_vllm_does():
    with serving(MockBehaviour(max_model_len=256)) as server:
        for body, status, words in REFUSED:
            found = _send(server, "/v1/chat/completions", body)
            assert (found[0], words in json.loads(found[2])["error"]["message"]) == (status, True), body
        assert server.stats()["requests"] == 0
        assert _send(server, "/v1/nowhere")[0] == 404


def test_a_key_is_asked_for_under_v1_alone():
    for dialect in ("vllm", "openai"):
        with serving(MockBehaviour(api_key="sk-right", dialect=dialect)) as server:
            assert _send(server, "/v1/models")[0] == 401
            wrong = _send(server, "/v1/models", headers={"Authorization": "Bearer sk-wrong"})
            assert wrong[0] == 401
            assert (b"sk-wrong" in wrong[2]) == (dialect == "openai"), "what a client must not pass on"
            assert _send(server, "/v1/models", headers={"Authorization": "Bearer sk-right"})[0] == 200
            assert _send(server, "/health")[0] == 200
            assert _send(server, "/version")[0] == (200 if dialect == "vllm" else 404)


def test_a_process_of_its_own_serves_and_ends():
    with running(["--faults", "server_error=1", "--api-key", "k", "--tokens", "5,6"]) as server:
        assert _send(server, "/v1/models", headers={"Authorization": "Bearer k"})[0] == 200
        body = {"messages": QUESTION}
        assert _send(server, "/v1/chat/completions", body, headers={"Authorization": "Bearer k"})[0] >= 500
        assert server.pid is not None
        assert Path(f"/proc/{server.pid}").exists() or not Path("/proc").exists()
    with pytest.raises(urllib.error.URLError):
        server.stats()


def test_stopping_ends_what_hangs():
    with serving(MockBehaviour(faults=Faults(timeout=1.0))) as server, ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(_fault_seen, server, stream=False, timeout=60.0)
        while server.stats()["in_flight"] == 0:
            time.sleep(0.01)
        server.stop()
        assert hanging.result() == "reset"
        server.stop()


def test_a_port_can_be_taken_again_at_once():
    with serving() as server:
        port = urlsplit(server.url).port
        assert _chat(server, seed=1)["choices"]
    with serving(port=port) as server:
        assert _chat(server, seed=1)["choices"]
        with pytest.raises(OSError, match=str(port)), serving(port=port):
            pass


def test_without_aiohttp_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    monkeypatch.delitem(sys.modules, "factory.testing.mock_server")
    with pytest.raises(MissingExtra, match="the mock server needs the package 'aiohttp'"):
        importlib.import_module("factory.testing.mock_server")


def test_bad_options_are_said():
    for text in ("sloow=0.1", "reset=2", "reset"):
        with pytest.raises(ValueError):
            Faults.parse(text)
    with pytest.raises(ValueError, match="at most 1"):
        Faults(**dict.fromkeys(PASSING, 0.2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_answers_are_in_the_shapes_of_the_installed_vllm(plain):
    pytest.importorskip("vllm")
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionResponse, ChatCompletionStreamResponse
    from vllm.entrypoints.openai.completion.protocol import CompletionResponse, CompletionStreamResponse
    from vllm.entrypoints.serve.engine.protocol import ModelList

    models = json.loads(_send(plain, "/v1/models")[2])
    assert ModelList.model_validate(models).model_dump() == models
    table = [
        ("/v1/chat/completions", {"messages": QUESTION}, ChatCompletionResponse, ChatCompletionStreamResponse),
        ("/v1/completions", {"prompt": "1 + 1 ="}, CompletionResponse, CompletionStreamResponse),
    ]
    for path, prompt, whole_class, stream_class in table:
        for extra in ({}, {"logprobs": 1, "return_token_ids": True}):
            whole = json.loads(_send(plain, path, prompt | extra)[2])
            parsed = whole_class.model_validate(whole).model_dump()
            assert parsed == whole
            assert (list(parsed), list(parsed["choices"][0])) == (list(whole), list(whole["choices"][0]))
            streamed = {"stream": True, "stream_options": {"include_usage": True}}
            for event in _events(_send(plain, path, prompt | extra | streamed)[2]):
                dumped = stream_class.model_validate(event).model_dump_json(exclude_unset=True)
                assert json.loads(dumped) == event
