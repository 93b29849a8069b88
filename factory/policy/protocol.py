"""What a policy is: prompts in, completions out.

`PolicyConfig` is what a recipe says under `sample.policy`; `open()` loads it into a `Policy` that samples. Sampling
parameters and the form of the prompt belong to the step (`Sampling`, `PromptForm`) and are given to `open`, because
they are part of the policy's fingerprint: the same weights at another temperature are another policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, model_validator

from factory.config import Config
from factory.records import BadRow, Completion, Failure, PolicyStatus, Slot

if TYPE_CHECKING:
    import torch


class LoopCut(Config):
    """When a completion that repeats itself is cut off: its last tokens are one pattern, `min_count` times in a row.

    Names and meanings are those of vLLM's `RepetitionDetectionParams`. A loop of any period up to `max_pattern_size` is
    found, also of one below `min_pattern_size`: some multiple of it lies between the two. With the numbers given here
    every such loop ends within 256 tokens of its third repetition, and nothing shorter than 168 tokens of pure
    repetition is ever taken for one, so that rules, tables of zeros and long numbers survive. Loops of whole paragraphs
    are longer than this sees; the judge `repetition` finds them afterwards.
    """

    min_pattern_size: int = Field(default=24, ge=1, le=64)
    """Tokens of the shortest pattern."""
    max_pattern_size: int = Field(default=64, ge=1, le=64)
    """Tokens of the longest pattern. The engine compares every size after every token: more than 64 would slow it."""
    min_count: int = Field(default=7, ge=2, le=1024)
    """How often in a row the pattern must stand at the end."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_pattern_size > self.max_pattern_size:
            raise ValueError("min_pattern_size is larger than max_pattern_size")
        return self


class Sampling(Config):
    """How completions are drawn. Names and meanings are vLLM's."""

    temperature: float = Field(default=1.0, ge=0.0, le=10.0)
    """0 takes the most likely token; R1-Zero's rollouts use 1.0 (R1 v2, B.4), evaluations 0.6 (R1 v2, D.1)."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Keep the smallest set of tokens whose probabilities sum to this."""
    top_k: int = Field(default=0, ge=0)
    """Keep this many most likely tokens; 0 keeps all."""
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    """Drop tokens less likely than this share of the most likely one."""
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=2.0)
    """Divide (multiply, where negative) the logits of tokens seen in prompt or completion."""
    presence_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    """Subtract this from the logits of tokens seen in the completion."""
    frequency_penalty: float = Field(default=0.0, ge=-2.0, le=2.0)
    """Subtract this times the count of the token in the completion."""
    max_tokens: int = Field(default=1024, ge=1)
    """Most tokens of a completion; R1 uses 32,768 (R1 v2, D.1)."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion; they are not part of it."""
    loop_cut: LoopCut | None = LoopCut()
    """When a completion that repeats itself is cut off and stored as `loop`; null never cuts."""
    token_ids: bool = False
    """Keep the sampled tokens."""
    logprobs: bool = False
    """Keep the log-probability of each sampled token."""


class PromptForm(Config):
    """How a problem's messages become the text that a policy continues."""

    template: Literal["model", "r1-zero"] = "model"
    """`model`: the tokenizer's chat template. `r1-zero`: the template of R1 v2, Table 1, for base models."""
    system: str | None = None
    """A system message put before the problem's messages. R1 advises none."""
    suffix: str = ""
    """Text added to the last user message, e.g. R1's request to put the final answer within `\\boxed{}`."""
    prefill: str = ""
    """Text that the completion is made to begin with, e.g. `<think>\\n`; it is restored in the stored completion."""


class Policy(Protocol):
    """Prompts in, completions out."""

    fingerprint: str
    """Hash of all that decides what is sampled: weights, prompt form, sampling parameters, engine kind."""
    description: dict[str, Any]
    """The canonical JSON that the fingerprint is the hash of, with what a reader needs: model, revision, sampling."""
    engine: str
    """Engine and version, e.g. `torch 2.13.0`: recorded with the timings, not part of the identity."""
    unit_size: int | None
    """Slots sampled together, where the text depends on it (a fixed batch); None where there is no such thing."""

    can_continue: bool = True
    """Whether it can go on from the text that a slot begins with."""

    def sample(self, slots: Iterable[Slot | None]) -> Iterator[Completion | Failure]:
        """Yield one completion or failure per slot, in any order, pulling slots lazily: no more than it can work on.

        A stream whose slots come from elsewhere says None where it has none for now: the policy goes on with what it
        has, and pulls again after its next result. It says so only while slots are out; with none out it waits.
        """
        ...

    def load_weights(self, weights: Path | Mapping[str, torch.Tensor]) -> None:
        """Replace the weights, by those in a folder (config.json and safetensors) or by tensors under the names that a
        checkpoint has; changes the fingerprint. Not while it samples."""
        ...

    def status(self) -> PolicyStatus:
        """Say what is in flight, for the progress line."""
        ...

    def close(self) -> None:
        """Free what the policy holds."""
        ...


def taken(stream: Iterator[Slot | None], most: int) -> tuple[list[Slot], bool]:
    """Take up to `most` slots, fewer where the stream has none for now; say whether it may have more."""
    slots: list[Slot] = []
    while len(slots) < most:
        try:
            slot = next(stream)
        except StopIteration:
            return slots, False
        if slot is None:
            break
        slots.append(slot)
    return slots, True


class PolicyConfig(Config):
    """What a recipe says under `sample.policy`. One subclass per kind."""

    kind: str

    needs_group_size: ClassVar[bool] = True
    """False where the policy itself knows how many completions a problem has (recorded ones)."""

    @property
    def lock_key(self) -> str | None:
        """Key of its revision in the recipe's lock file; None where the recipe or the content itself says it."""
        return None

    def at(self, revision: str) -> PolicyConfig:
        """Return this policy fixed to a revision."""
        del revision
        return self

    def current_revision(self) -> str:
        """Return the revision that its name stands for now; asked only where there is a `lock_key`."""
        raise NotImplementedError

    def resolve(self) -> tuple[PolicyConfig, ...]:
        """Return the concrete policies this stands for: `auto` becomes the engine that is usable here, a recorded
        file becomes one policy per model that it names. Reads files, loads no weights."""
        return (self,)

    def fingerprint(self, sampling: Sampling, form: PromptForm) -> str:
        """Return the fingerprint the opened policy will have, without loading weights into memory."""
        raise NotImplementedError

    def available(self, source: str, row: str, prompt: Any) -> Sequence[int] | None:
        """Return the indices of the completions there are for a problem, in order; None if there is no limit."""
        del source, row, prompt
        return None

    def num_completions(self) -> int | None:
        """Return how many completions there are in all; None if there is no limit."""
        return None

    def bad_rows(self) -> tuple[BadRow, ...]:
        """Return rows of recorded data that hold no completion."""
        return ()

    def open(self, sampling: Sampling, form: PromptForm) -> Policy:
        """Load the policy. Raises PolicyError with a hint if that is impossible here."""
        raise NotImplementedError
