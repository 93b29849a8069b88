"""The step `train`: make the model that a recipe describes, once."""

from __future__ import annotations

from pathlib import Path

from factory.identity import config_json, digest
from factory.stage import Stage
from factory.train.trainer import Trainer


def folder_of(name: str, trainer: Trainer, models: Path) -> Path:
    """Return the folder of the model that these settings make."""
    return models / name / digest(config_json(trainer))[:12]


def run(stage: Stage, trainer: Trainer, models: Path) -> tuple[Path, int]:
    """Train unless the model is there. Returns its folder and the number of steps that were made."""
    folder = folder_of(stage.name, trainer, models)
    if (folder / "manifest.json").is_file():
        return folder, 0
    stage.reporter.say(f"train    writing {folder}")
    manifest = trainer.train(out=folder)
    return folder, manifest.num_steps
