"""What an OpenAI-compatible endpoint answered: read, checked, and faults told apart.

In: statuses, JSON of whole answers, events of a stream. Out: an `Answer` (text, reasoning, why it ended, token counts)
or a `Fault` that says what went wrong, whether trying again can help, and whether the server rather than the request is
to blame. All of it is taken for hostile; nothing here sends anything or waits.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import quote

from factory.policy.loops import repeats
from factory.policy.protocol import LoopCut
from factory.records import Completion, FinishReason

MAX_RETRY_AFTER_S = 300.0
"""A server that asks to be left alone for longer is asked again after this."""
_MAX_MESSAGE = 300
_MAX_SCRUBBED = 20_000
_MAX_TOKEN = 2**31 - 1
_MAX_LOGPROB = 1e30

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "repetition": "loop",
}
_FILTERED = re.compile(r"content[ _-]?(filter|management|policy)|moderation|flagged|responsible ?ai", re.I)
_TOO_LONG = re.compile(
    r"context[ _]length|context window|maximum (context|model) len|max_model_len|prompt is too long|too many tokens"
    r"|longer than the max",
    re.I,
)
_BEARER = re.compile(r"(bearer\s+|\bsk-)[\w.~+/=-]{6,}", re.I)
_NO_CREDIT = re.compile(r"insufficient[_ -]?(quota|balance|credits?|funds)|current quota|\bcredits?\b|\bbilling", re.I)
_LIMITED_FOR_NOW = re.compile(r"rate[_ -]?limit|per[_ -]?(second|minute|hour|day)|\b[RT]P[MD]\b", re.I)
_OF_SERVER = frozenset({401, 403, 404, 405})
_BUSY = frozenset({408, 409, 425})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a request has no answer."""

    error: str
    """Its class: rate_limited, server_error, connection, timeout, malformed, empty, prompt_too_long, refused,
    content_filter, unavailable (the status speaks of the key, the model or the address), no_credit."""
    message: str
    """What happened, without secrets."""
    permanent: bool = False
    """Whether the same request would fail again."""
    of_server: bool = False
    """Whether the server cannot be used at all (unreachable, wrong key, no such model), as far as the status says."""
    overload: bool = False
    """Whether it says that the server has too much to do."""
    retry_after_s: float | None = None
    """How long the server asks to be left alone."""
    otherwise: Completion | None = None
    """What is stored if the last attempt ends so too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered."""

    content: str
    """The text."""
    reasoning: str
    """The reasoning, where the server returns it apart."""
    finish_reason: FinishReason
    """Why it ended."""
    num_prompt_tokens: int
    """Tokens of the prompt; 0 if the server did not come to say it."""
    num_completion_tokens: int
    """Tokens sampled; pieces of the stream where the server did not come to say it."""
    token_ids: list[int] | None = None
    """The sampled tokens, where asked for."""
    logprobs: list[float] | None = None
    """Their log-probabilities, where asked for."""


