"""The policy `vllm` on the real engine, with the embedded model. What all policies promise is in the contract test."""

import importlib.util
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from factory.errors import PolicyError, UsageError
from factory.identity import digest
from factory.policy.engine_options import EngineOptions
from factory.policy.kinds import AnyPolicy
from factory.policy.model_files import BUILTIN_FOLDER
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.tokens import TextCodec, load_tokenizer
from factory.policy.vllm import _plain, explain
from factory.records import Completion, Failure, Slot

MICRO = BUILTIN_FOLDER / "micro"

# Not importorskip: importing it takes seconds and a gigabyte.
needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


def slots(number, *, first=0, prompt="What is {} + 4?"):
    return [
        Slot(
            trace_id=digest([prompt, at]),
            problem_id="p",
            prompt=[{"role": "user", "content": prompt.format(at % 9 + 2)}],
            index=at,
            seed=77 + at,
        )
        for at in range(first, first + number)
    ]


def config(**options):
    return TypeAdapter(AnyPolicy).validate_python({"kind": "vllm", "model": "builtin:micro", **options})


def texts(policy, asked):
    return {r.trace_id: r.text for r in policy.sample(asked)}


# On the real engine.


def test_a_seed_decides_the_text_in_any_company(vllm_engine):
    policy = vllm_engine[1]
    asked = slots(60)
    together = texts(policy, asked)
    alone = {s.trace_id: texts(policy, [s])[s.trace_id] for s in asked[::6]}
    same = sum(together[i] == text for i, text in alone.items())
    # Not all: rounding differs between batches. But an engine that ignored a seed would repeat next to none.
    assert same >= 0.7 * len(alone)
    assert len(set(together.values())) > 20


def test_a_prompt_that_does_not_fit_fails_alone(vllm_engine):
    policy = vllm_engine[1]
    long = slots(1, prompt="What is {} + 4?" + " and then some more" * 300)
    results = {r.trace_id: r for r in policy.sample([*slots(3), *long])}
    failure = results[long[0].trace_id]
    assert isinstance(failure, Failure)
    assert failure.error == "prompt_too_long"
    assert "context of 512" in failure.message
    assert sum(isinstance(r, Completion) for r in results.values()) == 3


def test_many_long_prompts_at_once_do_not_end_the_engine(vllm_engine):
    # More prompt tokens than one step takes: with seeds, splitting one over two steps ends vLLM 0.32 on a CPU.
    asked = slots(100, prompt="What is {} + 4?" + " and so on" * 120)
    asked = [replace(s, prompt=[{"role": "user", "content": s.prompt[0]["content"] + str(s.index)}]) for s in asked]
    results = list(vllm_engine[1].sample(asked))
    assert sum(isinstance(r, Completion) for r in results) == 100


def test_a_slot_with_a_beginning_goes_on_from_there(vllm_engine):
    policy = vllm_engine[1]
    (asked,) = slots(1)
    beginning = "<think>\n5 + 4 = 9.\n</think>\n\nThe answer is \\boxed{"
    continued = replace(asked, parent="p", beginning=beginning)
    (result,) = policy.sample([continued])
    assert result.text.startswith(beginning)
    assert result.text.count("<think>") == 1
    (plain,) = policy.sample([asked])
    assert result.num_prompt_tokens > plain.num_prompt_tokens


def test_weights_are_replaced_in_the_running_engine(vllm_engine, other_micro):
    torch_files = pytest.importorskip("safetensors.torch")
    policy = vllm_engine[1]
    asked = slots(12)
    before, identity = texts(policy, asked), policy.fingerprint
    try:
        policy.load_weights(other_micro)
        fingerprint = policy.fingerprint
        changed = texts(policy, asked)
        assert fingerprint != identity
        assert policy.description["checkpoint"] == other_micro.name
        assert all(changed[i] != text for i, text in before.items())

        policy.load_weights(torch_files.load_file(MICRO / "model.safetensors"))
        assert policy.fingerprint not in {fingerprint, identity}, "tensors have an identity of their own"
        back = texts(policy, asked)
        assert sum(back[i] == text for i, text in before.items()) >= 8
    finally:
        policy.load_weights(MICRO)
    assert policy.fingerprint == identity


