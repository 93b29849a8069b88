"""Judges of code on machines that lack something, for tests. Imported by the workers too."""

from __future__ import annotations

from verifiers import CodeTests
from verifiers.sandbox import client
from verifiers.sandbox.layers import Layers

NO_LAYERS = Layers(namespaces="not permitted", seccomp="not in this kernel", landlock_abi=0)


class WithoutLayers(CodeTests):
    """Judges as on a machine that can isolate nothing."""

    def prepare(self) -> None:
        client.layers = lambda: NO_LAYERS
