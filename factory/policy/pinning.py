"""What a policy in a recipe stands for, decided once: the engine that `auto` took, the commit of a name on the Hub.

In: a policy's configuration, the ledger, the lock file. Out: the configuration that is opened and whose fingerprint
counts. What `auto` became stays so for a ledger, and a commit for a recipe. Nothing is loaded.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from factory.identity import config_json, digest
from factory.lock import Lock
from factory.policy.kinds import AnyPolicy
from factory.policy.protocol import PolicyConfig
from factory.stage import Stage


def pin_policy(stage: Stage, config: PolicyConfig, lock: Lock, *, step: str, write: bool = True) -> PolicyConfig:
    """Return what a policy stands for; `step` is who asks, for the message. Raises PolicyError if nothing can say."""
    if config.kind == "auto":
        config = _engine_of(stage, config, step=step, write=write)
    if (key := config.lock_key) is not None:
        config = config.at(lock.get(key, config.current_revision))
    return config


def _engine_of(stage: Stage, config: PolicyConfig, *, step: str, write: bool) -> PolicyConfig:
    key = digest({"policy": config_json(config)})
    pins = stage.ledger.snapshot().scan("pins").filter(key=key).collect()
    if pins.is_empty():
        (resolved,) = config.resolve()
        kind = resolved.kind
        stage.reporter.say(f"{step:<8} policy auto: {kind}")
        if write:
            with stage.ledger.writer() as writer:
                writer.append("pins", [{"key": key, "value": kind}])
    else:
        kind = pins["value"][0]
    concrete: PolicyConfig = TypeAdapter(AnyPolicy).validate_python(
        {**config.model_dump(exclude={"kind"}), "kind": kind}
    )
    return concrete
