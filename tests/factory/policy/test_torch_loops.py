"""The torch policy cuts a completion that loops at the token at which vLLM would, whatever stands beside it."""

import random

import pytest

from factory.policy.loops import first_repetition
from factory.policy.protocol import LoopCut, PromptForm, Sampling
from factory.policy.torch import TorchPolicyConfig
from factory.records import Slot

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
decoding = pytest.importorskip("factory.policy.torch_decoding")

MAX_TOKENS = 230
SHORT = LoopCut(min_pattern_size=1, max_pattern_size=9, min_count=3)
SHORTEST = LoopCut(min_pattern_size=1, max_pattern_size=3, min_count=2)
"""Looked for after every token."""


def sample(model, *, num_slots=24, **sampling):
    policy = TorchPolicyConfig(model=str(model)).open(
        Sampling(**{"max_tokens": MAX_TOKENS, "token_ids": True, **sampling}), PromptForm()
    )
    slots = [
        Slot(
            trace_id=f"{i}", problem_id="", prompt=[{"role": "user", "content": chr(97 + i) * (i % 5)}], index=0, seed=i
        )
        for i in range(num_slots)
    ]
    return {completion.trace_id: completion for completion in policy.sample(slots)}


def expected(whole, cut):
    """What a completion that was sampled without a cut is with it: its tokens and how it ends."""
    length = first_repetition(whole.token_ids, cut)
    if length is None or length == len(whole.token_ids):
        return whole.token_ids, whole.finish_reason
    return whole.token_ids[:length], "loop"


@pytest.mark.parametrize(
    ("sampling", "cut", "fewest_loops"),
    [
        ({"temperature": 0.0}, SHORT, 4),
        ({"temperature": 0.0}, SHORTEST, 12),
        ({"temperature": 0.3}, SHORT, 4),
        ({"temperature": 0.3, "stop": ("a", "7"), "logprobs": True}, SHORT, 3),
        ({"temperature": 1.0}, SHORTEST, 8),
    ],
)
def test_a_loop_is_cut_where_it_is_one(tiny_model, sampling, cut, fewest_loops):
    without = sample(tiny_model, loop_cut=None, **sampling)
    assert {c.finish_reason for c in without.values()} <= {"stop", "length"}
    cut_off = sample(tiny_model, loop_cut=cut, **sampling)
    for name, completion in cut_off.items():
        ids, finish_reason = expected(without[name], cut)
        assert (completion.token_ids, completion.finish_reason) == (ids, finish_reason)
        assert completion.num_completion_tokens == len(ids)
        if completion.logprobs is not None:
            assert completion.logprobs == pytest.approx(without[name].logprobs[: len(ids)], abs=1e-4)
        if finish_reason == "loop":
            assert len(ids) < MAX_TOKENS
            assert without[name].text.startswith(completion.text.rstrip("\N{REPLACEMENT CHARACTER}"))
    assert sum(completion.finish_reason == "loop" for completion in cut_off.values()) >= fewest_loops


def test_the_cut_of_a_row_does_not_depend_on_its_neighbours(tiny_model):
    many = sample(tiny_model, temperature=0.0, loop_cut=SHORT)
    few = sample(tiny_model, temperature=0.0, loop_cut=SHORT, num_slots=9)
    assert [many[name].token_ids for name in few] == [few[name].token_ids for name in few]


@pytest.mark.parametrize("cut", [LoopCut(), SHORT, LoopCut(min_pattern_size=1, max_pattern_size=64, min_count=2)])
def test_looking_now_and_then_finds_what_looking_always_finds(cut):
    rng = random.Random(1)
    rows = []
    for _ in range(60):
        pattern = [rng.randrange(50) for _ in range(rng.randint(1, cut.max_pattern_size + 2))]
        before = [rng.randrange(50) for _ in range(rng.randint(0, 60))]
        loop = pattern * (cut.min_count * cut.max_pattern_size // len(pattern) + 3)
        rest = [rng.randrange(50) for _ in range(600)]  # it may leave the loop again before the next look
        rows.append((before + loop[: rng.randint(0, len(loop))] + rest)[:600])
    tokens = torch.tensor(rows)
    everyone, every = torch.arange(len(rows)), decoding._look_every(cut)
    found: dict[int, int] = {}
    for num_tokens in range(every, tokens.shape[1] + 1, every):
        due = torch.tensor([row not in found for row in range(len(rows))])
        found |= decoding._find_loops(tokens[:, :num_tokens], everyone, due, cut)
    last_look = tokens.shape[1] // every * every
    wanted = {row: first_repetition(ids[:last_look], cut) for row, ids in enumerate(rows)}
    assert found == {row: length for row, length in wanted.items() if length is not None}
    assert len(found) > 15


def test_the_embedded_policy_is_cut_when_it_loops():
    questions = ["What is 377 + 161 - 52?", "What is 1497 + 641 - 212?", "What is 2 + 3?"]
    slots = [
        Slot(trace_id=question, problem_id="p", prompt=[{"role": "user", "content": question}], index=0, seed=0)
        for question in questions
    ]
    policy = TorchPolicyConfig(model="builtin:micro").open(
        Sampling(temperature=0.0, max_tokens=400, token_ids=True), PromptForm()
    )
    completions = list(policy.sample(slots))
    looping = [completion for completion in completions if completion.finish_reason == "loop"]
    assert 1 <= len(looping) < len(completions)
    for completion in looping:
        assert completion.num_completion_tokens == len(completion.token_ids) < 400
        assert first_repetition(completion.token_ids, LoopCut()) == len(completion.token_ids)
        assert completion.text.count(completion.text[-30:]) >= 6
