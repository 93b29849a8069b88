"""What is asked of an OpenAI-compatible endpoint for a slot, and what of its answer is stored.

In: slots and answers. Out: bodies of requests, and the text of completions. It sends nothing and waits for nothing.

All sampling parameters are sent, the default ones too: a vLLM server otherwise applies those of the model's
generation_config.json. Text that stands before what the policy samples (a prefill, the beginning of a continued trace)
is given as tokens behind those of the prompt, to `/completions`: a chat template that is handed an unfinished message
may close its reasoning or drop it (Qwen3's and R1's do).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from factory.errors import PolicyError, UsageError
from factory.policy.prompt import OPENED_THINK, render, turns_of
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.server_answers import Answer
from factory.records import Slot

Dialect = Literal["vllm", "openai"]

CHAT, COMPLETIONS = "/chat/completions", "/completions"
OLD_LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"

_ONLY_VLLM = ("top_k", "min_p", "repetition_penalty", "token_ids")
_SPECIAL_TOKEN = re.compile(r"<\|[A-Za-z0-9_ ▁/-]{1,40}\|>|<｜[^｜<>]{1,40}｜>")


@dataclass(slots=True)
class RequestForm:
    """How requests are written for the endpoints of one policy."""

    model: str
    """Their name for the model."""
    sampling: Sampling
    """How completions are drawn."""
    form: PromptForm
    """How problems are put."""
    dialect: Dialect
    """Whether they understand vLLM's parameters."""
    opened: str | None = None
    """The `<think>` with which their chat template ends a prompt (`""`: with none); None if that is not known."""
    special_think: bool = False
    """Whether `<think>` is one token there: then the server must not leave special tokens out of its text."""
    stream: bool = False
    """Whether answers come in pieces, to be watched for loops."""
    max_tokens_name: str = OLD_LIMIT
    """What the endpoint calls the limit; newer ones of OpenAI refuse the old name."""

    def check(self) -> None:
        """Raise UsageError for what the endpoints cannot be asked for."""
        if self.dialect == "vllm":
            return
        defaults = Sampling()
        for name in _ONLY_VLLM:
            if getattr(self.sampling, name) != getattr(defaults, name):
                raise UsageError(
                    f"`{name}: {getattr(self.sampling, name)}` cannot be asked of an endpoint that is not vLLM's",
                    hint=f"remove `{name}`, or say `dialect: vllm` if the endpoint understands it",
                )
        if self.form.prefill and self.form.template == "model":
            raise UsageError(
                f"`prefill: {self.form.prefill!r}` cannot be asked of an endpoint that is not vLLM's",
                hint="remove `prefill`, or say `dialect: vllm` if the endpoint has /tokenize and takes tokens",
            )

    def needs_tokens(self, slot: Slot) -> bool:
        """Say whether the prompt must be given as tokens, because text stands before what is sampled."""
        return self.form.template == "model" and bool(slot.beginning or self.form.prefill)

    def messages(self, slot: Slot) -> list[dict[str, str]]:
        """Return the messages of a slot. Raises PolicyError if they cannot be put in this form."""
        return turns_of(slot.prompt, self.form)

    def before(self, slot: Slot) -> str:
        """Return the stored text that stands before what is sampled; with what the template opened itself."""
        if slot.beginning:
            return slot.beginning
        opened, prefill = self.opened or "", self.form.prefill
        return prefill if prefill.lstrip().startswith("<think>") else opened + prefill

    def behind_template(self, slot: Slot) -> str:
        """Return what must be written behind the rendered prompt, so that `before` stands there, and stands once.

        Raises PolicyError if the template opens the reasoning in another spelling than the prefill.
        """
        text, opened = self.before(slot), self.opened or ""
        if slot.beginning or text.startswith(opened):
            return text.removeprefix(opened)
        raise PolicyError(
            f"the chat template ends with {opened!r}, and {text[:20]!r} cannot follow it",
            hint=f"let `prefill` begin with {opened!r}",
        )

    def body(self, slot: Slot, *, prompt_ids: list[int] | None = None) -> tuple[str, bytes]:
        """Return path and body of the request for a slot. Raises PolicyError if it cannot be written."""
        body: dict[str, Any] = {"model": self.model}
        chat = prompt_ids is None and self.form.template == "model"
        if prompt_ids is not None:
            body["prompt"] = prompt_ids
        elif chat:
            body["messages"] = self.messages(slot)
        else:
            body["prompt"] = self._text(slot)
        body |= self._parameters(chat=chat)
        body["seed"] = slot.seed
        try:
            return CHAT if chat else COMPLETIONS, json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise PolicyError("the prompt holds half of a surrogate pair: it is not valid text") from error

    def stored_text(self, slot: Slot, answer: Answer, *, chat: bool) -> str:
        """Return the text of the completion: one for an answer, however the server cut it into parts."""
        text = answer.content
        if answer.finish_reason != "stop":
            # The limit can fall inside a character, whose first bytes decode to replacement characters.
            text = text.rstrip("\N{REPLACEMENT CHARACTER}")
        if self.special_think:
            text = _SPECIAL_TOKEN.sub("", text)
        if not chat:
            return self._before_text(slot) + text
        if answer.reasoning:
            return joined(answer.reasoning, text, cut_off=answer.finish_reason != "stop")
        return reopened(text, self.opened)

    def _parameters(self, *, chat: bool) -> dict[str, Any]:
        sampling = self.sampling
        parameters: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            (self.max_tokens_name if chat else OLD_LIMIT): sampling.max_tokens,
        }
        if sampling.stop:
            parameters["stop"] = list(sampling.stop)
        if sampling.logprobs:
            parameters["logprobs"] = True if chat else 0
        if self.stream:
            parameters |= {"stream": True, "stream_options": {"include_usage": True}}
        return parameters | (self._vllm_parameters() if self.dialect == "vllm" else {})

    def _vllm_parameters(self) -> dict[str, Any]:
        sampling = self.sampling
        parameters: dict[str, Any] = {
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
        }
        if sampling.loop_cut is not None:
            parameters["repetition_detection"] = sampling.loop_cut.model_dump()
        if sampling.token_ids:
            parameters["return_token_ids"] = True
        if self.special_think:
            parameters |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
        return parameters

    def _text(self, slot: Slot) -> str:
        """Return the prompt of the form `r1-zero` as text."""
        if not slot.beginning:
            return render(slot.prompt, self.form, _NO_TOKENIZER).text
        bare = self.form.model_copy(update={"prefill": ""})
        return render(slot.prompt, bare, _NO_TOKENIZER).text + slot.beginning

    def _before_text(self, slot: Slot) -> str:
        if self.form.template == "model":
            return self.before(slot)
        return slot.beginning or self.form.prefill


def joined(reasoning: str, content: str, *, cut_off: bool) -> str:
    """Return reasoning and content as the one text that a server returns which does not take them apart."""
    if content.lstrip().startswith("<think>"):
        return content  # the server repeats the reasoning in the text
    if cut_off and not content:
        return "<think>\n" + reasoning.lstrip("\n")
    return "<think>\n" + reasoning.strip("\n") + "\n</think>\n\n" + content.lstrip("\n")


def reopened(text: str, opened: str | None) -> str:
    """Return a text with the `<think>` that the chat template wrote in the model's stead.

    Where nobody knows what the template wrote, a text that closes what it never opened says it.
    """
    if opened is None:
        before, closed, _ = text.partition("</think>")
        return "<think>\n" + text if closed and "<think>" not in before else text
    return opened + text


def opened_by(rendered: str) -> str:
    """Return the `<think>` and the space behind it with which a rendered prompt ends; empty if it does not."""
    found = OPENED_THINK.search(rendered)
    return found.group() if found else ""


class _NoTokenizer:
    """Stands where the form `r1-zero` needs no tokenizer."""

    chat_template = None

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: Any) -> Any:
        """Never called."""
        raise AssertionError(conversation, kwargs)


_NO_TOKENIZER = _NoTokenizer()
