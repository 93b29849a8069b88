"""Conversations as users' files hold them: a text, messages of role and content, or ShareGPT's turns of from and value.

In: a value of a row. Out: messages in our form, and what an assistant's last turn completes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from factory.records import Message

_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""Roles by what they are called in the wild."""


def read_messages(value: Any) -> list[Message]:
    """Read a conversation; a text is one message of the user. Raises ValueError with a sentence if it is none."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("holds no text and no messages")
    messages: list[Message] = []
    for turn in value:
        if not isinstance(turn, Mapping):
            raise ValueError("holds a message without role and content")
        role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if not isinstance(role, str) or content is None:
            raise ValueError("holds a message without role and content")
        if role not in _ROLES or not isinstance(content, str):
            raise ValueError(f"holds a message of role {role[:40]!r} that is no text of a known role")
        messages.append({"role": _ROLES[role], "content": content})
    return messages


def split_completion(messages: list[Message]) -> tuple[list[Message], str | None]:
    """Split a conversation into its prompt and the assistant's last turn, if it ends with one."""
    if messages[-1]["role"] == "assistant":
        return messages[:-1], messages[-1]["content"]
    return messages, None
