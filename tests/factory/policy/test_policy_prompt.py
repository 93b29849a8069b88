"""Rendering of prompts: templates, system, suffix, prefill, and what is put back into the completion."""

import json

import pytest
from jinja2 import Environment

from factory.errors import PolicyError
from factory.policy.prompt import R1_ZERO_INTRODUCTION, form_hash, read_chat_template, render
from factory.policy.protocol import PromptForm

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
THINKING = PLAIN + "{{ '<think>\\n' }}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + PLAIN


class FakeTokenizer:
    """Renders like transformers, without a model."""

    def __init__(self, chat_template):
        self.chat_template = chat_template

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        assert not tokenize
        assert add_generation_prompt

        def raise_exception(message):
            from jinja2 import TemplateError

            raise TemplateError(message)

        template = Environment().from_string(self.chat_template)
        return template.render(messages=conversation, raise_exception=raise_exception)


# template, form, rendered text, what is restored
CASES = [
    (PLAIN, {}, "[user]1+1?[assistant]", ""),
    (PLAIN, {"system": "Be brief."}, "[system]Be brief.[user]1+1?[assistant]", ""),
    (PLAIN, {"suffix": "Think."}, "[user]1+1?\nThink.[assistant]", ""),
    (PLAIN, {"suffix": " Think."}, "[user]1+1? Think.[assistant]", ""),
    (PLAIN, {"prefill": "<think>\n"}, "[user]1+1?[assistant]<think>\n", "<think>\n"),
    (THINKING, {}, "[user]1+1?[assistant]<think>\n", "<think>\n"),
    # The template has opened it: it is not opened twice, and the recipe's wording wins.
    (THINKING, {"prefill": "<think>\n"}, "[user]1+1?[assistant]<think>\n", "<think>\n"),
    (THINKING, {"prefill": "<think>\nOkay"}, "[user]1+1?[assistant]<think>\nOkay", "<think>\nOkay"),
    (THINKING, {"prefill": "Okay"}, "[user]1+1?[assistant]<think>\nOkay", "<think>\nOkay"),
    # An empty thought is closed, not opened: nothing to restore.
    (PLAIN + "<think>\n\n</think>", {}, "[user]1+1?[assistant]<think>\n\n</think>", ""),
]


@pytest.mark.parametrize(("template", "form", "text", "restore"), CASES)
def test_rendered(template, form, text, restore):
    rendered = render([{"role": "user", "content": "1+1?"}], PromptForm(**form), FakeTokenizer(template))
    assert (rendered.text, rendered.restore) == (text, restore)
    assert not rendered.add_special_tokens


def test_r1_zero_needs_no_chat_template_and_leaves_braces_alone():
    form = PromptForm(template="r1-zero", prefill="<think>")
    rendered = render([{"role": "user", "content": "Is {x} = {prompt}?"}], form, FakeTokenizer(None))
    assert rendered.text == R1_ZERO_INTRODUCTION + " User: Is {x} = {prompt}?. Assistant:<think>"
    assert rendered.restore == "<think>"
    assert rendered.add_special_tokens


def test_the_problem_itself_is_not_changed():
    messages = [{"role": "user", "content": "1+1?"}]
    render(messages, PromptForm(suffix="Think.", system="s"), FakeTokenizer(PLAIN))
    assert messages == [{"role": "user", "content": "1+1?"}]


@pytest.mark.parametrize(
    ("template", "messages", "form", "says"),
    [
        (None, [{"role": "user", "content": "?"}], {}, "no chat template"),
        (PLAIN, [], {}, "must end with a message"),
        (PLAIN, [{"role": "assistant", "content": "x"}], {}, "must end with a message"),
        (NO_SYSTEM, [{"role": "user", "content": "?"}], {"system": "s"}, "refuses the prompt: no system role"),
    ],
)
def test_refused(template, messages, form, says):
    with pytest.raises(PolicyError, match=says):
        render(messages, PromptForm(**form), FakeTokenizer(template))


def test_form_hash_depends_on_template_and_form_only():
    assert form_hash(PLAIN, PromptForm()) == form_hash(PLAIN, PromptForm(suffix=""))
    hashes = [
        form_hash(PLAIN, PromptForm()),
        form_hash(THINKING, PromptForm()),
        form_hash(PLAIN, PromptForm(system="s")),
        form_hash(PLAIN, PromptForm(suffix="s")),
        form_hash(PLAIN, PromptForm(prefill="s")),
        form_hash(PLAIN, PromptForm(template="r1-zero")),
    ]
    assert len(set(hashes)) == len(hashes)
    # R1-Zero's template does not use the model's.
    r1_zero = PromptForm(template="r1-zero")
    assert form_hash(None, r1_zero) == form_hash(PLAIN, r1_zero)
    with pytest.raises(PolicyError, match="hint: set `template: r1-zero`"):
        form_hash(None, PromptForm())


def test_form_hash_is_golden():
    assert form_hash(PLAIN, PromptForm(prefill="<think>\n")) == "98d2a0a379f63ddde61e8e5bdcfb55e7"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("chat_template.jinja", "J", "J"),
        ("tokenizer_config.json", json.dumps({"chat_template": "T"}), "T"),
        (
            "tokenizer_config.json",
            json.dumps({"chat_template": [{"name": "tool", "template": "U"}, {"name": "default", "template": "D"}]}),
            "D",
        ),
        ("chat_template.json", json.dumps({"chat_template": "C"}), "C"),
        ("tokenizer_config.json", json.dumps({"eos_token": "x"}), None),
    ],
)
def test_template_read_from_files(tmp_path, name, content, found):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_chat_template(tmp_path) == found


def test_broken_tokenizer_config_is_named(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("[1", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"tokenizer_config\.json"):
        read_chat_template(tmp_path)
