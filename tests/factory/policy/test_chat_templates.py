"""The chat templates of the models that reason: what is sampled is stored whole, and what training then loses.

The templates in `chat_templates/` are written after the published ones, without their tools; transformers renders them.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from factory.conversation import split_completion
from factory.policy.prompt import read_chat_template, render
from factory.policy.protocol import PromptForm, Sampling
from factory.records import Slot
from verifiers.extract import split_reasoning

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

FOLDER = Path(__file__).parent / "chat_templates"
MICRO = Path(__file__).resolve().parents[3] / "factory" / "policy" / "micro"

QUESTION = "What is 1+1?"
REASONING = "\nOne and one.\n\nThat is 2, or so it seems {% if %}: let me check. 一加一等于二。\n"
ANSWER = "\n\nIt is $\\boxed{2}$."
STORED = f"<think>{REASONING}</think>{ANSWER}"


@dataclass(frozen=True)
class Model:
    """A model's template, and what it does."""

    name: str
    """File of the template."""
    prompt: str
    """The question, rendered."""
    bos: str = ""
    """What tokenizers of this family begin a text with."""
    opens: str = ""
    """The opened reasoning with which it ends a prompt."""
    in_training: str = "all"
    """Of which assistant turns a rendered conversation holds the reasoning: `all`, the `last` one, or `none`."""
    before: str = ""
    """Jinja put before the template: what its user set."""


