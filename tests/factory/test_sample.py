"""Failures, continuations and storing as it comes, with a policy that does what it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import polars as pl
import pytest

from factory import pipeline, sample
from factory.errors import PolicyError, UsageError
from factory.identity import trace_id
from factory.ledger import Ledger
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.torch import TorchPolicyConfig
from factory.progress import Reporter
from factory.recipe import load
from factory.records import Completion, Failure, PolicyStatus, Slot

Answer = Callable[[Slot, Sampling], Completion | Failure]


class ToldPolicy:
    """Answers each slot as a function says."""

    unit_size = None
    engine = "told 1"
    can_continue = True

    def __init__(self, config: TorchPolicyConfig, sampling: Sampling, form: PromptForm, answer: Answer) -> None:
        self.fingerprint = config.fingerprint(sampling, form)
        self.description = {"kind": "told", "model": "told", "identity": {}}
        self._sampling, self._answer = sampling, answer

    def sample(self, slots: Iterable[Slot]) -> Iterator[Completion | Failure]:
        for slot in slots:
            yield self._answer(slot, self._sampling)

    def status(self) -> PolicyStatus:
        return PolicyStatus()

    def close(self) -> None:
        pass


@pytest.fixture
def told(workplace, monkeypatch) -> Callable[[Answer], None]:
    """Let the recipe sample with a policy that answers as it is told."""
    policy = {"kind": "torch", "model": "builtin:micro", "dtype": "float32"}
    workplace.write(sample={"policy": policy, "group_size": 2, "max_tokens": 10, "continue_truncated": None})

    def use(answer: Answer) -> None:
        monkeypatch.setattr(
            TorchPolicyConfig, "open", lambda self, sampling, form: ToldPolicy(self, sampling, form, answer)
        )

    return use


def completion(slot: Slot, text: str = "<think>x</think>\n\n\\boxed{A}", **changes: Any) -> Completion:
    facts: dict[str, Any] = {"finish_reason": "stop", "num_prompt_tokens": 5, "num_completion_tokens": 10, **changes}
    return Completion(trace_id=slot.trace_id, text=slot.beginning + text, **facts)


def failures(workplace: Any) -> pl.DataFrame:
    return Ledger.open(workplace.ledger).snapshot().scan("failures").collect()


def traces(workplace: Any) -> pl.DataFrame:
    return Ledger.open(workplace.ledger).snapshot().scan("traces").collect()


def test_a_slot_that_always_fails_is_set_aside_and_the_run_goes_on(workplace, told):
    def answer(slot: Slot, sampling: Sampling) -> Completion | Failure:
        if slot.index == 1:
            return Failure(trace_id=slot.trace_id, error="timeout", message="no answer in 3 s", attempts=5)
        return completion(slot)

    told(answer)
    result = workplace.run()
    assert result.num_done["sample"] == 24
    stored = failures(workplace)
    assert stored.height == 12
    assert set(stored["class"]) == {"timeout"}
    assert set(stored["attempts"]) == {5}
    assert ("sample", "failed: timeout", -12) in result.funnels[1].lines
    assert workplace.run().num_done["sample"] == 0, "set aside is set aside"


def test_retry_failed_takes_back_what_may_not_happen_again(workplace, told):
    classes = {0: "timeout", 1: "prompt_form"}
    told(lambda slot, _: Failure(trace_id=slot.trace_id, error=classes[slot.index], message="m"))
    workplace.run(until="sample")
    told(lambda slot, _: completion(slot))
    again = workplace.run(until="sample", retry_failed=True)
    assert again.num_done["sample"] == 12
    assert set(traces(workplace)["index"]) == {0}
    assert workplace.run(until="sample", retry_failed=True).num_done["sample"] == 0


def test_what_finished_is_stored_while_others_are_still_sampled(workplace, told):
    arrived = threading.Event()

    def answer(slot: Slot, sampling: Sampling) -> Completion | Failure:
        if answer.count == 3:  # type: ignore[attr-defined]
            for _ in range(200):  # until another process would see the first three
                if traces(workplace).height == 3:
                    arrived.set()
                    break
                time.sleep(0.05)
        answer.count += 1  # type: ignore[attr-defined]
        return completion(slot)

    answer.count = 0  # type: ignore[attr-defined]
    told(answer)
    workplace.run(until="sample")
    assert arrived.is_set()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PolicyError("the engine is gone")])
def test_what_came_before_the_end_is_stored(workplace, told, error):
    def answer(slot: Slot, sampling: Sampling) -> Completion | Failure:
        if slot.index == 1:
            raise error
        return completion(slot)

    told(answer)
    with pytest.raises(type(error)):
        workplace.run(until="sample")
    num_stored = traces(workplace).height
    assert num_stored > 0
    told(lambda slot, _: completion(slot))
    assert workplace.run(until="sample").num_done["sample"] == 24 - num_stored


def cut_off_at_ten(slot: Slot, sampling: Sampling) -> Completion | Failure:
    """Stop at ten tokens in the first slot of each problem; go on to the end when asked."""
    if slot.parent is not None:
        assert sampling.max_tokens == 30
        assert slot.beginning == "<think>half"
        return completion(slot, " and whole</think>\n\n\\boxed{A}", num_prompt_tokens=15, num_completion_tokens=7)
    if slot.index == 0:
        return completion(slot, "<think>half", finish_reason="length")
    return completion(slot)


def test_cut_off_traces_go_on_as_children(workplace, told):
    told(cut_off_at_ten)
    result = workplace.run("sample.continue_truncated={max_tokens: 30}")
    assert result.num_done["sample"] == 24 + 12
    stored = traces(workplace)
    children = stored.filter(pl.col("parent").is_not_null())
    assert children.height == 12
    parents = stored.join(children.select(trace_id="parent"), on="trace_id", how="semi")
    assert set(parents["finish_reason"]) == {"length"}
    for child in children.iter_rows(named=True):
        identity = trace_id(child["problem_id"], child["policy_fingerprint"], child["index"], child["parent"])
        assert child["trace_id"] == identity
        assert child["completion"] == "<think>half and whole</think>\n\n\\boxed{A}"
        assert child["reasoning"] == "half and whole"
        assert child["finish_reason"] == "stop"
        assert child["num_completion_tokens"] == 17, "of the whole text"
        assert child["num_prompt_tokens"] == 5, "of the prompt alone"
    lines = result.funnels[1].lines
    assert ("sample", "stored", 24) in lines
    assert ("sample", "of them continued", 12) in lines
    assert not [line for line in lines if line[1] == "truncated"]
    fates = Ledger.open(workplace.ledger).snapshot().scan("fates").collect()
    continued = fates.filter(rule="continued")
    assert set(continued["trace_id"]) == set(parents["trace_id"])
    assert not continued["kept"].any()
    assert fates.height == 36, "every stored trace has its fate"
    ids = set(result.corpus.scan().collect()["trace_id"]) | set(result.corpus.scan("rejected").collect()["trace_id"])
    assert not ids & set(parents["trace_id"])
    assert ids & set(children["trace_id"])
    assert set(workplace.run("sample.continue_truncated={max_tokens: 30}").num_done.values()) == {0}


def test_without_continuing_the_parent_counts_again(workplace, told):
    told(cut_off_at_ten)
    workplace.run("sample.continue_truncated={max_tokens: 30}")
    result = workplace.run()
    assert result.num_done["sample"] == 0
    assert ("filter", "truncated", -12) in result.funnels[1].lines


def test_missing_continuations_are_seen(workplace, told):
    told(cut_off_at_ten)
    workplace.run()
    recipe = load(workplace.recipe_file, ["sample.continue_truncated={max_tokens: 30}"])
    sampling, *_, mixing = [
        p for p in pipeline.plan(recipe, ledger=workplace.ledger, out=workplace.corpora) if p.step in ("sample", "mix")
    ]
    assert (sampling.total, sampling.done) == (36, 24)
    assert mixing.done == 0
    said: list[str] = []

    class Listener(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    workplace.run("sample.continue_truncated={max_tokens: 30}", only="mix", reporter=Listener())
    assert any("12 traces were cut off and not continued yet" in line for line in said)


def test_a_failed_continuation_is_no_failure_of_another_recipes_slot(workplace, told):
    def answer(slot: Slot, sampling: Sampling) -> Completion | Failure:
        if slot.parent is not None:
            return Failure(trace_id=slot.trace_id, error="timeout", message="m")
        return cut_off_at_ten(slot, sampling) if sampling.max_tokens == 10 else completion(slot)

    told(answer)
    first = workplace.run("sample.continue_truncated={max_tokens: 30}")
    assert ("sample", "could not be continued", 12) in first.funnels[1].lines
    # The same model with max_tokens 30 has the fingerprint of the continuations.
    assert workplace.run("sample.max_tokens=30", until="sample").num_done["sample"] == 24


def test_a_continuation_that_fails_leaves_the_parent_in_its_place(workplace, told):
    def answer(slot: Slot, sampling: Sampling) -> Completion | Failure:
        if slot.parent is not None:
            return Failure(trace_id=slot.trace_id, error="prompt_too_long", message="m")
        return cut_off_at_ten(slot, sampling)

    told(answer)
    result = workplace.run("sample.continue_truncated={max_tokens: 30}")
    assert ("filter", "truncated", -12) in result.funnels[1].lines
    assert set(workplace.run("sample.continue_truncated={max_tokens: 30}").num_done.values()) == {0}


def test_a_run_killed_while_it_continues_goes_on(workplace, told):
    def answer(slot: Slot, sampling: Sampling) -> Completion | Failure:
        if slot.parent is not None:
            if answer.count == 4:  # type: ignore[attr-defined]
                raise KeyboardInterrupt
            answer.count += 1  # type: ignore[attr-defined]
        return cut_off_at_ten(slot, sampling)

    answer.count = 0  # type: ignore[attr-defined]
    told(answer)
    overrides = ("sample.continue_truncated={max_tokens: 30}",)
    with pytest.raises(KeyboardInterrupt):
        workplace.run(*overrides)
    told(cut_off_at_ten)
    assert workplace.run(*overrides, until="sample").num_done["sample"] == 8
    assert traces(workplace).unique("trace_id").height == traces(workplace).height == 36


def test_a_policy_that_cannot_go_on_is_refused_before_anything_is_sampled(workplace, told, monkeypatch):
    monkeypatch.setattr(ToldPolicy, "can_continue", False)
    told(cut_off_at_ten)
    with pytest.raises(UsageError, match="cannot go on from a given text"):
        workplace.run("sample.continue_truncated={max_tokens: 30}")
    assert traces(workplace).is_empty()


def test_files_that_change_while_it_starts_are_named(workplace, told, monkeypatch):
    told(cut_off_at_ten)
    monkeypatch.setattr(
        ToldPolicy, "fingerprint", property(lambda self: "other", lambda self, value: None), raising=False
    )
    with pytest.raises(PolicyError, match="have changed since the run began"):
        workplace.run()


def test_recorded_completions_cannot_go_on(workplace):
    with pytest.raises(UsageError, match="recorded completions cannot go on"):
        workplace.run("sample.continue_truncated={max_tokens: 30}")


def test_what_was_not_kept_is_said(workplace, told):
    told(lambda slot, _: completion(slot))
    workplace.run(until="sample")
    said: list[str] = []

    class Listener(Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    workplace.run("sample.logprobs=true", until="sample", reporter=Listener())
    assert said == ["sample   24 stored traces were sampled without `logprobs` and stay as they are"]


def test_permanent_classes_are_spelled_as_they_are_given():
    assert {"prompt_form", "not_recorded"} == sample.PERMANENT


def test_the_real_policy_continues_its_own_text(tmp_path):
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    config = TorchPolicyConfig(model="builtin:micro")
    policy = config.open(Sampling(max_tokens=8, temperature=0.0), PromptForm())
    prompt = [{"role": "user", "content": "What is 12 + 7?"}]
    slot = Slot(trace_id="a", problem_id="p", prompt=prompt, index=0, seed=1)
    (half,) = policy.sample([slot])
    assert isinstance(half, Completion)
    assert half.finish_reason == "length"
    (whole,) = config.open(Sampling(max_tokens=64, temperature=0.0), PromptForm()).sample([slot])
    going = config.open(Sampling(max_tokens=64, temperature=0.0), PromptForm())
    child = Slot(trace_id="b", problem_id="p", prompt=prompt, index=0, seed=1, parent="a", beginning=half.text)
    (rest,) = going.sample([child])
    assert isinstance(rest, Completion)
    assert isinstance(whole, Completion)
    assert rest.text == whole.text
    assert rest.text.count("<think>") == 1
