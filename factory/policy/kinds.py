"""The kinds of policies a recipe can name. A new kind is one line here; importing it imports no engine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from factory.policy.auto import AutoPolicyConfig
from factory.policy.recorded import RecordedPolicyConfig
from factory.policy.server import ServerPolicyConfig
from factory.policy.torch import TorchPolicyConfig
from factory.policy.vllm import VllmPolicyConfig

AnyPolicy = Annotated[
    AutoPolicyConfig | TorchPolicyConfig | VllmPolicyConfig | ServerPolicyConfig | RecordedPolicyConfig,
    Field(discriminator="kind"),
]
