"""Trainers: one file per kind, the register, and the step that trains."""
