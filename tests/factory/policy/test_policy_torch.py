"""The torch policy against transformers itself: tokens, log-probabilities, text, ends, seeds, identity, errors."""

import json
import shutil
from dataclasses import replace

import pytest

from factory.errors import PolicyError
from factory.policy.model_files import model_name
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.torch import TorchPolicyConfig
from factory.records import Failure, Slot

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PROMPTS = ["hi", "a longer prompt, which is padded least", "一加一等于几？", "hi"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)


def slot(prompt="hi", *, seed=0, name=None):
    return Slot(
        trace_id=name or f"{prompt}/{seed}",
        problem_id=prompt,
        prompt=[{"role": "user", "content": prompt}],
        index=0,
        seed=seed,
    )


def open_policy(model, *, batch_size=8, form=None, **sampling):
    config = TorchPolicyConfig(model=str(model), batch_size=batch_size)
    return config.open(Sampling(**{"max_tokens": 24, **sampling}), form or PromptForm())


def sample(policy, slots):
    return {result.trace_id: result for result in policy.sample(slots)}


@pytest.fixture(scope="module")
def reference(tiny_model):
    """The model and tokenizer as transformers loads them."""
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="eager").eval()
    return model, transformers.AutoTokenizer.from_pretrained(tiny_model)


def prompt_ids(tokenizer, prompt):
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_greedy_is_what_transformers_generates(tiny_model, reference):
    model, tokenizer = reference
    policy = open_policy(tiny_model, temperature=0.0, token_ids=True, max_tokens=60)
    got = sample(policy, [slot(prompt, name=str(i)) for i, prompt in enumerate(PROMPTS)])
    for i, prompt in enumerate(PROMPTS):
        ids = prompt_ids(tokenizer, prompt)
        with torch.inference_mode():
            out = model.generate(torch.tensor([ids]), max_new_tokens=60, do_sample=False)[0, len(ids) :].tolist()
        assert got[str(i)].token_ids == out
        assert got[str(i)].num_prompt_tokens == len(ids)
        assert got[str(i)].num_completion_tokens == len(out)


@pytest.mark.parametrize("penalty", [0.7, 1.5])
def test_repetition_penalty_is_that_of_transformers(tiny_model, reference, penalty):
    model, tokenizer = reference
    policy = open_policy(tiny_model, temperature=0.0, repetition_penalty=penalty, token_ids=True, max_tokens=40)
    got = sample(policy, [slot(prompt, name=str(i)) for i, prompt in enumerate(PROMPTS)])
    plain = sample(open_policy(tiny_model, temperature=0.0, token_ids=True, max_tokens=40), [slot()])["hi/0"]
    assert got["0"].token_ids != plain.token_ids
    for i, prompt in enumerate(PROMPTS):
        ids = prompt_ids(tokenizer, prompt)
        with torch.inference_mode():
            out = model.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False, repetition_penalty=penalty)
        assert got[str(i)].token_ids == out[0, len(ids) :].tolist()


