"""How a problem's messages become the text that a policy continues.

In: the messages, the recipe's `PromptForm`, a tokenizer with a chat template. Out: the rendered text, and the string
that must be put back at the start of the stored completion: many templates end with an opened `<think>`, which the
model then never writes itself, so that completions stored as sampled would close a tag they never opened.

It tokenizes nothing and loads no model: a chat template can be read from a model's folder as plain text, so that a
policy's fingerprint is known without transformers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from factory.errors import PolicyError
from factory.identity import config_json, digest
from factory.policy.protocol import PromptForm
from verifiers.verdict import Messages

# R1 v2, Table 1. The full stop after the question is the paper's.
R1_ZERO_INTRODUCTION = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think>...</think> and <answer>...</answer> tags, respectively, i.e., "
    "<think> reasoning process here </think> <answer> answer here </answer>."
)
R1_ZERO_QUESTION = " User: {prompt}. Assistant:"

NO_TEMPLATE_HINT = "set `template: r1-zero` in the recipe's prompt form, or choose a model with a chat template"

OPENED_THINK = re.compile(r"<think>\s*\Z")
"""A rendered prompt that ends with an opened `<think>`."""


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that rendering needs."""

    chat_template: Any

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: Any) -> Any:
        """Render a conversation by the tokenizer's chat template."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A prompt as text.

    Example:
        >>> render([{"role": "user", "content": "1+1?"}], PromptForm(prefill="<think>\\n"), tokenizer)
        Rendered(text='<|user|>1+1?<|assistant|><think>\\n', restore='<think>\\n', add_special_tokens=False)
    """

    text: str
    """What the policy continues."""
    restore: str
    """What the stored completion begins with, though the policy did not write it."""
    add_special_tokens: bool
    """Whether tokenizing adds the start-of-text token: a chat template writes it itself, plain text does not."""


def render(messages: Messages, form: PromptForm, tokenizer: ChatTokenizer) -> Rendered:
    """Render a problem's messages. Raises PolicyError if they cannot be rendered in this form.

    A prefill that begins with `<think>` replaces one that the template has opened already: it is never opened twice.
    """
    turns = turns_of(messages, form)
    text = _r1_zero(turns) if form.template == "r1-zero" else _by_chat_template(turns, tokenizer)
    opened = OPENED_THINK.search(text)
    restore = opened.group() if opened else ""
    if opened and form.prefill.lstrip().startswith("<think>"):
        text, restore = text[: opened.start()], ""
    return Rendered(
        text=text + form.prefill,
        restore=restore + form.prefill,
        add_special_tokens=form.template == "r1-zero",
    )


def turns_of(messages: Messages, form: PromptForm) -> list[dict[str, str]]:
    """Return the messages with the form's system message and suffix. Raises PolicyError unless the user has the last
    word.

    The suffix goes on a line of its own after the last user message, unless it or the message brings its own space.
    """
    turns = [{"role": m["role"], "content": m["content"]} for m in messages]
    if not turns or turns[-1]["role"] != "user":
        raise PolicyError("a prompt must end with a message of the role `user`")
    if form.suffix:
        last = turns[-1]
        joined_by_space = not last["content"] or last["content"][-1].isspace() or form.suffix[0].isspace()
        last["content"] += ("" if joined_by_space else "\n") + form.suffix
    if form.system is not None:
        turns.insert(0, {"role": "system", "content": form.system})
    return turns


def form_hash(chat_template: str | None, form: PromptForm) -> str:
    """Hash what decides how prompts are rendered: the template's text and the fields that are not the default.

    Raises PolicyError if the form asks for the model's chat template and there is none.
    """
    if form.template == "r1-zero":
        text = R1_ZERO_INTRODUCTION + R1_ZERO_QUESTION
    elif chat_template is None:
        raise PolicyError("the model's tokenizer has no chat template", hint=NO_TEMPLATE_HINT)
    else:
        text = chat_template
    return digest({"template_text": text, "form": config_json(form)})


def read_chat_template(folder: Path) -> str | None:
    """Read the chat template from a model's folder; None if it has none.

    The places, in the order in which transformers prefers them: `chat_template.jinja`, `chat_template.json`,
    `tokenizer_config.json` (one template, or a list of named ones, of which `default` counts).
    """
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "tokenizer_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        except (ValueError, AttributeError) as error:
            raise PolicyError(f"{path.name} of the model is not a JSON object: {error}") from error
        if isinstance(found, list):
            found = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}.get(
                "default"
            )
        if isinstance(found, str):
            return found
    return None


def _r1_zero(turns: list[dict[str, str]]) -> str:
    """Write the plain text that a base model continues; system messages stand before the introduction."""
    text = R1_ZERO_INTRODUCTION
    for turn in turns:
        if turn["role"] == "system":
            text = f"{turn['content']}\n{text}"
        elif turn["role"] == "user":
            # Not str.format: a question may hold braces.
            text += R1_ZERO_QUESTION.replace("{prompt}", turn["content"])
        else:
            text += f" {turn['content']}"
    return text


def _by_chat_template(turns: list[dict[str, str]], tokenizer: ChatTokenizer) -> str:
    if not tokenizer.chat_template:
        raise PolicyError("the model's tokenizer has no chat template", hint=NO_TEMPLATE_HINT)
    from jinja2 import TemplateError

    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:  # templates refuse roles or orders of roles that the model was not trained on
        raise PolicyError(f"the model's chat template refuses the prompt: {error}") from error
