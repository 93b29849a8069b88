"""What a mock server writes: a toy tokenizer and completions that are a pure function of the request.

In: a rendered prompt, a seed, sampling parameters. Out: tokens and text of a completion that thinks, answers within
`\\boxed{}`, and now and then solves a simple sum. Nothing is sampled from a model, so texts mean nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from factory.policy.loops import first_repetition
from factory.policy.protocol import LoopCut
from factory.testing.mock_behaviour import MockBehaviour

EOS = 256
"""Token that ends a completion; its text is empty. The tokens below it are bytes."""

_PHRASES = """\
 so we have to add the numbers one by one. | Wait, let me check that again. | That gives the next term.
 First look at what the question asks. | I can write it as a sum of two parts. | Hmm, this does not look right.
 Then both sides are equal. | Let me try another way to see it. | The second part is smaller than the first.
 If we take the last one away, the rest is even. | So far this agrees with the first idea.
 Now count how many are left. | It follows from the line above. | But the order does not matter here.
 We know this already, so go on. | The remainder must be zero then. | Double check: yes, that is fine.
 Let us call the unknown x and move on. | Both cases lead to the same value. | This is close to the answer.
"""
_SPLIT = re.compile(r"</?think>|<\|[a-z]+\|>|\\boxed\{| ?[A-Za-z]+|\n\n|.", re.DOTALL)
_PHRASE_TEXTS = [phrase.strip("\n").rstrip(" ") for line in _PHRASES.splitlines() for phrase in line.split("|")]
_PIECES = sorted(
    {piece for phrase in _PHRASE_TEXTS for piece in _SPLIT.findall(phrase)}
    | set("0123456789+-=?*/()<>|{}[]$\\\"'_#&%@^~`;!:.,\n \t")
    | {"<think>", "</think>", "<|system|>", "<|user|>", "<|assistant|>", "\n\n", "\\boxed{", " The", " answer", " is"}
)
_ID = {piece: EOS + 1 + i for i, piece in enumerate(_PIECES)}
_SUM = re.compile(r"-?\d{1,15}(?:\s{0,3}[-+]\s{0,3}\d{1,15})+")
_TERM = re.compile(r"[-+]?\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A completion as an engine returns it."""

    token_ids: list[int]
    """What was sampled; the last one is `EOS` where the text ended by itself."""
    pieces: list[str]
    """Text of each token; less than its text where a stop string cuts."""
    finish_reason: str
    """`stop`, `length` or `repetition`."""
    stop_reason: str | None
    """The stop string that ended it, or `repetition_detected`."""


def tokenize(text: str) -> list[int]:
    """Return the tokens of a text: known pieces are one token, anything else one per UTF-8 byte."""
    tokens: list[int] = []
    for piece in _SPLIT.findall(text):
        known = _ID.get(piece)
        if known is not None:
            tokens.append(known)
        else:
            tokens.extend(piece.encode("utf-8", "surrogatepass"))
    return tokens


def detokenize(token_ids: Iterable[int]) -> str:
    """Return the text of tokens, also of ones that were never a whole text. Unknown ids have none."""
    return b"".join(map(_token_bytes, token_ids)).decode("utf-8", "replace")


def render_chat(
    messages: Sequence[Mapping[str, Any]], *, prefilled_think: bool, add_generation_prompt: bool, continue_final: bool
) -> str:
    """Render messages by the mock's chat template, e.g. `<|user|>\\n1+1?\\n<|assistant|>\\n<think>\\n`."""
    text = "\n".join(f"<|{message['role']}|>\n{_content(message)}" for message in messages)
    if continue_final:
        return text
    if not add_generation_prompt:
        return text + "\n"
    return text + "\n<|assistant|>\n" + ("<think>\n" if prefilled_think else "")


def write(
    prompt: str, request: Mapping[str, Any], behaviour: MockBehaviour, *, max_tokens: int, fault: str | None
) -> Written:
    """Write the completion of a rendered prompt; `fault` is None, `loop` or `length`."""
    draws = random.Random(_digest(prompt, request, behaviour))
    if fault == "loop":
        token_ids = _looping(draws, prompt, behaviour, max_tokens)
    elif fault is None and behaviour.replies is not None:
        token_ids = [*behaviour.replies(prompt).encode("ascii"), EOS]
    elif fault == "length":
        token_ids = [*_opening(prompt, behaviour), *_thinking(draws, max_tokens)]
    else:
        token_ids = [*_opening(prompt, behaviour), *_thinking(draws, draws.randint(*behaviour.tokens))]
        token_ids += _tokens_of("\n</think>\n\n" if behaviour.thinks else "\n")
        token_ids += [*_tokens_of(f" The answer is \\boxed{{{_answer(draws, prompt, behaviour)}}}."), EOS]
    return _cut(token_ids, request, max_tokens)


def token_logprobs(written: Written, request: Mapping[str, Any], behaviour: MockBehaviour) -> list[float]:
    """Return a log-probability per token, as deterministic as the text."""
    draws = random.Random(_digest("", request, behaviour) + len(written.token_ids) + sum(written.token_ids))
    return [-round(draws.expovariate(3.0), 6) for _ in written.token_ids]


