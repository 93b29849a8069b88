"""Whether a completion has begun to repeat itself: what vLLM's `repetition_detection` decides, for other engines.

In: the tokens sampled so far (or the pieces of text of a streaming endpoint) and a `LoopCut`. Out: yes or no, or where
it begins to be yes. Both decide as vLLM 0.32 does (`vllm.v1.core.sched.utils.check_sequence_repetition`), on the same
tokens to the same token.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import islice
from operator import eq

from factory.policy.protocol import LoopCut


def repeats(tokens: Sequence[Hashable], cut: LoopCut) -> bool:
    """Say whether the last tokens are one pattern of an allowed size, `min_count` times in a row."""
    length = len(tokens)
    max_size = min(cut.max_pattern_size, length // cut.min_count)
    if max_size < cut.min_pattern_size:
        return False
    last = tokens[-1]
    before = tokens[length - 1 - max_size : length - cut.min_pattern_size]  # the largest size first
    if last not in before:
        return False
    return any(
        token == last and _repeats_with(tokens, max_size - at, length, length, cut) for at, token in enumerate(before)
    )


def first_repetition(tokens: Sequence[Hashable], cut: LoopCut, *, start: int = 0) -> int | None:
    """Return how many tokens there are when `repeats` is first true, looking from `start` on; None if it never is.

    Takes time linear in the tokens from `start` on.
    """
    found: int | None = None
    start = max(start, 1)
    for size in range(cut.min_pattern_size, cut.max_pattern_size + 1):
        end = len(tokens) if found is None else found - 1
        if not _repeats_with(tokens, size, start, end, cut):
            continue
        span = size * (cut.min_count - 1)
        first = max(start - size - span, 0)
        same = bytes(map(eq, islice(tokens, first, end - size), islice(tokens, first + size, end)))
        at = same.find(b"\x01" * span)
        if at >= 0:
            found = first + at + span + size
    return found


def _repeats_with(tokens: Sequence[Hashable], size: int, start: int, end: int, cut: LoopCut) -> bool:
    """Say whether a pattern of this size can be complete after `start` tokens, or later but not after `end`.

    With `start` equal to `end` that is not only possible but so. A sequence has the period `size` where it equals
    itself moved by `size`; what is compared are the tokens that every such end has in common, if there are any.
    """
    span = size * (cut.min_count - 1)
    common = end - span
    if common < size or start > end:
        return False
    if common >= start:
        return True
    return (
        tokens[start - 1] == tokens[start - 1 - size] and tokens[common:start] == tokens[common - size : start - size]
    )
