"""What every kind of policy promises. A new kind adds one entry to `KINDS`."""

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from factory.identity import digest
from factory.policy.kinds import AnyPolicy
from factory.policy.protocol import PolicyConfig, PromptForm, Sampling
from factory.records import Completion, Slot

PROMPTS = ["1+1?", "What is 17 + 25, and why?", "一加一等于几？请用中文回答。"]
GROUP_SIZE = 3


@dataclass
class Opened:
    """A policy of one kind, with how it was made."""

    config: PolicyConfig
    policy: Any
    sampling: Sampling
    form: PromptForm
    max_pulled: int = 1
    """Slots it may have in hand before the first result."""
    shared: bool = False
    """Too dear to be opened for each test."""
    repeats_itself: bool = True
    """Whether the same slots give the same text again, whatever else is sampled."""

    def reopen(self):
        return self.policy if self.shared else self.config.open(self.sampling, self.form)


def slots(prompts=PROMPTS, group_size=GROUP_SIZE):
    return [
        Slot(
            trace_id=digest([prompt, index]),
            problem_id=digest(prompt),
            prompt=[{"role": "user", "content": prompt}],
            index=at * group_size + index,  # the row in the file, where there is one
            seed=1000 * at + index,
            source="local:problems.jsonl",
            row=str(at),
        )
        for at, prompt in enumerate(prompts)
        for index in range(group_size)
    ]


def open_torch(tmp_path: Path, request) -> Opened:
    model = request.getfixturevalue("tiny_model")
    config = TypeAdapter(AnyPolicy).validate_python({"kind": "torch", "model": str(model), "batch_size": 4})
    sampling, form = Sampling(max_tokens=12), PromptForm(prefill="<think>\n")
    return Opened(config, config.open(sampling, form), sampling, form, max_pulled=4)


def open_vllm(tmp_path: Path, request) -> Opened:
    return request.getfixturevalue("vllm_opened")


@pytest.fixture(scope="session")
def vllm_opened(vllm_engine) -> Opened:
    config, policy, sampling, form = vllm_engine
    return Opened(config, policy, sampling, form, max_pulled=policy._room + 64, shared=True, repeats_itself=False)