def token_text(token_id: int) -> str:
    """Return one token's text."""
    return detokenize((token_id,))


def _token_bytes(token_id: int) -> bytes:
    if token_id < EOS:
        return bytes((token_id,))
    return _PIECES[token_id - EOS - 1].encode() if EOS < token_id <= EOS + len(_PIECES) else b""


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):  # OpenAI's list of parts
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


_DRAWING = (
    "seed",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
)


def _digest(prompt: str, request: Mapping[str, Any], behaviour: MockBehaviour) -> int:
    parts = [behaviour.seed, prompt, *(request.get(name) for name in _DRAWING)]
    if request.get("temperature") == 0:
        parts[2] = None  # the most likely token is drawn without a seed
    return int.from_bytes(blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _tokens_of(text: str) -> list[int]:
    return [_ID[piece] for piece in _SPLIT.findall(text)]


def _opening(prompt: str, behaviour: MockBehaviour) -> list[int]:
    if not behaviour.thinks or prompt.rfind("<think>") > prompt.rfind("</think>"):
        return []
    return _OPEN_THINK


def _thinking(draws: random.Random, num_tokens: int) -> list[int]:
    """Return so many tokens of phrases; the last one may be cut."""
    tokens: list[int] = []
    while len(tokens) < num_tokens:
        for phrase in draws.choices(_PHRASE_TOKENS, k=1 + (num_tokens - len(tokens)) // 8):
            tokens += phrase
    return tokens[:num_tokens]


def _looping(draws: random.Random, prompt: str, behaviour: MockBehaviour, max_tokens: int) -> list[int]:
    """Return ordinary text, then a pattern of 24 to 64 tokens until the limit."""
    tokens = [*_opening(prompt, behaviour), *_thinking(draws, draws.randint(*behaviour.tokens))]
    # Distinct tokens, so that no shorter period hides in the pattern.
    pattern = draws.sample(range(EOS + 1, EOS + 1 + len(_PIECES)), k=min(draws.randint(24, 64), len(_PIECES)))
    tokens += pattern * (max(0, max_tokens - len(tokens)) // len(pattern) + 1)
    return tokens[: max_tokens + 1]  # one more than allowed, so that it ends for its length


def _answer(draws: random.Random, prompt: str, behaviour: MockBehaviour) -> int:
    sums = _SUM.findall(prompt)
    value = sum(int(re.sub(r"\s", "", term)) for term in _TERM.findall(re.sub(r"\s", "", sums[-1]))) if sums else 0
    if sums and draws.random() < behaviour.right:
        return value
    return value + draws.randint(1, 9)


def _cut(token_ids: list[int], request: Mapping[str, Any], max_tokens: int) -> Written:
    """End the tokens where the first of repetition, stop string, token limit and their own end is."""
    finish, stop_reason = "stop", None
    looped = _repeats_at(token_ids, request.get("repetition_detection"))
    if looped is not None and looped <= max_tokens:
        token_ids, finish, stop_reason = token_ids[:looped], "repetition", "repetition_detected"
    elif len(token_ids) > max_tokens or token_ids[-1] != EOS:
        token_ids, finish = token_ids[:max_tokens], "length"
    pieces = [_PIECE_OF[token] for token in token_ids]
    stops = request.get("stop") or ()
    stops = [stops] if isinstance(stops, str) else stops
    text = "".join(pieces) if stops else ""
    found = min(((text.find(stop) + len(stop), stop) for stop in stops if stop in text), default=None)
    if found is None:
        return Written(token_ids=token_ids, pieces=pieces, finish_reason=finish, stop_reason=stop_reason)
    end, stop = found
    return _stopped(token_ids, pieces, end=end, stop=stop)


def _stopped(token_ids: list[int], pieces: list[str], *, end: int, stop: str) -> Written:
    """Keep the tokens that hold the text's first `end` characters, and of their text what precedes the stop string."""
    length, count = 0, 0
    while length < end:
        length, count = length + len(pieces[count]), count + 1
    kept, room = [], end - len(stop)
    for piece in pieces[:count]:
        kept.append(piece[: max(0, room)])
        room -= len(piece)
    return Written(token_ids=token_ids[:count], pieces=kept, finish_reason="stop", stop_reason=stop)


def _repeats_at(token_ids: list[int], asked: Any) -> int | None:
    if not asked or not asked.get("max_pattern_size") or not asked.get("min_count"):
        return None
    cut = LoopCut.model_construct(
        min_pattern_size=asked.get("min_pattern_size") or 1,
        max_pattern_size=asked["max_pattern_size"],
        min_count=asked["min_count"],
    )
    return first_repetition(token_ids, cut)


_OPEN_THINK = _tokens_of("<think>\n")
_PHRASE_TOKENS = [_tokens_of(phrase) for phrase in _PHRASE_TEXTS]
_PIECE_OF = {token: chr(token) for token in range(128)} | {token: piece for piece, token in _ID.items()} | {EOS: ""}
