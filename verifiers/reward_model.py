"""Measure a completion by a reward model: a language model with a head that gives one number.

In: a completion and the prompt that it answers. Out: as score the head's logit, rounded to four digits; more is better,
and zero means nothing by itself. It decides nothing: which score is enough is a filter's threshold. Whatever is said
gets a score, also an empty answer, so that no text is better off for not being measured. Long use of such a reward
teaches a policy to please it (R1 v2, B.5): R1 used it for general prompts alone.

The model is loaded once per process, when it first judges, and judges in batches (`reward_scorer.py`): what several
threads of a pool want scored goes through it together. Code that comes with a model is never run. The marks of chat
templates in a completion are broken, so that it cannot add turns of its own.
"""

from __future__ import annotations

import math
import threading
from functools import lru_cache
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from verifiers.extract import CLOSE, OPEN, split_reasoning
from verifiers.judge_prompts import harmless
from verifiers.reference import Reference
from verifiers.reward_scorer import RewardScorer
from verifiers.verdict import Judge, JudgeUnusable, Messages, Verdict

_DIGITS = 4
"""Digits after the point that do not depend on what was scored together."""


class RewardModel(Judge):
    """Score an answer by a sequence classifier with one label.

    Example:
        >>> RewardModel(model="my-org/my-reward-model").judge("It is 4.", prompt="2+2?").score
        3.1562
    """

    kind: Literal["reward_model"] = "reward_model"
    """Name of the judge."""
    model: str = ""
    """A folder, or a name on the Hub, of a model with one label."""
    revision: str | None = None
    """Branch, tag or commit on the Hub."""
    weights: str = ""
    """What identifies the files: a recipe puts in the commit, or the hash of a folder's content."""
    part: Literal["answer", "whole"] = "answer"
    """What is scored: what follows `</think>`, as R1 did for helpfulness, or the whole, as for safety (R1 v2, 3.1)."""
    max_tokens: int = Field(default=8192, ge=16)
    """Tokens of prompt and completion; of more the middle is left out. R1's reward model was trained with 8,192 (R1 v2,
    3.1)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights and activations."""

    version: ClassVar[int] = 1
    uses_reference: ClassVar[bool] = False
    decides: ClassVar[bool] = False
    runs_here: ClassVar[bool] = True

    _place: tuple[str, str, int] = PrivateAttr(default=("", "auto", 32))

    def on(self, device: str = "auto", *, batch_size: int = 32, folder: str = "") -> Self:
        """Return this judge on a device, with at most `batch_size` texts at once and its files in `folder`.

        None of it changes what the judge is. `auto` takes a GPU where there is one.
        """
        copy = self.model_copy()
        copy._place = (folder, device, batch_size)
        return copy

    def prepare(self) -> None:
        """Load the model. Raises ImportError without transformers, JudgeUnusable if the model cannot be used."""
        self._scorer()

    def _judge(self, completion: str, reference: Reference | None, prompt: Messages | None) -> Verdict:
        del reference
        scorer = self._scorer()
        parts = split_reasoning(completion)
        answer = parts.answer or ""
        text, what = harmless(answer).strip(), "the answer"
        if self.part == "whole":
            what = "the completion"
            if parts.reasoning is not None:
                text = f"{OPEN}{harmless(parts.reasoning)}{'' if parts.answer is None else CLOSE}{harmless(answer)}"
        elif parts.answer is None:
            what = "an empty answer, the reasoning never ends"
        turns = [{"role": turn["role"], "content": turn["content"]} for turn in prompt or ()]
        encoded = scorer.encoded([*turns, {"role": "assistant", "content": text}], self.max_tokens)
        (logit,) = scorer.score([encoded])
        if not math.isfinite(logit):
            return self._unknown(f"the model gives {logit}")
        cut = f", the middle of {encoded.num_all:,} left out" if encoded.num_all > len(encoded.ids) else ""
        reason = f"logit {logit:.4f} for {what}, {len(encoded.ids):,} tokens{cut}"
        span = None if self.part == "whole" else (parts.answer_start, len(completion))
        return self._verdict(outcome="pass", score=round(logit, _DIGITS), reason=reason, span=span)

    def _scorer(self) -> RewardScorer:
        if not self.model:
            raise JudgeUnusable("a reward model needs `model`, a folder or a name on the Hub")
        folder, device, batch_size = self._place
        with _LOADING:
            return _loaded(folder or self.model, None if folder else self.revision, self.dtype, device, batch_size)


_LOADING = threading.Lock()


@lru_cache(maxsize=4)
def _loaded(model: str, revision: str | None, dtype: str, device: str, batch_size: int) -> RewardScorer:
    return RewardScorer(model, revision=revision, dtype=dtype, device=device, batch_size=batch_size)