def scrub(text: str, key: str | None) -> str:
    """Return a message without a key in any usual spelling, on one line, printable and not too long."""
    if key:
        for form in {key, quote(key, safe=""), json.dumps(key)[1:-1]}:
            text = text.replace(form, "***")
    text = _BEARER.sub(r"\1***", text)
    text = " ".join(text[:_MAX_SCRUBBED].encode("utf-8", "replace").decode().split())
    # Else it could write in a terminal as it likes: move its cursor, turn the direction of text around.
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def read_retry_after(value: str | None, *, now: float) -> float | None:
    """Read a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3): seconds from now, with an upper bound."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
            return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None


def fault_of_status(status: int, text: str, *, retry_after_s: float | None = None) -> Fault:
    """Say what an HTTP status other than 200 means, together with what the body says."""
    message = f"HTTP {status}: {_error_text(text) or 'no explanation'}"
    out_of_credit = _NO_CREDIT.search(text) and not _LIMITED_FOR_NOW.search(text) and retry_after_s is None
    if status == 402 or (status == 429 and out_of_credit):
        return Fault(error="no_credit", message=message, of_server=True)
    if status == 429:
        return Fault(error="rate_limited", message=message, overload=True, retry_after_s=retry_after_s)
    if status >= 500:
        busy = status in (503, 504, 529)
        return Fault(error="server_error", message=message, overload=busy, retry_after_s=retry_after_s)
    if status in _BUSY:
        return Fault(error="timeout" if status == 408 else "server_error", message=message, overload=True)
    if status in (400, 403, 422) and _FILTERED.search(text):
        return Fault(error="content_filter", message=message, permanent=True)
    if status in _OF_SERVER:
        return Fault(error="unavailable", message=message, of_server=True)
    if status in (400, 413, 422) and _TOO_LONG.search(text):
        return Fault(error="prompt_too_long", message=message, permanent=True)
    if 300 <= status < 400:
        message = f"HTTP {status}: it redirects; name the address it redirects to"
        return Fault(error="unavailable", message=message, of_server=True)
    if status < 300:
        return Fault(error="malformed", message=message)
    return Fault(error="refused", message=message, permanent=True)


def read_answer(data: Any) -> Answer | Fault:
    """Read a whole answer, of chat completions or of completions."""
    if isinstance(data, dict) and data.get("error"):
        return _fault_in_body(data["error"])
    choice = _first_choice(data)
    if choice is None:
        return Fault(error="malformed", message="the answer has no choice")
    message = choice.get("message", choice)
    if not isinstance(message, dict):
        return Fault(error="malformed", message="the answer has no message")
    content = message.get("content") if "message" in choice else message.get("text")
    reasoning = _reasoning(message)
    if not isinstance(content, str | None) or ("message" not in choice and content is None):
        return Fault(error="malformed", message="the answer's content is not text")
    if not content and not reasoning and message.get("refusal"):
        said = message["refusal"] if isinstance(message["refusal"], str) else "no explanation"
        return Fault(error="content_filter", message=f"refused: {said}", permanent=True)
    usage = _usage(data.get("usage"))
    if usage is None:
        return Fault(error="malformed", message="the answer does not say how many tokens it has")
    return _answer(
        content=content or "",
        reasoning=reasoning,
        finish=choice.get("finish_reason"),
        usage=usage,
        token_ids=_token_ids(choice),
        logprobs=_logprobs(choice.get("logprobs")),
    )


class StreamedAnswer:
    """An answer that comes in pieces; it is watched for loops."""

    def __init__(self, cut: LoopCut | None) -> None:
        self.looping = False
        self._cut = cut
        self._window = 0 if cut is None else cut.max_pattern_size * cut.min_count
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._tail: list[str] = []
        self._finish: Any = None
        self._usage: tuple[int, int] | None = None
        self._token_ids: list[int] = []
        self._logprobs: list[float] = []
        self._num_pieces = 0

    def add(self, event: Any) -> Fault | None:
        """Take one event; a Fault if the server reports one or the event has the wrong shape."""
        if not isinstance(event, dict):
            return Fault(error="malformed", message="an event of the stream is no object")
        if event.get("error"):
            return _fault_in_body(event["error"])
        self._usage = _usage(event.get("usage")) or self._usage
        choice = _first_choice(event)
        if choice is None:
            return None  # the last event holds the usage alone
        delta = choice.get("delta", choice)
        if not isinstance(delta, dict):
            return Fault(error="malformed", message="an event of the stream has no delta")
        content, reasoning = delta.get("content" if "delta" in choice else "text"), _reasoning(delta)
        if not isinstance(content, str | None):
            return Fault(error="malformed", message="a piece of the stream is not text")
        self._finish = choice.get("finish_reason") or self._finish
        self._token_ids += _token_ids(choice) or []
        self._logprobs += _logprobs(choice.get("logprobs")) or []
        for piece, pieces in ((reasoning, self._reasoning), (content, self._content)):
            if piece:
                pieces.append(piece)
                self._num_pieces += 1
                self._watch(piece)
        return None

    def _watch(self, piece: str) -> None:
        if self._cut is None or self.looping:
            return
        self._tail.append(piece)
        if len(self._tail) > 2 * self._window:
            del self._tail[: -self._window]
        self.looping = repeats(self._tail, self._cut)

    def answer(self) -> Answer | Fault:
        """Return what came, when the stream has ended or was cut."""
        if self._finish is None and not self.looping:
            return Fault(error="malformed", message="the stream ended before the answer did")
        return _answer(
            content="".join(self._content),
            reasoning="".join(self._reasoning),
            finish="repetition" if self.looping else self._finish,
            usage=self._usage or (0, self._num_pieces),
            token_ids=self._token_ids or None,
            logprobs=self._logprobs or None,
        )


def _answer(
    *,
    content: str,
    reasoning: str,
    finish: Any,
    usage: tuple[int, int],
    token_ids: list[int] | None,
    logprobs: list[float] | None,
) -> Answer | Fault:
    if finish == "content_filter":
        return Fault(error="content_filter", message="the server withheld the answer", permanent=True)
    if finish in ("error", "abort", "insufficient_system_resource"):
        return Fault(error="server_error", message=f"the answer was given up: {finish}")
    reason = _FINISH.get(finish) if isinstance(finish, str) else None
    if reason is None:
        named = finish if isinstance(finish, str) else type(finish).__name__
        return Fault(error="malformed", message=f"the answer ended for an unknown reason: {named}")
    num_prompt, num_completion = usage
    if not content and not reasoning and num_completion == 0:
        return Fault(error="empty", message="the answer is empty")
    return Answer(
        content=whole_characters(content),
        reasoning=whole_characters(reasoning),
        finish_reason=reason,
        num_prompt_tokens=num_prompt,
        num_completion_tokens=num_completion,
        token_ids=token_ids,
        logprobs=logprobs,
    )


def whole_characters(text: str) -> str:
    """Return a text with the halves of surrogate pairs joined, where a stream tore them, and lone ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _fault_in_body(error: Any) -> Fault:
    """Say what an `error` object means that came with the status 200, as some gateways send it."""
    code = error.get("code") if isinstance(error, dict) else None
    text = _json({"error": error})
    if isinstance(code, str) and code.isascii() and code.isdecimal() and len(code) == 3:
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return fault_of_status(code, text)
    return Fault(error="server_error", message=_error_text(text))


