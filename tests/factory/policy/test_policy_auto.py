"""The choice of an engine: what it takes, what it logs, and what it says where nothing is usable."""

import logging

import pytest

from factory.errors import PolicyError
from factory.policy import auto
from factory.policy.auto import AutoPolicyConfig
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.torch import TorchPolicyConfig


def test_auto_is_the_torch_policy_here_and_says_so(tiny_model, caplog):
    config = AutoPolicyConfig(model=str(tiny_model))
    with caplog.at_level(logging.INFO):
        (chosen,) = config.resolve()
    assert isinstance(chosen, TorchPolicyConfig)
    assert chosen.model == str(tiny_model)
    assert chosen.dtype is not None, "what depends on the machine is pinned"
    assert "auto takes torch" in caplog.text
    torch_config = TorchPolicyConfig(model=str(tiny_model))
    assert config.fingerprint(Sampling(), PromptForm()) == torch_config.fingerprint(Sampling(), PromptForm())
    sampling = Sampling(max_tokens=8)
    assert config.open(sampling, PromptForm()).fingerprint == config.fingerprint(sampling, PromptForm())


def test_the_first_usable_engine_wins(monkeypatch, tiny_model):
    def configure(config):
        return TorchPolicyConfig(model=config.model, batch_size=3)

    candidates = (("absent", lambda: "not here", None), ("second", lambda: None, configure), *auto._CANDIDATES)
    monkeypatch.setattr(auto, "_CANDIDATES", candidates)
    (chosen,) = AutoPolicyConfig(model=str(tiny_model)).resolve()
    assert chosen.batch_size == 3


def test_no_engine_gives_every_reason(monkeypatch):
    monkeypatch.setattr(auto.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PolicyError, match=r"torch: not installed: torch, transformers, safetensors[\s\S]*pip install"):
        AutoPolicyConfig(model="org/name").resolve()
