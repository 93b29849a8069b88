"""The register of trainers."""

from __future__ import annotations

from factory.train.pretrain import Pretrain

AnyTrainer = Pretrain