def _error_text(body: str) -> str:
    """Return what an error body says, whichever of the usual shapes it has."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return body
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return error if isinstance(error, str) else _json(error)


def _json(data: Any) -> str:
    """Write what was read from JSON; nothing if it is nested so deeply that it could just be read."""
    try:
        return json.dumps(data, ensure_ascii=False)
    except RecursionError:
        return ""


def _first_choice(data: Any) -> dict[str, Any] | None:
    choices = data.get("choices") if isinstance(data, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, dict) else None


def _reasoning(message: dict[str, Any]) -> str:
    for name in ("reasoning_content", "reasoning"):
        found = message.get(name)
        if isinstance(found, str) and found:
            return found
    return ""


def _usage(usage: Any) -> tuple[int, int] | None:
    """Return the tokens of prompt and completion."""
    if not isinstance(usage, dict):
        return None
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    if any(type(count) is not int or not 0 <= count < 2**31 for count in counts):
        return None
    return counts[0], counts[1]  # type: ignore[return-value]


def is_tokens(values: Any) -> TypeGuard[list[int]]:
    """Say whether it is a list of token ids, small enough to be stored."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= _MAX_TOKEN for value in values)


def _logprobs(logprobs: Any) -> list[float] | None:
    """Return the log-probabilities of the sampled tokens, in either of the two shapes there are."""
    if not isinstance(logprobs, dict):
        return None
    values: Sequence[Any] | None = logprobs.get("token_logprobs")
    if isinstance(content := logprobs.get("content"), list):
        values = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        return None
    return [float(value) for value in values] if all(abs(value) < _MAX_LOGPROB for value in values) else None


def _token_ids(choice: dict[str, Any]) -> list[int] | None:
    values = choice.get("token_ids")
    return values if is_tokens(values) else None
