"""Procedural problems from reasoning-gym, in the wordings we have, and worked solutions for some of them.

- `families`  entries of a family from a seed, JSON-safe, and their question in a language
- `wording`   the Chinese wordings
- `worked`    step-by-step solutions, with deliberate faults at given rates, that the embedded policy is trained on

Judging is not here: the checker of a family runs in the judge `puzzle`.
"""