def test_weights_that_lack_a_tensor_are_refused_and_the_old_ones_stay(vllm_engine):
    torch_files = pytest.importorskip("safetensors.torch")
    policy = vllm_engine[1]
    before = texts(policy, slots(6))
    tensors = torch_files.load_file(MICRO / "model.safetensors")
    some = dict(sorted(tensors.items())[1:])
    with pytest.raises(PolicyError, match="lacks 1 weights of the model"):
        policy.load_weights(some)
    name = "model.norm.weight"
    with pytest.raises(PolicyError, match="has the shape"):
        policy.load_weights({**tensors, name: tensors[name][:-1]})
    assert sum(texts(policy, slots(6))[i] == text for i, text in before.items()) >= 4


def test_an_adapter_changes_the_text_and_the_fingerprint(vllm_engine, adapted_engine, adapter, other_micro):
    plain = vllm_engine[1]
    asked = slots(8)
    adapted = texts(adapted_engine, asked)
    assert adapted_engine.description["adapter"] == adapter.name
    assert config(adapter=str(adapter)).fingerprint(Sampling(), PromptForm()) != config().fingerprint(
        Sampling(), PromptForm()
    )
    assert sum(adapted[i] != text for i, text in texts(plain, asked).items()) >= 7
    # Weights under an adapter are replaced too, and the adapter stays.
    identity = adapted_engine.fingerprint
    adapted_engine.load_weights(other_micro)
    assert adapted_engine.fingerprint != identity
    changed = texts(adapted_engine, asked)
    adapted_engine.load_weights(MICRO)
    assert adapted_engine.fingerprint == identity
    assert changed != adapted
    assert texts(adapted_engine, asked) == adapted


@pytest.mark.slow
@needs_vllm
def test_an_engine_that_is_killed_ends_the_sampling_with_a_reason(other_micro):
    policy = config(enforce_eager=True, max_model_len=512, max_num_seqs=8).open(Sampling(max_tokens=200), PromptForm())
    below = descendants(policy._worker.pid)
    assert len(below) >= 2, "a worker and its engine core"
    results = policy.sample(slots(500))
    next(results)
    os.kill(below[-1], signal.SIGKILL)
    with pytest.raises(PolicyError, match=r"the engine of 'builtin:micro' (ended|was killed) while sampling"):
        list(results)
    wait_until_gone(below)
    with pytest.raises(PolicyError):
        list(policy.sample(slots(1)))
    policy.close()


@pytest.mark.slow
@needs_vllm
@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"max_model_len": 4096}, "4096", "log"),
        ({"engine_args": {"max_num_sequences": 3}}, "no engine argument 'max_num_sequences'", "max_num_seqs"),
    ],
)
def test_what_vllm_refuses_is_said_in_one_line(options, message, hint):
    with pytest.raises((PolicyError, UsageError)) as error:
        config(enforce_eager=True, **options).open(Sampling(max_tokens=16), PromptForm())
    assert message in error.value.message
    assert "\n" not in error.value.message
    assert hint in (error.value.hint or "")


def descendants(root):
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        if int(text[text.rindex(")") + 2 :].split()[1]) == root:
            found += [int(entry.parent.name), *descendants(int(entry.parent.name))]
    return found


def wait_until_gone(pids):
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {[p for p in pids if Path(f'/proc/{p}').exists()]}")


# Without an engine.


def test_tied_tensors_can_be_handed_over(tmp_path):
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    from safetensors.torch import load_file, save_file

    shared = torch.arange(6.0).reshape(2, 3)
    save_file(_plain({"embed": shared, "head": shared, "view": shared[1:]}), tmp_path / "t.safetensors")
    assert {name: t.tolist() for name, t in load_file(tmp_path / "t.safetensors").items()} == {
        "embed": [[0, 1, 2], [3, 4, 5]],
        "head": [[0, 1, 2], [3, 4, 5]],
        "view": [[3, 4, 5]],
    }


def test_a_token_the_model_has_no_weights_for_fails_its_slot_alone():
    codec = TextCodec(
        load_tokenizer(MICRO), Sampling(max_tokens=8), PromptForm(), context=512, eos_ids=[], name="m", vocabulary=300
    )
    (slot,) = slots(1)
    failure = codec.encode(slot)
    assert isinstance(failure, Failure)
    assert failure.error == "prompt_form"
    assert "the model knows 300" in failure.message


