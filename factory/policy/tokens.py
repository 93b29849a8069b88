"""Between text and tokens: the same for every engine that we give tokens and get tokens from.

In: slots, and sampled tokens. Out: the tokens to continue with what must be put back in front of the completion, and
the completion's text. Special tokens are left out of the text, except the tags around reasoning and answer, which
judges and filters read. It loads no model and samples nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory.errors import MissingExtra, PolicyError
from factory.policy.prompt import render
from factory.policy.protocol import PromptForm, Sampling
from factory.records import Completion, Failure, FinishReason, Slot

REASONING_TAGS = frozenset({"<think>", "</think>", "<answer>", "</answer>"})
"""Kept in the text even where a tokenizer calls them special tokens: judges and filters read them."""

_MAX_KNOWN_PROMPTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A rendered and tokenized prompt."""

    ids: tuple[int, ...]
    """Its tokens."""
    restore: str
    """What the stored completion begins with, though the model does not write it now."""


class TextCodec:
    """Turns slots into tokens and sampled tokens into completions, for one model, prompt form and sampling."""

    def __init__(
        self,
        tokenizer: Any,
        sampling: Sampling,
        form: PromptForm,
        *,
        context: int,
        eos_ids: Iterable[int],
        name: str,
        vocabulary: int | None = None,
    ) -> None:
        """Raise PolicyError if `max_tokens` leaves no room for a prompt in a context of `context` tokens.

        `vocabulary` is how many tokens the model has weights for; a tokenizer may know more.
        """
        if sampling.max_tokens >= context:
            raise PolicyError(
                f"max_tokens {sampling.max_tokens} leaves no room for a prompt: "
                f"the context of {name!r} is {context} tokens",
                hint=f"set `max_tokens` well below {context}",
            )
        self._tokenizer, self._sampling, self._form = tokenizer, sampling, form
        self._context, self._vocabulary = context, vocabulary
        self._known: dict[str, EncodedPrompt | Failure] = {}
        added = tokenizer.added_tokens_decoder
        special = {i for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        tags = {i for i, token in added.items() if token.content in REASONING_TAGS}
        self._dropped_ids = (special - tags) | set(eos_ids)

    def encode(self, slot: Slot) -> EncodedPrompt | Failure:
        """Render and tokenize a slot's prompt, once for all slots of its group.

        A prompt that cannot be rendered or that does not fit beside `max_tokens` is a failure of its slot.
        """
        key = repr((slot.beginning, [(m["role"], m["content"]) for m in slot.prompt]))
        if key not in self._known:
            if len(self._known) >= _MAX_KNOWN_PROMPTS:  # groups come together: the oldest is done with
                del self._known[next(iter(self._known))]
            self._known[key] = self._encode(slot)
        found = self._known[key]
        return replace(found, trace_id=slot.trace_id) if isinstance(found, Failure) else found

    def completion(
        self,
        slot: Slot,
        prompt: EncodedPrompt,
        token_ids: list[int],
        finish_reason: FinishReason,
        *,
        logprobs: list[float] | None,
        started_at: float,
        seconds: float,
    ) -> Completion:
        """Return the completion that the sampled tokens are; it ends before the first stop string."""
        text = self._text(prompt.ids[-1], token_ids)
        stops = [at for at in (text.find(stop) for stop in self._sampling.stop) if at >= 0]
        if stops:
            text, finish_reason = text[: min(stops)], "stop"
        elif finish_reason != "stop":
            # The limit can fall inside a character, whose first bytes decode to replacement characters.
            text = text.rstrip("\N{REPLACEMENT CHARACTER}")
        return Completion(
            trace_id=slot.trace_id,
            text=prompt.restore + text,
            finish_reason=finish_reason,
            num_prompt_tokens=len(prompt.ids),
            num_completion_tokens=len(token_ids),
            token_ids=token_ids if self._sampling.token_ids else None,
            logprobs=logprobs if self._sampling.logprobs else None,
            started_at=started_at,
            seconds=seconds,
        )

    def ends_with_stop(self, tails: list[list[int]]) -> list[bool]:
        """Say which of the tails of token ids hold a stop string."""
        texts = self._decode([[i for i in tail if i not in self._dropped_ids] for tail in tails])
        return [any(stop in text for stop in self._sampling.stop) for text in texts]

    def _encode(self, slot: Slot) -> EncodedPrompt | Failure:
        try:
            rendered = render(slot.prompt, self._form, self._tokenizer)
            text, restore = rendered.text, rendered.restore
            if slot.beginning:
                text, restore = text + slot.beginning.removeprefix(restore), slot.beginning
            text.encode("utf-8")
        except PolicyError as error:
            return Failure(trace_id=slot.trace_id, error="prompt_form", message=error.message)
        except UnicodeEncodeError:
            message = "the prompt holds half of a surrogate pair: it is not valid text"
            return Failure(trace_id=slot.trace_id, error="prompt_form", message=message)
        encoded = self._tokenizer(text, add_special_tokens=rendered.add_special_tokens, verbose=False)
        ids = tuple(encoded["input_ids"])
        if ids and self._vocabulary is not None and max(ids) >= self._vocabulary:
            message = f"the prompt holds the token {max(ids)}; the model knows {self._vocabulary}"
            return Failure(trace_id=slot.trace_id, error="prompt_form", message=message)
        room = self._context - self._sampling.max_tokens
        if len(ids) > room:
            message = (
                f"the prompt has {len(ids)} tokens; the model's context of {self._context} less max_tokens "
                f"{self._sampling.max_tokens} leaves {room}"
            )
            return Failure(trace_id=slot.trace_id, error="prompt_too_long", message=message)
        if not ids:
            return Failure(trace_id=slot.trace_id, error="prompt_form", message="the rendered prompt is empty")
        return EncodedPrompt(ids=ids, restore=restore)

    def _text(self, last_prompt_id: int, ids: list[int]) -> str:
        """Decode sampled tokens without the special ones among them.

        They are decoded behind the prompt's last token: some tokenizers drop the space before the first token.
        """
        kept = [i for i in ids if i not in self._dropped_ids]
        before = self._decode([[last_prompt_id], [last_prompt_id, *kept]])
        return before[1][len(before[0]) :] if before[1].startswith(before[0]) else self._decode([kept])[0]

    def _decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        texts = self._tokenizer.batch_decode(rows, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return [str(text) for text in texts]


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer with transformers. Raises PolicyError if it cannot be loaded, MissingExtra without
    transformers."""
    # The tokenizers library keeps a thread pool of its own, and warns in every process that is forked after its use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "transformers", extra="train", needed_for="rendering prompts") from error
    with quiet(transformers):
        try:
            return transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PolicyError(f"the tokenizer of {folder.name!r} cannot be loaded: {error}") from error


@contextlib.contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers' progress bars out of our own progress while something loads."""
    logging = transformers.utils.logging
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
