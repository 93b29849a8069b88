"""Policies: prompts in, completions out. One file per engine, the protocol, and the register."""
