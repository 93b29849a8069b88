"""A judge that judges mathematics and reports what the interpreter was asked to do meanwhile."""

import sys
from functools import cache
from typing import ClassVar, Literal

from verifiers import MathAnswer, parse_reference
from verifiers.verdict import Judge

WATCHED = (
    "compile",
    "exec",
    "open",
    "import",
    "os.",
    "subprocess.",
    "pickle.",
    "marshal.",
    "socket.",
    "ctypes.",
    "shutil.",
)
"""Beginnings of the names of audit events that no text may cause."""

_heard: list[str] = []


class Watched(Judge):
    """Judge the completion with `math_answer`; the reason of the verdict lists the events."""

    kind: Literal["watched"] = "watched"
    version: ClassVar[int] = 1
    deadline_s: ClassVar[float] = 60.0

    reference: str
    is_warm_up: bool = False

    def _judge(self, completion, reference, prompt):
        if not self.is_warm_up:
            _hook()
        _heard.clear()
        verdict = MathAnswer().judge(completion, parse_reference({"kind": "answer", "value": self.reference}))
        heard = "\n".join(_heard)
        return self._verdict(outcome=verdict.outcome, reason=heard, cause=verdict.cause, extracted=verdict.reason)


@cache
def _hook():
    """Listen from now on; a hook cannot be taken away again."""
    sys.addaudithook(_hear)


def _hear(event, arguments):
    if event.startswith(WATCHED):
        _heard.append(f"{event} {str(arguments)[:200]}")