def test_an_adapter_on_the_hub_must_say_which_commit():
    with pytest.raises(UsageError, match="does not say which commit") as error:
        config(adapter="org/adapter", adapter_revision="main").fingerprint(Sampling(), PromptForm())
    assert error.value.hint is not None


IDENTITY = [
    ({}, False),
    ({"tensor_parallel_size": 4, "max_num_seqs": 8, "gpu_memory_utilization": 0.5, "max_model_len": 256}, False),
    ({"engine_args": {"cpu_offload_gb": 3}, "enable_prefix_caching": False, "cost_per_hour": 2.0}, False),
    ({"speculative_config": {"method": "ngram", "num_speculative_tokens": 4}}, False),
    ({"dtype": "float32"}, False),  # what the model is
    ({"dtype": "bfloat16"}, True),
    ({"quantization": "fp8"}, True),
    ({"kv_cache_dtype": "fp8"}, True),
    ({"engine_args": {"hf_overrides": {"rope_theta": 2}}}, True),
]


@pytest.mark.parametrize(("options", "changes"), IDENTITY)
def test_only_what_decides_the_text_is_identity(options, changes):
    plain = config().fingerprint(Sampling(), PromptForm())
    assert (config(**options).fingerprint(Sampling(), PromptForm()) != plain) is changes


def test_loop_cut_is_identity_only_where_it_is_not_the_default():
    plain = config().fingerprint(Sampling(), PromptForm())
    assert config().fingerprint(Sampling(loop_cut=None), PromptForm()) != plain
    assert config().fingerprint(Sampling.model_validate({"loop_cut": {"min_count": 7}}), PromptForm()) == plain


@pytest.mark.parametrize(
    "options",
    [{"tensor_parallel_size": 0}, {"dtype": "int4"}, {"gpu_memory_utilization": 1.5}, {"max_num_sequences": 3}],
)
def test_options_are_validated_by_the_recipe(options):
    with pytest.raises(ValidationError):
        config(**options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trust_remote_code", "set by the factory"),
        ("api_key", "set by the factory"),
        ("dtype", "has a field of its own"),
        ("max_num_sequences", "no engine argument"),
    ],
)
def test_engine_args_that_are_not_the_recipes_are_refused(name, message):
    with pytest.raises(UsageError, match=message):
        EngineOptions(engine_args={name: 1}).check_names({"dtype", "max_num_seqs"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "no/such/place"}, "there is no model at"),
        ({"adapter": "./no-adapter"}, "there is no adapter at"),
        ({"adapter": str(MICRO)}, "is not a LoRA adapter"),
        ({"revision": "main"}, "has no revision"),
    ],
)
def test_files_that_do_not_exist_are_named(options, message):
    with pytest.raises(PolicyError, match=message):
        config(**options).fingerprint(Sampling(), PromptForm())


def test_a_missing_template_is_said_before_an_engine_starts(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(PolicyError, match="no chat template") as error:
        config(model=str(tmp_path)).fingerprint(Sampling(), PromptForm())
    assert "r1-zero" in (error.value.hint or "")


LOGS = [
    (
        "(EngineCore pid=7) ERROR 11-22 19:00:01 [core.py:1] torch.OutOfMemoryError: CUDA out of memory. Tried 3 GiB",
        1,
        "out of memory while starting 'm': torch.OutOfMemoryError: CUDA out of memory. Tried 3 GiB",
    ),
    (
        "ValueError: To serve at least one request, 8 GiB KV cache is needed, which is larger than the available KV "
        "cache memory (1 GiB).",
        1,
        "the key-value cache of 'm' does not fit into memory: ValueError",
    ),
    (
        "ValueError: Model architectures ['XForCausalLM'] are not supported for now.",
        1,
        "vLLM does not support the architecture of 'm'",
    ),
    ("loading …\n", -9, "was killed while starting, as the system does when memory runs out"),
    (
        "KeyError: 'lm_head'\nRuntimeError: Engine core initialization failed. See root cause above.",
        1,
        "the engine of 'm' ended while starting: KeyError: 'lm_head'",
    ),
    ("", 1, "the engine of 'm' ended while starting: it says nothing"),
]


@pytest.mark.parametrize(("log", "status", "message"), LOGS)
def test_the_log_is_turned_into_one_sentence(log, status, message, tmp_path):
    error = explain(log, "", doing="starting", name="m", status=status, log=tmp_path / "engine.log")
    assert message in error.message
    assert "engine.log" in (error.hint or "")
