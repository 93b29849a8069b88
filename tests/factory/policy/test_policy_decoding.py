"""The decode loop's arithmetic, by hand, and its cache."""

import math

import pytest

from factory.policy.protocol import Sampling

torch = pytest.importorskip("torch")
decoding = pytest.importorskip("factory.policy.torch_decoding")

PROBS = [0.5, 0.25, 0.15, 0.1]

# cut, tokens that stay
CUTS = [
    ({}, [0, 1, 2, 3]),
    ({"top_k": 2}, [0, 1]),
    ({"top_k": 9}, [0, 1, 2, 3]),
    ({"top_p": 0.5}, [0]),
    ({"top_p": 0.6}, [0, 1]),
    ({"top_p": 0.01}, [0]),
    # 0.5 + 0.25 = 0.75 of all; of the three that top-k leaves, 0.75 / 0.9 = 0.83: renormalised before top-p.
    ({"top_p": 0.8}, [0, 1, 2]),
    ({"top_k": 3, "top_p": 0.8}, [0, 1]),
    # 0.25 / 0.5 = 0.5, 0.15 / 0.5 = 0.3
    ({"min_p": 0.4}, [0, 1]),
    ({"min_p": 0.29}, [0, 1, 2]),
    ({"min_p": 1.0}, [0]),
]


@pytest.mark.parametrize(("cuts", "stay"), CUTS)
def test_cuts(cuts, stay):
    logits = torch.tensor([PROBS, PROBS[::-1]]).log()
    left = decoding.cut(logits, **cuts)
    assert left[0].isfinite().nonzero().flatten().tolist() == stay
    assert left[1].isfinite().nonzero().flatten().tolist() == sorted(3 - i for i in stay)


@pytest.mark.parametrize(
    ("uniform", "token"),
    [(0.0, 1), (0.2499, 1), (0.25, 2), (0.7499, 2), (0.75, 4), (1 - 2**-53, 4)],
)
def test_pick_is_the_inverse_of_the_sum(uniform, token):
    # 0.25 to token 1, 0.5 to token 2, 0.25 to token 4; tokens 0, 3 and 5 have no probability and are never drawn.
    probs = torch.tensor([[0.0, 0.25, 0.5, 0.0, 0.25, 0.0]])
    assert decoding.pick(probs, torch.tensor([uniform], dtype=torch.float64)).item() == token
    # Not normalised is the same.
    assert decoding.pick(probs * 3, torch.tensor([uniform], dtype=torch.float64)).item() == token


def state(logits, sampling, *, seen, counts):
    rows = len(logits)
    return decoding._State(
        sampling=sampling,
        cache=None,
        roomy=True,
        rows=torch.arange(rows),
        alive=torch.ones(rows, dtype=torch.bool),
        positions=torch.ones(rows),
        mask=torch.ones(rows, 1),
        bias=None,
        logits=torch.tensor(logits),
        streams=[],
        seen=torch.tensor(seen),
        counts=torch.tensor(counts),
    )


def test_penalties_by_hand():
    logits, seen, counts = [[2.0, -2.0, 1.0, 3.0]], [[True, False, False, False]], [[0.0, 1.0, 2.0, 0.0]]
    of = state(logits, Sampling(repetition_penalty=2.0), seen=seen, counts=counts)
    # In the prompt: 2 / 2; in the completion: -2 * 2 and 1 / 2; never seen: 3.
    assert of._penalised().tolist() == [[1.0, -4.0, 0.5, 3.0]]
    of = state(logits, Sampling(presence_penalty=0.5, frequency_penalty=0.25), seen=seen, counts=counts)
    # Only the completion counts: -2 - 0.5 - 0.25, and 1 - 0.5 - 2 * 0.25.
    assert of._penalised().tolist() == [[2.0, -2.75, 0.0, 3.0]]


def test_a_frequency_penalty_is_counted_as_it_draws():
    of = state([[1.0, 0.9]], Sampling(temperature=0, frequency_penalty=0.2), seen=[[False] * 2], counts=[[0.0, 0.0]])
    # 1 against 0.9; 0.8 against 0.9; 0.8 against 0.7.
    assert [of.draw(step).item() for step in range(3)] == [0, 1, 0]


def test_logprob_is_of_the_models_own_distribution():
    of = state([[math.log(3.0), 0.0]], Sampling(temperature=0.5), seen=[[False] * 2], counts=[[5.0, 0.0]])
    assert of.logprob_of(torch.tensor([0])).item() == pytest.approx(math.log(0.75))


@pytest.mark.parametrize(
    ("lengths", "ends"),
    [
        ([5], [1]),
        ([5, 6, 7, 10], [4]),
        ([5, 6, 11], [2, 3]),
        ([8000, 8000, 9000], [2, 3]),
        ([20000, 20000], [1, 2]),
    ],
)
def test_prompts_of_similar_length_go_together(lengths, ends):
    assert list(decoding._similar_lengths(lengths)) == ends


def test_roomy_layer_holds_what_it_was_given():
    layer, whole = decoding._RoomyLayer(), []
    for columns in (3, 1, 1, 200, 1):
        part = torch.randn(2, 1, columns, 4)
        whole.append(part)
        keys, values = layer.update(part, -part)
        assert torch.equal(keys, torch.cat(whole, dim=2))
        assert torch.equal(values, -keys)
        assert layer.get_seq_length() == keys.shape[2]
    layer.reorder_cache(torch.tensor([1]))
    assert torch.equal(layer.filled()[0], torch.cat(whole, dim=2)[1:])


@pytest.mark.parametrize("sliding", [False, True])
def test_padding_and_layers_of_other_kinds_change_nothing(sliding):
    transformers = pytest.importorskip("transformers")
    config = transformers.Qwen2Config(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.4,
        use_sliding_window=sliding,
        sliding_window=8,
        max_window_layers=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.Qwen2ForCausalLM(config)
    decoding.prepare(model)
    prompts = [tuple(range(1, 1 + n)) for n in (2, 5, 9, 30, 9)]
    requests = [decoding.Request(prompt_ids=ids, seed=i) for i, ids in enumerate(prompts)]
    got = {
        s.row: s for s in decoding.decode(model, requests, sampling=Sampling(max_tokens=40, temperature=0), eos_ids=[0])
    }
    assert sorted(got) == [0, 1, 2, 3, 4]
    assert got[2].token_ids == got[4].token_ids
    for row, ids in enumerate(prompts):
        sequence = torch.tensor([[*ids, *got[row].token_ids]])
        with torch.inference_mode():
            greedy = model(sequence).logits[0, len(ids) - 1 : -1].argmax(-1)
        assert got[row].token_ids == greedy.tolist()
