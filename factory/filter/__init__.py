"""Filters on problems and on traces: one file per defect, the register, and the fates they decide."""