def open_recorded(tmp_path: Path, request) -> Opened:
    path = tmp_path / "completions.jsonl"
    rows = [
        {"id": at, "text": f"{prompt} 好 é 🙂 {index}</think>", "why": ["stop", "length"][index % 2], "n": 5 + index}
        for at, prompt in enumerate(PROMPTS)
        for index in range(GROUP_SIZE)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {"problem": "id", "completion": "text", "finish_reason": "why", "num_tokens": "n"}
    config = TypeAdapter(AnyPolicy).validate_python(
        {"kind": "recorded", "path": str(path), "columns": columns, "model": "someone", "prefill": "<think>\n"}
    )
    return Opened(config, config.open(Sampling(), PromptForm()), Sampling(), PromptForm())


def open_server(tmp_path: Path, request) -> Opened:
    pytest.importorskip("aiohttp", reason="the extra `server` is not installed")
    from factory.testing.mock_server import MockBehaviour, serving

    server = serving(MockBehaviour(dialect="vllm", thinks=False, prefilled_think=False))
    url = server.__enter__().url
    config = TypeAdapter(AnyPolicy).validate_python({"kind": "server", "model": MockBehaviour().model, "urls": [url]})
    sampling, form = Sampling(max_tokens=200), PromptForm(prefill="<think>\n")
    policy = config.open(sampling, form)

    def end():
        policy.close()
        server.__exit__(None, None, None)

    request.addfinalizer(end)
    return Opened(config, policy, sampling, form, max_pulled=200)


KINDS = {"torch": open_torch, "recorded": open_recorded, "vllm": open_vllm, "server": open_server}


@pytest.fixture(params=sorted(KINDS))
def opened(request, tmp_path) -> Opened:
    return KINDS[request.param](tmp_path, request)


def contents(results):
    """Return what must be reproducible: everything but the times."""
    return sorted((replace(r, started_at=0.0, seconds=0.0) for r in results), key=lambda r: r.trace_id)


def test_each_slot_comes_back_once_with_its_own_completion(opened):
    asked = slots()
    results = list(opened.policy.sample(asked))
    assert sorted(r.trace_id for r in results) == sorted(s.trace_id for s in asked)
    assert all(isinstance(r, Completion) for r in results)
    if not opened.repeats_itself:
        return
    # Its own: sampled one by one, each slot gets the text that it got among the others.
    texts = {r.trace_id: r.text for r in results}
    for slot in asked[::4]:
        (alone,) = opened.policy.sample([slot])
        assert alone.text == texts[slot.trace_id]


def test_same_batch_same_completions(opened):
    first = contents(opened.policy.sample(slots()))
    for again in (opened.policy, opened.reopen()):
        results = contents(again.sample(slots()))
        assert [r.trace_id for r in results] == [r.trace_id for r in first]
        if opened.repeats_itself:
            assert results == first


def test_completions_are_well_formed(opened):
    for completion in opened.policy.sample(slots()):
        assert completion.finish_reason in {"stop", "length"}
        assert completion.num_completion_tokens > 0
        assert completion.num_prompt_tokens >= 0
        assert completion.text.encode("utf-8").decode("utf-8") == completion.text
        assert completion.text.startswith("<think>\n"), "the prefilled <think> is put back"
        assert completion.text.count("<think>\n") == 1
        assert completion.token_ids is None, "kept only when asked for"
        assert completion.logprobs is None, "kept only when asked for"


def test_completions_of_a_group_differ(opened):
    texts = [c.text for c in opened.policy.sample(slots(prompts=PROMPTS[:1]))]
    assert len(set(texts)) == GROUP_SIZE


def test_slots_are_pulled_lazily(opened):
    pulled = []

    def stream():
        for slot in slots(group_size=GROUP_SIZE * (1 if opened.config.kind == "recorded" else 300)):
            pulled.append(slot)
            yield slot

    results = opened.policy.sample(stream())
    assert pulled == []
    next(results)
    assert len(pulled) <= opened.max_pulled
    results.close()
    # What was given up is forgotten: the next slots get their own results and no others.
    assert sorted(r.trace_id for r in opened.policy.sample(slots())) == sorted(s.trace_id for s in slots())


def test_nothing_asked_nothing_given(opened):
    assert list(opened.policy.sample([])) == []


def test_fingerprint_is_known_before_opening_and_is_what_the_description_says(opened):
    assert opened.config.fingerprint(opened.sampling, opened.form) == opened.policy.fingerprint
    description = json.loads(json.dumps(opened.policy.description))
    assert digest(description["identity"]) == opened.policy.fingerprint
    assert description["kind"] == opened.config.kind
    assert description["model"]


def test_description_names_no_path_of_the_machine(opened, tmp_path):
    text = json.dumps(opened.policy.description)
    assert str(tmp_path.parent) not in text
    assert "/tmp" not in text


def test_resolve_gives_concrete_policies_that_stay_as_they_are(opened):
    (resolved,) = opened.config.resolve()
    assert resolved.resolve() == (resolved,)
    assert resolved.fingerprint(opened.sampling, opened.form) == opened.policy.fingerprint
    again = TypeAdapter(AnyPolicy).validate_python(json.loads(resolved.model_dump_json()))
    assert again == resolved


def test_close_can_be_called(opened):
    list(opened.policy.sample(slots()[:2]))
    if not opened.shared:  # the session closes it
        opened.policy.close()


def test_status_counts_what_is_in_flight(opened):
    assert opened.policy.status().in_flight == 0
    results = opened.policy.sample(slots())
    next(results)
    assert 0 <= opened.policy.status().in_flight < len(slots())
    results.close()
    assert opened.policy.status().in_flight == 0


def test_kinds_import_no_engine():
    code = "import sys, factory.policy.kinds; print([m for m in ('torch', 'transformers', 'vllm') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
