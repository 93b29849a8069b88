"""The shape of every configuration: frozen, no unknown keys, no silent conversions of type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of the sections of a recipe and of what stands in them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
