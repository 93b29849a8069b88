"""A sequence classifier with one label, loaded by transformers, that scores conversations in batches.

In: conversations that end with an assistant's turn. Out: one logit each, and how many tokens it is of. Batching changes
no score beyond rounding: texts of about one length go together, padded on the right, and what a padded row's last
token is does not depend on what stands beside it. torch and transformers are imported when a scorer is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from verifiers.together import Together
from verifiers.verdict import JudgeUnusable

_INSTALL = "pip install 'trace-factory[train]'"
_MOST_WAITING = 1024
"""Texts that one turn takes on; they are scored in batches."""
_BATCH_TOKENS = 16_384
"""Tokens of a batch, padding included."""
_HEADS = ("score", "classifier", "classification_head", "v_head", "reward_head", "regression_head")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """One conversation as the model reads it."""

    ids: tuple[int, ...]
    """Its tokens."""
    num_all: int
    """How many it had before its middle was left out."""


class RewardScorer:
    """A loaded model. Any number of threads may score by it."""

    def __init__(self, model: str, *, revision: str | None, dtype: str, device: str, batch_size: int) -> None:
        """Load the model. Raises ImportError that names the install line, JudgeUnusable for a model that cannot be
        loaded, has not one label or no trained head."""
        try:
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise ImportError(f"a reward model needs torch and transformers ({error}): {_INSTALL}") from error
        self._device = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self._batch_size = batch_size
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision)
            loaded, report = AutoModelForSequenceClassification.from_pretrained(
                model, revision=revision, dtype=getattr(torch, dtype), output_loading_info=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise JudgeUnusable(f"the reward model {model!r} cannot be loaded: {str(error)[:300]}") from error
        if loaded.config.num_labels != 1:
            raise JudgeUnusable(f"{model!r} has {loaded.config.num_labels} labels, a reward model has one")
        if missing := sorted(name for name in report["missing_keys"] if name.split(".")[0] in _HEADS):
            raise JudgeUnusable(f"{model!r} is no reward model: its files have no {missing[0]}")
        self._model: Any = loaded.to(self._device).eval()
        self._text_config = loaded.config.get_text_config()
        self._own_pad = self._text_config.pad_token_id
        self._context = int(getattr(self._text_config, "max_position_embeddings", None) or 1 << 30)
        self._together: Together[Encoded, float] = Together(self._logits, most=_MOST_WAITING)

    def encoded(self, turns: Sequence[dict[str, str]], max_tokens: int) -> Encoded:
        """Render a conversation by the model's chat template and tokenize it; too many tokens lose their middle.

        A model without a template gets question and answer as the pair of texts that classifiers are trained on.
        """
        if self._tokenizer.chat_template:
            text = self._tokenizer.apply_chat_template(list(turns), tokenize=False)
            ids = self._tokenizer(text, add_special_tokens=False, truncation=False)["input_ids"]
        else:
            asked = "\n\n".join(turn["content"] for turn in turns[:-1])
            pair = (asked, turns[-1]["content"]) if asked else (turns[-1]["content"],)
            ids = self._tokenizer(*pair, truncation=False)["input_ids"]
        most = min(max_tokens, self._context)
        # The start says what was asked, and the score is read at the end.
        kept = ids if len(ids) <= most else ids[: most // 4] + ids[len(ids) - (most - most // 4) :]
        return Encoded(ids=tuple(kept), num_all=len(ids))

    def score(self, texts: Sequence[Encoded]) -> list[float]:
        """Return a logit per text. Raises MemoryError if a single text takes more memory than there is."""
        return self._together(texts)

    def _logits(self, texts: list[Encoded]) -> list[float]:
        found = [0.0] * len(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place].ids))
        for batch in self._batches(texts, order):
            for place, logit in zip(batch, self._fitting([texts[place].ids for place in batch]), strict=True):
                found[place] = logit
        return found

    def _batches(self, texts: list[Encoded], order: list[int]) -> Iterator[list[int]]:
        batch: list[int] = []
        for place in order:  # from short to long, so the next one is the longest of its batch
            if batch and (len(batch) >= self._batch_size or (len(batch) + 1) * len(texts[place].ids) > _BATCH_TOKENS):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _fitting(self, rows: list[tuple[int, ...]]) -> list[float]:
        """Score one batch, in halves where it takes more memory than there is."""
        import torch

        try:
            return self._scored(rows)
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise MemoryError(f"{len(rows[0])} tokens are too many for this device") from error
        half = len(rows) // 2
        return self._fitting(rows[:half]) + self._fitting(rows[half:])

    def _scored(self, rows: list[tuple[int, ...]]) -> list[float]:
        import torch

        width = max(map(len, rows))
        pad = self._own_pad
        if pad is None:
            # The model reads its score at the last token that is not this one; alone it would be the last of all.
            pad = self._absent(rows)
            self._text_config.pad_token_id = self._model.config.pad_token_id = pad
        ids = torch.full((len(rows), width), pad, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[place, : len(row)] = 1
        with torch.inference_mode():
            logits = self._model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device)).logits
        return cast("list[float]", logits.float().squeeze(-1).tolist())

    def _absent(self, rows: list[tuple[int, ...]]) -> int:
        """Return a token that stands in none of the rows."""
        used = set().union(*rows)
        return next(token for token in range(int(self._text_config.vocab_size)) if token not in used)