def test_logprobs_are_those_of_a_plain_forward_pass(tiny_model, reference):
    model, tokenizer = reference
    # A temperature and cuts that change what is drawn, not what is reported.
    policy = open_policy(tiny_model, token_ids=True, logprobs=True, temperature=0.8, top_k=50, max_tokens=30)
    slots = [slot(prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    got = sample(policy, slots)
    for asked in slots:
        completion = got[asked.trace_id]
        ids = prompt_ids(tokenizer, asked.prompt[0]["content"])
        with torch.inference_mode():
            logits = model(torch.tensor([ids + completion.token_ids])).logits[0, len(ids) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert len(completion.logprobs) == len(completion.token_ids) == completion.num_completion_tokens
        assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("penalties", [{}, {"repetition_penalty": 1.3, "frequency_penalty": 0.5}])
def test_rows_that_end_early_leave_the_others_as_they_are(tiny_model, monkeypatch, penalties):
    # Token 7 and the end-of-text token end about one row in a hundred tokens: the batch is compacted several times,
    # with random numbers drawn anew in between.
    monkeypatch.setattr("factory.policy.torch_decoding.UNIFORMS", 16)
    slots = [slot(PROMPTS[seed % 3], seed=seed) for seed in range(24)]
    sampling = {"max_tokens": 150, "token_ids": True, **penalties}
    together = sample(open_policy(tiny_model, batch_size=24, **sampling), slots)
    lengths = {c.num_completion_tokens for c in together.values()}
    assert len(lengths) > 5, "the rows must end at different times for this test to say something"
    longest = sorted(slots, key=lambda s: together[s.trace_id].num_completion_tokens)[-8:]
    alone = sample(open_policy(tiny_model, batch_size=1, **sampling), longest)
    # Rounding in another batch shape may flip a draw once in a long while, not in most rows.
    same = sum(together[s.trace_id].token_ids == alone[s.trace_id].token_ids for s in longest)
    assert same >= 6
    for completion in together.values():
        ended = completion.token_ids[-1] in {7, 256}
        assert completion.finish_reason == ("stop" if ended else "length")
        assert ended or completion.num_completion_tokens == 150
        assert not {7, 256} & set(completion.token_ids[:-1])


def test_each_slot_has_its_own_random_stream(tiny_model):
    policy = open_policy(tiny_model)
    a, b = slot(seed=1), slot(seed=2)
    got = sample(policy, [a, b])
    assert got[a.trace_id].text != got[b.trace_id].text
    among_others = sample(policy, [slot("another prompt", seed=9), b, slot("x", seed=3), a])
    assert among_others[a.trace_id].text == got[a.trace_id].text
    assert among_others[b.trace_id].text == got[b.trace_id].text
    # All 63 bits count, not only the low 32.
    far = sample(policy, [slot(seed=1 + 2**40)])
    assert far[f"hi/{1 + 2**40}"].text != got[a.trace_id].text


def test_draws_follow_the_models_distribution(tiny_model, reference):
    model, tokenizer = reference
    ids = prompt_ids(tokenizer, "hi")
    with torch.inference_mode():
        probs = model(torch.tensor([ids])).logits[0, -1].softmax(-1)
    policy = open_policy(tiny_model, batch_size=4000, max_tokens=1, token_ids=True)
    drawn = [c.token_ids[0] for c in policy.sample(slot(seed=seed) for seed in range(4000))]
    counts = torch.bincount(torch.tensor(drawn), minlength=len(probs)) / len(drawn)
    for token in probs.topk(5).indices.tolist():
        # Four standard deviations of a share of 4,000 draws are at most 0.032.
        assert counts[token].item() == pytest.approx(probs[token].item(), abs=0.032)


def test_text_is_decoded_as_a_whole(tiny_model, reference):
    _, tokenizer = reference
    policy = open_policy(tiny_model)
    ids = tokenizer("<think>é 好🙂</think> ok", add_special_tokens=False)["input_ids"]
    assert len(ids) > 12, "one token per byte: characters are split over tokens"
    # Tags stay though this tokenizer calls them special; ends of text and turns do not.
    assert policy._codec._text(ids[0], [258, *ids, 262, 256]) == "<think>é 好🙂</think> ok"


def test_the_space_before_the_first_word_is_kept(tiny_model, monkeypatch):
    # Tokenizers with `▁` for a space drop it where a text begins, and a completion does not begin one.
    from tokenizers import Tokenizer, decoders, models

    words = Tokenizer(models.WordLevel({"▁User": 0, "▁two": 1, "▁words": 2}, unk_token="▁User"))
    words.decoder = decoders.Metaspace()
    policy = open_policy(tiny_model)
    monkeypatch.setattr(policy._codec, "_tokenizer", transformers.PreTrainedTokenizerFast(tokenizer_object=words))
    assert policy._codec._decode([[1, 2]]) == ["two words"]
    assert policy._codec._text(0, [1, 2]) == " two words"


def test_a_character_cut_by_the_limit_is_left_out(tiny_model, monkeypatch):
    policy = open_policy(tiny_model, max_tokens=2)
    ids = policy._tokenizer("é好", add_special_tokens=False)["input_ids"]
    force(monkeypatch, policy, ids)
    (completion,) = policy.sample([slot()])
    assert (completion.text, completion.finish_reason) == ("é", "length")
    policy = open_policy(tiny_model, max_tokens=4)
    force(monkeypatch, policy, ids)
    (completion,) = policy.sample([slot()])
    assert (completion.text, completion.finish_reason) == ("é", "length")


def force(monkeypatch, policy, ids):
    """Make the model say `ids`, whatever it is asked."""
    whole = policy._model.forward
    step = {"at": 0}

    def forward(*args, **kwargs):
        out = whole(*args, **kwargs)
        out.logits[:] = -100.0
        out.logits[..., ids[min(step["at"], len(ids) - 1)]] = 100.0
        step["at"] += 1
        return out

    monkeypatch.setattr(policy._model, "forward", forward)


@pytest.mark.parametrize(
    ("stop", "text", "reason", "num_tokens"),
    [
        ((), "one two three 四五", "length", 20),
        (("two",), "one ", "stop", 7),
        (("四",), "one two three ", "stop", 17),
        (("three", "two"), "one ", "stop", 7),
        (("o t", "two"), "one tw"[:4], "stop", 7),
        (("not there",), "one two three 四五", "length", 20),
    ],
)
def test_stop_strings(tiny_model, monkeypatch, stop, text, reason, num_tokens):
    policy = open_policy(tiny_model, max_tokens=20, stop=stop)
    force(monkeypatch, policy, policy._tokenizer("one two three 四五", add_special_tokens=False)["input_ids"])
    (completion,) = policy.sample([slot()])
    assert (completion.text, completion.finish_reason) == (text, reason)
    assert completion.num_completion_tokens == num_tokens


def test_end_of_text_is_counted_and_not_in_the_text(tiny_model, monkeypatch):
    policy = open_policy(tiny_model, token_ids=True, logprobs=True)
    ids = [*policy._tokenizer("fine", add_special_tokens=False)["input_ids"], 256]
    force(monkeypatch, policy, ids)
    (completion,) = policy.sample([slot()])
    assert (completion.text, completion.finish_reason) == ("fine", "stop")
    assert completion.token_ids == ids
    assert completion.num_completion_tokens == 5


def test_prefill_is_restored_and_not_sampled(tiny_model, monkeypatch):
    policy = open_policy(tiny_model, form=PromptForm(prefill="<think>\n"), max_tokens=4)
    force(monkeypatch, policy, policy._tokenizer("fine", add_special_tokens=False)["input_ids"])
    (completion,) = policy.sample([slot()])
    assert completion.text == "<think>\nfine"
    assert completion.num_completion_tokens == 4


def test_prompts_that_do_not_fit_fail_alone(tiny_model):
    policy = open_policy(tiny_model, max_tokens=100)
    fits, long = slot("x" * 154), slot("x" * 155)  # 256 positions, two tokens of the template
    got = sample(policy, [long, fits, replace(long, trace_id="again")])
    assert got[fits.trace_id].num_prompt_tokens == 156
    for name in (long.trace_id, "again"):
        assert isinstance(got[name], Failure)
        assert got[name].error == "prompt_too_long"
        assert "157 tokens" in got[name].message


def test_a_prompt_that_cannot_be_rendered_fails_alone(tiny_model):
    policy = open_policy(tiny_model)
    bad = replace(slot("b"), prompt=[{"role": "assistant", "content": "x"}])
    torn = slot("\ud800")
    got = sample(policy, [bad, slot("a"), torn])
    assert got[bad.trace_id].error == got[torn.trace_id].error == "prompt_form"
    assert "must end with" in got[bad.trace_id].message
    assert "surrogate" in got[torn.trace_id].message
    assert got["a/0"].num_completion_tokens > 0


def test_max_tokens_that_leaves_no_room_is_said_at_once(tiny_model):
    with pytest.raises(PolicyError, match=r"context of .* is 256 tokens"):
        open_policy(tiny_model, max_tokens=256)


def test_load_weights_changes_fingerprint_and_output(tiny_model, other_model):
    policy = open_policy(tiny_model)
    before, first = policy.fingerprint, sample(policy, [slot()])["hi/0"].text
    policy.load_weights(other_model)
    assert policy.description["checkpoint"] == other_model.name
    other = open_policy(other_model)
    assert policy.fingerprint == other.fingerprint != before
    assert sample(policy, [slot()])["hi/0"].text == sample(other, [slot()])["hi/0"].text != first


def test_a_checkpoint_that_cannot_be_loaded_leaves_the_policy_as_it_was(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"torn")
    policy = open_policy(tiny_model)
    before, first = policy.fingerprint, sample(policy, [slot()])["hi/0"].text
    for folder in (tmp_path / "broken", tmp_path):
        with pytest.raises(PolicyError):
            policy.load_weights(folder)
    assert (policy.fingerprint, sample(policy, [slot()])["hi/0"].text) == (before, first)


def test_a_checkpoint_without_tokenizer_keeps_ours(tiny_model, other_model, tmp_path):
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        shutil.copy(other_model / name, tmp_path / name)
    policy = open_policy(tiny_model)
    before = policy.fingerprint
    policy.load_weights(tmp_path)
    assert policy.fingerprint != before
    other = open_policy(other_model)
    assert sample(policy, [slot()])["hi/0"].text == sample(other, [slot()])["hi/0"].text


def test_what_the_fingerprint_depends_on(tiny_model, other_model, tmp_path):
    copy = tmp_path / "elsewhere" / "tiny"
    shutil.copytree(tiny_model, copy)

    def fingerprint(model=tiny_model, form=None, config=None, **sampling):
        return TorchPolicyConfig(model=str(model), **(config or {})).fingerprint(
            Sampling(**sampling), form or PromptForm()
        )

    same = fingerprint()
    for other in (
        fingerprint(copy),
        fingerprint(config={"batch_size": 3, "threads": 1, "device": "cpu", "dtype": "float32"}),
        fingerprint(temperature=1.0),
        fingerprint(token_ids=True, logprobs=True),
    ):
        assert other == same
    different = [
        same,
        fingerprint(other_model),
        fingerprint(config={"dtype": "bfloat16"}),
        fingerprint(temperature=0.7),
        fingerprint(temperature=0.0),
        fingerprint(top_p=0.9),
        fingerprint(top_k=5),
        fingerprint(min_p=0.1),
        fingerprint(repetition_penalty=1.1),
        fingerprint(presence_penalty=0.1),
        fingerprint(frequency_penalty=0.1),
        fingerprint(max_tokens=7),
        fingerprint(stop=("x",)),
        fingerprint(form=PromptForm(system="s")),
        fingerprint(form=PromptForm(template="r1-zero")),
    ]
    assert len(set(different)) == len(different)
    # A file changed in place is another policy.
    config = json.loads((copy / "generation_config.json").read_text())
    (copy / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": [5]}))
    assert fingerprint(copy) != same


def test_a_hub_model_is_found_in_the_local_cache(tiny_model, tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef" * 2 + "01234567"
    repo = tmp_path / "models--org--tiny"
    shutil.copytree(tiny_model, repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    config = TorchPolicyConfig(model="org/tiny")
    (pinned,) = config.resolve()
    assert (pinned.revision, pinned.dtype) == (commit, "float32")
    policy = pinned.open(Sampling(max_tokens=24), PromptForm())
    assert policy.fingerprint == config.fingerprint(Sampling(max_tokens=24), PromptForm())
    assert (policy.description["model"], policy.description["revision"]) == ("org/tiny", commit)
    local = open_policy(tiny_model)
    assert sample(policy, [slot()])["hi/0"].text == sample(local, [slot()])["hi/0"].text


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("./no/such/folder", "there is no model at"),
        ("builtin:nothing", "builtin:micro"),
        ("{tmp}", "no config.json"),
        ("{tmp}/pickled", "safetensors"),
        ("{tmp}/broken", "cannot be loaded"),
        ("{tmp}/holes", "lack 1 weights"),
        ("nobody/nothing", "neither a folder here nor reachable on the Hub"),
    ],
)
def test_models_that_are_none(tiny_model, tmp_path, model, says, monkeypatch):
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    shutil.copytree(tiny_model, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"torn")
    shutil.copytree(tiny_model, tmp_path / "holes")
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "holes" / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, tmp_path / "holes" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PolicyError, match=says):
        open_policy(model.replace("{tmp}", str(tmp_path)))


def test_a_folder_has_no_revision(tiny_model):
    with pytest.raises(PolicyError, match="remove `revision`"):
        TorchPolicyConfig(model=str(tiny_model), revision="main").fingerprint(Sampling(), PromptForm())


def test_out_of_memory_says_what_to_lower(tiny_model, monkeypatch):
    policy = open_policy(tiny_model)

    def forward(*args, **kwargs):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(policy._model, "forward", forward)
    with pytest.raises(PolicyError, match="batch_size"):
        list(policy.sample([slot()]))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_damaged_model_is_no_crash_and_no_text(tiny_model, temperature):
    policy = open_policy(tiny_model, temperature=temperature)
    policy._model.model.norm.weight.data.fill_(float("nan"))
    with pytest.raises(PolicyError, match="not numbers"):
        list(policy.sample([slot()]))


def test_ctrl_c_passes_through(tiny_model, monkeypatch):
    policy = open_policy(tiny_model)

    def forward(*args, **kwargs):
        raise KeyboardInterrupt

    whole = policy._model.forward
    monkeypatch.setattr(policy._model, "forward", forward)
    with pytest.raises(KeyboardInterrupt):
        list(policy.sample([slot()]))
    monkeypatch.setattr(policy._model, "forward", whole)
    assert len(list(policy.sample([slot()]))) == 1, "and the policy is usable again"


@pytest.mark.parametrize(("model", "name"), [("builtin:micro", "builtin:micro"), ("org/name", "org/name")])
def test_names_for_readers(model, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert model_name(model) == name
    (tmp_path / "runs" / "step-7").mkdir(parents=True)
    assert model_name(str(tmp_path / "runs" / "step-7")) == "step-7"


def test_a_hub_id_that_nobody_has_is_one_clear_error(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PolicyError, match="nobody/nothing"):
        TorchPolicyConfig(model="nobody/nothing").resolve()
