"""A small tokenizer trained on the data of a small model.

In: texts. Out: a tokenizer with a chat template, of the very class that transformers and vLLM build for a model of the
Qwen2 architecture, whatever its folder says: that class brings its own normalisation (NFC) and its own way to cut text
before the merges (every digit by itself, so that columns line up), and a tokenizer trained with others would be
silently changed on loading. It is byte-level: any Unicode text in NFC survives encoding and decoding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

BOS, EOS, PAD, USER, ASSISTANT = "<|bos|>", "<|endoftext|>", "<|pad|>", "<|user|>", "<|assistant|>"
THINK, END_THINK = "<think>", "</think>"

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}" + ASSISTANT + "{{ message['content'] }}{{ eos_token }}"
    "{% else %}" + USER + "{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}" + ASSISTANT + THINK + "\n{% endif %}"
)
"""One turn after the other; the generation prompt opens the thinking, as that of R1's distilled models does. A system
message is put like a user's turn: the model has learnt no other role."""


def train_tokenizer(texts: Iterable[str], *, vocab_size: int, context: int) -> Any:
    """Train a byte-level tokenizer with `vocab_size` entries on `texts`; the same texts give the same tokenizer.

    Returns a transformers tokenizer whose `model_max_length` is `context`.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
    from transformers import Qwen2Tokenizer

    blank = Qwen2Tokenizer().backend_tokenizer
    trained = Tokenizer(models.BPE())
    trained.normalizer, trained.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    thinking = [AddedToken(text, special=False, normalized=False) for text in (THINK, END_THINK)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(thinking),
        special_tokens=[BOS, EOS, PAD, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=[tuple(merge) for merge in model["merges"]],  # type: ignore[misc]  # declared as text, read as pairs
        bos_token=BOS,
        eos_token=EOS,
        unk_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    # Not special: they are text, and stay when special tokens are left out of a decoded completion.
    tokenizer.add_tokens(thinking)
    return tokenizer
