"""`kind: auto`: the engine that is usable on this machine, chosen when the recipe is planned.

In: a model. Out, by `resolve`: the configuration of one concrete policy, which the plan shows and the ledger keeps, so
that another machine's choice never mixes with it. It samples nothing itself. A new engine is a line in `_CANDIDATES`,
in the order of preference.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from factory.errors import PolicyError
from factory.policy.devices import has_gpu_device
from factory.policy.protocol import Policy, PolicyConfig, PromptForm, Sampling
from factory.policy.torch import TorchPolicyConfig
from factory.policy.vllm import VllmPolicyConfig

log = logging.getLogger(__name__)


class AutoPolicyConfig(PolicyConfig):
    """A model, sampled by whichever engine is usable here."""

    kind: Literal["auto"] = "auto"
    model: str = Field(min_length=1)
    """A folder, a Hub id or `builtin:micro`."""
    revision: str | None = None
    """Branch, tag or commit of a Hub id."""

    def resolve(self) -> tuple[PolicyConfig, ...]:
        """Return the chosen policy and log which. Raises PolicyError with each engine's reason if none is usable."""
        reasons = []
        for name, obstacle, configure in _CANDIDATES:
            reason = obstacle()
            if reason is None:
                log.info("policy: auto takes %s for %s", name, self.model)
                return configure(self).resolve()
            reasons.append(f"{name}: {reason}")
        raise PolicyError(
            f"no engine here can sample {self.model!r} ({'; '.join(reasons)})",
            hint="pip install 'trace-factory[train]' for the torch engine, 'trace-factory[vllm]' for vLLM on a GPU",
        )

    def fingerprint(self, sampling: Sampling, form: PromptForm) -> str:
        """Return the fingerprint of the policy that was chosen."""
        return self.resolve()[0].fingerprint(sampling, form)

    def open(self, sampling: Sampling, form: PromptForm) -> Policy:
        """Load the policy that was chosen."""
        return self.resolve()[0].open(sampling, form)


def _torch_obstacle() -> str | None:
    missing = [p for p in ("torch", "transformers", "safetensors") if importlib.util.find_spec(p) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def _torch(auto: AutoPolicyConfig) -> PolicyConfig:
    return TorchPolicyConfig(model=auto.model, revision=auto.revision)


def _vllm_obstacle() -> str | None:
    if importlib.util.find_spec("vllm") is None:
        return "not installed: vllm"
    # On a CPU it works too, and a recipe can ask for it by name; but there torch starts ten times as fast.
    return None if has_gpu_device() else "no GPU"


def _vllm(auto: AutoPolicyConfig) -> PolicyConfig:
    return VllmPolicyConfig(model=auto.model, revision=auto.revision)


_Obstacle = Callable[[], str | None]
"""Says why an engine is not usable here; None if it is."""

_CANDIDATES: tuple[tuple[str, _Obstacle, Callable[[AutoPolicyConfig], PolicyConfig]], ...] = (
    ("vllm", _vllm_obstacle, _vllm),
    ("torch", _torch_obstacle, _torch),
)
