"""How a mock server behaves, and which fault meets which request.

In: options, set once. Out: the fault of a request, drawn by a hash of the slot and of how often it was asked for, so
that a run can be repeated and a retry can succeed. It serves nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Literal, get_args

Dialect = Literal["vllm", "openai"]
ReasoningApart = Literal["off", "reasoning_content", "reasoning"]

PASSING = ("rate_limited", "server_error", "reset", "timeout", "truncated_json", "malformed_json", "empty", "slow")
"""Faults of one request: asking again may go well."""
LASTING = ("content_filter", "loop", "length")
"""Faults of a slot: what its completion is, however often it is asked for."""
FAULTS = PASSING + LASTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Share of requests, and for the last three of slots, that meet each fault: 0 to 1, together at most 1 per kind."""

    rate_limited: float = 0.0
    """429 with Retry-After."""
    server_error: float = 0.0
    """500, 502 (a proxy's HTML page) or 503; within a stream also an `error` event."""
    reset: float = 0.0
    """The connection is aborted, before the answer or in the middle of it."""
    timeout: float = 0.0
    """No answer until the client gives up."""
    truncated_json: float = 0.0
    """The body ends too early, with a Content-Length that fits or one that promises more; a stream ends without its
    last events."""
    malformed_json: float = 0.0
    """200 with something that is no completion: HTML, broken JSON, JSON of another shape."""
    empty: float = 0.0
    """200 and finish reason `stop`, without any text."""
    slow: float = 0.0
    """A right answer, `slow_seconds` late."""
    content_filter: float = 0.0
    """Finish reason `content_filter`, or 400 with that code."""
    loop: float = 0.0
    """The text begins to repeat itself and does so up to the token limit, unless `repetition_detection` cuts it."""
    length: float = 0.0
    """The text does not end before the token limit."""

    def __post_init__(self) -> None:
        for names in (PASSING, LASTING):
            rates = [getattr(self, name) for name in names]
            if min(rates) < 0 or sum(rates) > 1:
                raise ValueError(f"the shares of {', '.join(names)} must be at least 0 and sum to at most 1")

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read `rate_limited=0.02,reset=0.01`. Raises ValueError for an unknown name or a bad share."""
        rates: dict[str, float] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            if name not in FAULTS:
                raise ValueError(f"unknown fault {name!r}; there are {', '.join(FAULTS)}")
            rates[name] = float(value)
        return cls(**rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class MockBehaviour:
    """What a mock server answers, how fast, and how it fails. Together with the requests it decides every answer."""

    dialect: Dialect = "vllm"
    """`vllm`: as vLLM 0.32 answers, with metrics, version and tokenizer. `openai`: only what OpenAI documents."""
    model: str = "mock"
    """Name that it serves; another one is answered by 404."""
    api_key: str | None = None
    """Bearer token that requests under /v1 must carry; None asks for none."""
    seed: int = 0
    """Decides completions and faults together with the requests."""
    faults: Faults = field(default_factory=Faults)
    """Share of requests that go wrong, by class."""
    always_fail: float = 0.0
    """Share of slots that fail at every attempt, each by one of the classes that have a share above (else by
    `server_error`)."""
    tokens: tuple[int, int] = (40, 120)
    """Fewest and most tokens of the thinking part."""
    thinks: bool = True
    """Whether completions have a `<think>` block."""
    right: float = 0.7
    """Share of simple sums in prompts (`3 + 4 - 5`) that are solved rightly."""
    prefilled_think: bool = False
    """Whether the chat template ends with `<think>` and a line feed, which the completion then does not repeat."""
    reasoning_apart: ReasoningApart = "off"
    """Field of a chat answer that holds the thinking part, apart from `content`."""
    max_model_len: int = 32768
    """Most tokens of prompt and completion together."""
    capacity: int = 256
    """Requests decoded at once; the others wait."""
    queue: int | None = None
    """Most requests that wait; None for no limit."""
    overflow_status: Literal[429, 503] = 503
    """Answer to a request beyond the queue."""
    kv_tokens: int | None = None
    """Tokens the KV cache holds. A request that makes it overflow counts as a preemption and takes twice as long.
    None: the cache is full when `capacity` requests run."""
    first_token_seconds: float = 0.0
    """Time to the first token."""
    token_seconds: float = 0.0
    """Time per further token."""
    slow_seconds: float = 0.5
    """Delay of a `slow` answer."""
    retry_after: float = 0.05
    """Seconds in the Retry-After of 429 and of an overflow."""
    stream_tokens: int = 1
    """Tokens per event of a stream."""
    replies: Callable[[str], str] | None = None
    """Writes the completion of a rendered prompt, in ASCII, instead of the mock's own text. Of a server in a thread."""

    def __post_init__(self) -> None:
        if self.dialect not in get_args(Dialect):
            raise ValueError(f"unknown dialect: {self.dialect!r}")
        if self.reasoning_apart not in get_args(ReasoningApart):
            raise ValueError(f"unknown place of reasoning: {self.reasoning_apart!r}")
        if not 0 <= self.always_fail <= 1 or not 0 <= self.right <= 1:
            raise ValueError("always_fail and right are shares between 0 and 1")
        if not 1 <= self.tokens[0] <= self.tokens[1]:
            raise ValueError(f"tokens must be fewest and most, at least 1: {self.tokens}")
        if self.capacity < 1 or self.stream_tokens < 1:
            raise ValueError("capacity and stream_tokens must be at least 1")


def passing_fault(behaviour: MockBehaviour, slot: bytes, attempt: int) -> tuple[str | None, int]:
    """Return the fault of a slot's request, attempts counted from 0, and a number that picks among its variants."""
    rates = behaviour.faults
    if behaviour.always_fail:
        share, variant = _draw(behaviour.seed, slot, "always")
        if share < behaviour.always_fail:
            failing = [name for name in PASSING if name != "slow" and getattr(rates, name)] or ["server_error"]
            return failing[variant % len(failing)], variant + attempt
    share, variant = _draw(behaviour.seed, slot, attempt)
    return _pick(rates, PASSING, share), variant


def lasting_fault(behaviour: MockBehaviour, slot: bytes) -> tuple[str | None, int]:
    """Return what is wrong with the slot's completion, whenever it is asked for, and a number that picks a variant."""
    share, variant = _draw(behaviour.seed, slot, "lasting")
    return _pick(behaviour.faults, LASTING, share), variant


def _pick(rates: Faults, names: tuple[str, ...], share: float) -> str | None:
    for name in names:
        share -= getattr(rates, name)
        if share < 0:
            return name
    return None


def _draw(seed: int, slot: bytes, what: object) -> tuple[float, int]:
    """Return a number in [0, 1) and an independent one of 16 bits."""
    drawn = blake2b(f"{seed} {what} ".encode() + slot, digest_size=10).digest()
    return int.from_bytes(drawn[:8]) / 2**64, int.from_bytes(drawn[8:])


assert {field.name for field in fields(Faults)} == set(FAULTS), "every share is either of requests or of slots"