CHATML = "<|im_start|>user\nWhat is 1+1?<|im_end|>\n<|im_start|>assistant\n"
QWEN_SYSTEM = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
R1 = "<｜begin▁of▁sentence｜><｜User｜>What is 1+1?<｜Assistant｜>"
LLAMA = (
    "<|start_header_id|>user<|end_header_id|>\n\nWhat is 1+1?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
LLAMA_DATES = (
    "<|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
)

MODELS = [
    Model("r1_distill", R1 + "<think>\n", "<｜begin▁of▁sentence｜>", opens="<think>\n", in_training="none"),
    Model("r1_first", R1, "<｜begin▁of▁sentence｜>", in_training="none"),
    Model("qwen2_5", QWEN_SYSTEM + CHATML),
    Model("qwen3", CHATML, in_training="last"),
    Model(
        "qwen3",
        CHATML + "<think>\n\n</think>\n\n",
        in_training="last",
        before="{%- set enable_thinking = false -%}",
    ),
    Model("qwq", CHATML + "<think>\n", opens="<think>\n", in_training="none"),
    Model("llama3", "<|begin_of_text|>" + LLAMA, "<|begin_of_text|>"),
    Model("llama3_1", "<|begin_of_text|>" + LLAMA_DATES + LLAMA, "<|begin_of_text|>"),
    Model("micro", "<|bos|><|user|>What is 1+1?<|assistant|><think>\n", "<|bos|>", opens="<think>\n"),
]
THINKING = [model for model in MODELS if not model.before]


def named(models):
    return pytest.mark.parametrize(
        "model", models, ids=[m.name + (", not thinking" if m.before else "") for m in models]
    )


def tokenizer_of(model, *, special_think=True):
    """A tokenizer over bytes, with the template; `<think>` may be a special token, as in some families it is."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    by_letters = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    by_letters.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    by_letters.decoder = tokenizers.decoders.ByteLevel()
    bos, tags = model.bos or "<|none|>", ["<think>", "</think>"]
    by_letters.add_special_tokens([bos, "<|end|>", *(tags if special_think else [])])
    # As Llama's and R1's do: tokenizing a plain text puts the start of text before it.
    by_letters.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, by_letters.token_to_id(bos))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=by_letters, bos_token=bos, eos_token="<|end|>", chat_template=template_of(model)
    )


def template_of(model):
    text = read_chat_template(MICRO) if model.name == "micro" else (FOLDER / f"{model.name}.jinja").read_text("utf-8")
    return model.before + text


def ask(*turns):
    return [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]


def written(rendered):
    """What a model writes that wants to say `STORED`: the part that does not stand in its prompt yet."""
    return STORED.removeprefix(rendered.restore)


@named(MODELS)
def test_the_prompt_is_the_documented_one(model):
    rendered = render(ask(QUESTION), PromptForm(), tokenizer_of(model))
    assert rendered.text == model.prompt
    assert rendered.restore == model.opens
    assert not rendered.add_special_tokens


@named(THINKING)
@pytest.mark.parametrize("prefill", ["", "<think>\n", "<think>"])
def test_reasoning_is_stored_whole_and_once(model, prefill):
    rendered = render(ask(QUESTION), PromptForm(prefill=prefill), tokenizer_of(model))
    stored = rendered.restore + written(rendered)
    assert stored == STORED
    assert (stored.count("<think>"), stored.count("</think>"), stored.count(REASONING)) == (1, 1, 1)
    # What the model saw opens it once, too.
    assert (rendered.text + written(rendered)).count("<think>") == 1
    parts = split_reasoning(stored)
    assert (parts.reasoning, parts.answer) == (REASONING, ANSWER)


@named(THINKING)
def test_a_prefill_that_begins_the_reasoning_is_part_of_it(model):
    form = PromptForm(prefill="<think>\nOkay, so ")
    rendered = render(ask(QUESTION), form, tokenizer_of(model))
    assert rendered.text.count("<think>") == 1
    stored = rendered.restore + "it is 2.\n</think>\n\n2"
    assert split_reasoning(stored).reasoning == "\nOkay, so it is 2.\n"
    assert split_reasoning(stored).answer == "\n\n2"


@named([model for model in MODELS if model.before])
def test_an_empty_reasoning_is_neither_restored_nor_reopened(model):
    rendered = render(ask(QUESTION), PromptForm(), tokenizer_of(model))
    assert rendered.restore == ""
    assert split_reasoning(rendered.restore + "It is 2.").reasoning is None
    # Whoever prefills nevertheless gets what is stored, whole and once, though the prompt shows an empty one before it.
    again = render(ask(QUESTION), PromptForm(prefill="<think>\n"), tokenizer_of(model))
    assert again.text == model.prompt + "<think>\n"
    assert again.restore + written(again) == STORED


@named(THINKING)
@pytest.mark.parametrize("special_think", [True, False])
@pytest.mark.parametrize("prefill", ["", "<think>\n"])
def test_reasoning_survives_tokens(model, prefill, special_think):
    """Through the tokens that an engine is given and gives back, special or not; the text starts once."""
    from factory.policy.tokens import TextCodec

    tokenizer = tokenizer_of(model, special_think=special_think)
    form, sampling = PromptForm(prefill=prefill), Sampling(max_tokens=8)
    end = tokenizer.eos_token_id
    codec = TextCodec(tokenizer, sampling, form, context=4096, eos_ids=[end], name="m")
    slot = Slot(trace_id="t", problem_id="p", prompt=ask(QUESTION), index=0, seed=0)
    prompt = codec.encode(slot)
    assert list(prompt.ids).count(tokenizer.bos_token_id) == (1 if model.bos else 0)
    ids = tokenizer(STORED.removeprefix(prompt.restore), add_special_tokens=False)["input_ids"]
    completion = codec.completion(slot, prompt, [*ids, end], "stop", logprobs=None, started_at=0.0, seconds=0.0)
    assert completion.text == STORED


@named(THINKING)
def test_a_system_message_and_a_suffix_change_nothing_about_it(model):
    form = PromptForm(system="Be brief.", suffix="Please reason step by step.")
    rendered = render(ask(QUESTION), form, tokenizer_of(model))
    assert rendered.restore == model.opens
    assert "Be brief." in rendered.text
    assert f"{QUESTION}\nPlease reason step by step." in rendered.text
    assert rendered.restore + written(rendered) == STORED


# The trap of training: most templates of reasoning models drop the reasoning of the turns that they render, also of the
# last one. Whoever renders a stored conversation with them for training teaches the student to answer without thinking.


@named(MODELS)
def test_what_training_would_see_of_a_stored_conversation(model):
    rendered = tokenizer_of(model).apply_chat_template(ask(QUESTION, STORED), tokenize=False)
    if model.in_training == "none":
        assert REASONING.strip() not in rendered
        assert "<think>" not in rendered
    else:
        assert rendered.count(REASONING.strip()) == 1
        assert (rendered.count("<think>"), rendered.count("</think>")) == (1, 1)
    assert ANSWER.strip() in rendered


@named(MODELS)
def test_what_a_later_prompt_holds_of_earlier_reasoning(model):
    """Earlier turns lose it in all templates that know reasoning, in prompts and in training alike."""
    turns = ask(QUESTION, STORED, "And 2+2?", "<think>\nTwo twos.\n</think>\n\n4")
    tokenizer = tokenizer_of(model)
    prompt = render(turns[:3], PromptForm(), tokenizer)
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert (REASONING.strip() in prompt.text) == (model.in_training == "all")
    assert (REASONING.strip() in whole) == (model.in_training == "all")
    assert ("Two twos." in whole) == (model.in_training in ("all", "last"))
    assert prompt.restore == model.opens


@named(THINKING)
def test_prompt_and_stored_text_hold_what_training_should_see(model):
    """The way out of the trap, which every template allows: the rendered prompt and the stored text behind it."""
    rendered = render(ask(QUESTION), PromptForm(), tokenizer_of(model))
    to_train_on = rendered.text.removesuffix(rendered.restore) + STORED
    assert to_train_on == rendered.text + written(rendered)
    assert to_train_on.count(REASONING) == 1
    assert to_train_on.count("<think>") == 1


def test_a_conversation_is_split_with_its_reasoning():
    prompt, completion = split_completion(ask(QUESTION, STORED))
    assert prompt == ask(QUESTION)
    assert completion == STORED


# How it comes, what the server's answer holds apart, what stands in its text.
ANSWERS = [
    ("in the text", "", STORED),
    ("in the text, opened by the template", "", STORED.removeprefix("<think>\n")),
    ("apart, as it stands", REASONING, ANSWER),
    ("apart, trimmed", REASONING.strip("\n"), ANSWER.strip("\n")),
    ("apart and in the text", REASONING, STORED),
]


@named(THINKING)
@pytest.mark.parametrize("is_known", [True, False], ids=["known template", "unknown template"])
def test_however_a_server_returns_it_the_same_text_is_stored(model, is_known):
    opened = render(ask(QUESTION), PromptForm(), tokenizer_of(model)).restore
    # A server whose template is known returns what the model wrote, as an engine here does: what the template opened
    # is not in it. Others may put it back.
    impossible = "in the text" if opened and is_known else "in the text, opened by the template" if not opened else ""
    for how, reasoning, content in ANSWERS:
        if how != impossible:
            assert stored_text(reasoning, content, "stop", opened if is_known else None) == STORED, how


@named(THINKING)
def test_however_a_server_returns_half_of_it_the_same_text_is_stored(model):
    opened = render(ask(QUESTION), PromptForm(), tokenizer_of(model)).restore
    half = "<think>\nOne and on"
    assert stored_text("One and on", "", "length", opened) == half
    assert stored_text("\nOne and on", "", "length", opened) == half
    assert stored_text("", half.removeprefix(opened), "length", opened) == half
    assert split_reasoning(half).answer is None


def stored_text(reasoning, content, finish_reason, opened):
    """What is stored of a server's answer; `opened` is what the template wrote, None where the server does not say."""
    requests = pytest.importorskip("factory.policy.server_requests")
    client = pytest.importorskip("factory.policy.server_client")
    form = requests.RequestForm(model="m", sampling=Sampling(), form=PromptForm(), dialect="openai", opened=opened)
    slot = Slot(trace_id="t", problem_id="p", prompt=ask(QUESTION), index=0, seed=0)
    answer = client.Answer(
        content=content,
        reasoning=reasoning,
        finish_reason=finish_reason,
        num_prompt_tokens=1,
        num_completion_tokens=1,
    )
    return form.stored_text(slot, answer, chat=True)
