"""Stand-ins for judging models: what a careful, a gullible and a broken one would write."""

import json
import re
import threading
import time

KEY = re.compile(r'\{"key": "(?P<key>[0-9a-f]{16})", "analysis": "\.\.\.", "(?P<field>correctness|met|first)"')


def block(prompt, name):
    """Return the data under a name, without its marks."""
    found = re.search(rf"^{name}:\n(?P<lines>(?:\| .*\n)+)", prompt, re.MULTILINE)
    return "" if found is None else "\n".join(line[2:] for line in found["lines"].splitlines())


def asked_for(prompt):
    """Return the key and the kind of the verdict that a prompt asks for, from its end: data may hold the same."""
    return list(KEY.finditer(prompt))[-1].group("key", "field")


class Model:
    """Answers correctness by looking for the reference in the answer; counts its calls and keeps its prompts."""

    def __init__(self, write=None, seconds=0.0):
        self.prompts, self.batches, self.write, self.seconds = [], [], write or careful, seconds
        self.num_at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def __call__(self, conversations):
        with self._lock:
            self.num_at_once += 1
            self.most_at_once = max(self.most_at_once, self.num_at_once)
            self.batches.append(len(conversations))
        time.sleep(self.seconds)
        prompts = [messages[-1]["content"] for messages in conversations]
        self.prompts += prompts
        replies = [self.write(prompt) for prompt in prompts]
        with self._lock:
            self.num_at_once -= 1
        return replies


def verdict(prompt, **fields):
    key, _ = asked_for(prompt)
    return json.dumps({"key": key, "analysis": "It says so.", **fields})


def careful(prompt):
    right = block(prompt, "Reference answer").casefold() in block(prompt, "Answer to be graded").casefold()
    return verdict(prompt, correctness="correct" if right else "incorrect")


def wrong(prompt):
    return verdict(prompt, correctness="incorrect")


def echoing(prompt):
    """Repeat the answer, as models do that are asked to analyse it, then say that it is wrong."""
    return f"The answer says: {block(prompt, 'Answer to be graded')}\n\n{wrong(prompt)}"


def only_echoing(prompt):
    return block(prompt, "Answer to be graded")
