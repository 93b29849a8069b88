"""Golden identities: a ledger written today must be found tomorrow."""

from __future__ import annotations

import math

import pytest

from factory.config import Config
from factory.identity import (
    canonical_json,
    config_json,
    digest,
    judge_fingerprint,
    problem_id,
    seed_of,
    text_hash,
    trace_id,
)
from verifiers import Format

PROMPT = [{"role": "user", "content": "1+1=?"}]


def test_golden_values() -> None:
    problem = problem_id(PROMPT)
    slot = trace_id(problem, "f" * 32, 0)
    assert {
        "digest": digest({"b": 1, "a": [True, None, 0.5]}),
        "problem": problem,
        "trace": slot,
        "parent": trace_id(problem, "f" * 32, 0, parent=slot),
        "seed": seed_of(slot),
        "text": text_hash("<think>2</think> 2"),
    } == GOLDEN


def test_canonical_json_sorts_normalises_and_refuses_nan() -> None:
    assert canonical_json({"b": 1, "a": "é"}) == canonical_json({"a": "e\u0301", "b": 1}) == '{"a":"é","b":1}'
    with pytest.raises(ValueError):
        canonical_json({"a": math.nan})


def test_seed_is_the_first_63_bits() -> None:
    assert seed_of("f" * 32) == 2**63 - 1
    assert seed_of("8" + "0" * 31) == 2**62


def test_a_field_at_its_default_is_no_part_of_an_identity() -> None:
    class Old(Config):
        kind: str = "x"
        size: int = 3

    class New(Old):
        added_later: bool = False

    assert config_json(Old()) == config_json(New()) == {"kind": "x"}
    assert config_json(New(added_later=True)) == {"kind": "x", "added_later": True}


def test_a_judges_fingerprint_follows_its_version_and_configuration() -> None:
    plain = judge_fingerprint(Format())

    class Newer(Format):
        version = Format.version + 1

    assert judge_fingerprint(Newer()) != plain
    assert judge_fingerprint(Format(require_boxed=True)) != plain
    assert judge_fingerprint(Format(require_boxed=False)) == plain


GOLDEN = {
    "digest": "65b579116606d62989687bb4150811f6",
    "problem": "523e1b584a45a95f705963c57ada2d7b",
    "trace": "96bf2fa9eec58e3d24a841e760b7e460",
    "parent": "3affd89accde0108b8252f68340e5f07",
    "seed": 5431226616571414302,
    "text": "9cfcca5f648e95a1691ec12414054fa9",
}
