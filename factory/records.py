"""The records that travel between the steps. Every fact worth keeping is a field; there is no bag of metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from verifiers.verdict import Message, Messages

Domain = Literal["math", "code", "stem", "logic", "general"]
FinishReason = Literal["stop", "length", "loop", "error"]

__all__ = [
    "BadRow",
    "Completion",
    "Domain",
    "Failure",
    "FinishReason",
    "Message",
    "Messages",
    "PolicyStatus",
    "Problem",
    "ServerStatus",
    "Slot",
    "Trace",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One prompt, where it came from and what its answer is held against."""

    prompt: tuple[Message, ...]
    """The messages a policy is asked to continue; the last one is the user's."""
    domain: Domain
    """Which of the five parts of the mix it belongs to."""
    language: str
    """Language of the prompt, BCP 47, e.g. `en` or `zh`."""
    source: str
    """Where it came from, for a reader: `hub:openai/gsm8k`, `local:problems.jsonl`, `puzzles:chain_sum`."""
    row: str
    """Its key inside the source: the source's own id where there is one, else the row number."""
    licence: str = "unknown"
    """SPDX identifier, lower case, or `unknown`, which is not publishable."""
    reference: dict[str, Any] | None = None
    """The reference in JSON form (`{"kind": "answer", "value": "4"}`); None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row of a user's data that cannot be used: it is reported and counted, never silently lost."""

    place: str
    """`file:line`, `file:row` for Parquet, or the dataset's name and row."""
    message: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A request for the index-th completion of a problem by a policy."""

    trace_id: str
    """Identity of the slot, and of the trace that fills it."""
    problem_id: str
    """Identity of the prompt."""
    prompt: Messages
    """What to complete."""
    index: int
    """Which of the group's completions, from 0."""
    seed: int
    """The first 63 bits of trace_id."""
    source: str = ""
    """Source of the problem, for policies that look completions up."""
    row: str = ""
    """Key of the problem inside its source, for policies that look completions up."""
    parent: str | None = None
    """The trace that is continued."""
    beginning: str = ""
    """Text that the completion begins with: what the continued trace said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a policy returns for a slot."""

    trace_id: str
    """The slot that this fills."""
    text: str
    """Raw text of the completion; a `<think>` that the prompt form prefilled is put back at its start."""
    finish_reason: FinishReason
    """`stop` (end of text or a stop string), `length` (token limit), `loop` (cut while looping)."""
    num_prompt_tokens: int
    """Tokens of the rendered prompt."""
    num_completion_tokens: int
    """Tokens sampled, the end-of-text token included."""
    token_ids: list[int] | None = None
    """The sampled tokens, when asked for: exactly num_completion_tokens of them."""
    logprobs: list[float] | None = None
    """Log-probability of each sampled token under the sampling distribution at temperature 1, when asked for."""
    started_at: float = 0.0
    """Unix time the request started. Volatile."""
    seconds: float = 0.0
    """Wall time of the request. Volatile."""
    host: str | None = None
    """The server that wrote it, without credentials; None where it was this machine. Volatile."""
    cost: float | None = None
    """What the endpoint charges for it, in the recipe's currency, where the recipe says prices. Volatile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A slot for which a policy has no completion."""

    trace_id: str
    """The slot."""
    error: str
    """Class of the failure, e.g. `prompt_too_long`, `not_recorded`, `timeout`."""
    message: str
    """What happened, for a reader; holds no secret."""
    attempts: int = 1
    """How often it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """How one server of a policy is doing."""

    name: str
    """Its URL without credentials, or the name of an engine."""
    state: Literal["starting", "up", "down"]
    """Whether it takes requests."""
    in_flight: int
    """Requests it has not answered yet."""
    limit: int
    """Most requests it is given at once now."""
    num_done: int
    """Completions it gave."""
    num_faults: int
    """Requests that failed there, retried elsewhere or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatus:
    """How a policy that samples is doing; read from any thread."""

    in_flight: int = 0
    """Slots taken and not yet returned."""
    servers: tuple[ServerStatus, ...] = ()
    """Its servers, where it has any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The stored record of one completion."""

    trace_id: str
    """Hash of problem_id, policy_fingerprint, index and parent."""
    text_hash: str
    """Hash of the completion."""
    problem_id: str
    """The problem it answers."""
    policy_fingerprint: str
    """The policy that wrote it: row of the table `policies`."""
    index: int
    """Which of its group."""
    parent: str | None
    """The trace that was continued or rewritten."""
    seed: int
    """Seed of the slot."""
    completion: str
    """Raw text, a prefilled `<think>` restored."""
    reasoning: str | None
    """What stands between `<think>` and `</think>`; None if there is no such part."""
    answer: str | None
    """What follows `</think>`, or the whole completion if it never thinks; None if the thinking never closes."""
    finish_reason: FinishReason
    """Why it ended."""
    num_prompt_tokens: int
    """Tokens of the rendered prompt."""
    num_completion_tokens: int
    """Tokens of the completion."""
    token_ids: list[int] | None = None
    """Sampled tokens, if the recipe asked for them."""
    logprobs: list[float] | None = None
    """Their log-probabilities, if the recipe asked for them."""
