"""The choice of rows: caps, picks, budgets, the split; always a pure function of its arguments."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.mix import MixSection, select


def frame(rows: list[tuple[str, str, int, bool]]) -> pl.DataFrame:
    """problem, domain, tokens, passes"""
    return pl.DataFrame(
        [
            {
                "trace_id": f"t{i:03d}",
                "problem_id": problem,
                "domain": domain,
                "num_completion_tokens": tokens,
                "rule": None if passes else "rejected",
                "reason": None if passes else "wrong",
                "failed_rules": [] if passes else ["rejected"],
            }
            for i, (problem, domain, tokens, passes) in enumerate(rows)
        ],
        schema={
            "trace_id": pl.String,
            "problem_id": pl.String,
            "domain": pl.String,
            "num_completion_tokens": pl.Int64,
            "rule": pl.String,
            "reason": pl.String,
            "failed_rules": pl.List(pl.String),
        },
    )


TWO = frame(
    [
        ("a", "math", 9, True),
        ("a", "math", 3, True),
        ("a", "math", 1, False),
        ("a", "math", 5, True),
        ("b", "math", 4, True),
        ("c", "logic", 8, True),
    ]
)


def kept(section: MixSection, seed: int = 0, rows: pl.DataFrame = TWO) -> set[str]:
    return set(select(rows, section, seed).filter(pl.col("rule").is_null())["trace_id"])


def test_picks() -> None:
    assert kept(MixSection()) == {"t000", "t001", "t003", "t004", "t005"}
    assert kept(MixSection(per_problem=1, pick="shortest")) == {"t001", "t004", "t005"}
    assert kept(MixSection(per_problem=1, pick="longest")) == {"t000", "t004", "t005"}
    assert kept(MixSection(per_problem=2, pick="shortest")) == {"t001", "t003", "t004", "t005"}
    picked = {next(iter(kept(MixSection(per_problem=1), seed) - {"t004", "t005"})) for seed in range(20)}
    assert picked == {"t000", "t001", "t003"}  # a seeded choice among those that pass


def test_budgets_cut_depth_before_breadth_and_leave_other_domains_out() -> None:
    section = MixSection(rows={"math": 2})
    assert {i for i in kept(section) if i < "t004"} != set()
    assert "t004" in kept(section)  # problem b has its one trace before a has its second
    chosen = select(TWO, section, 0)
    reasons = dict(chosen.select("rule", "reason").drop_nulls().iter_rows())
    assert reasons["out_of_scope"] == "the mix takes no rows of domain logic"
    assert reasons["rows"] == "the mix takes 2 rows of domain math"
    assert reasons["rejected"] == "wrong"


def test_the_cap_says_how_many_there_were() -> None:
    chosen = select(TWO, MixSection(per_problem=1, pick="shortest"), 0)
    assert chosen.filter(rule="per_problem")["reason"].unique().to_list() == [
        "1 of 3 passing traces of its problem are kept, shortest first"
    ]


traces = st.lists(
    st.tuples(st.sampled_from("abcdefg"), st.sampled_from(["math", "logic"]), st.integers(1, 9), st.booleans()),
    max_size=40,
)


@given(
    rows=traces,
    seed=st.integers(0, 3),
    per_problem=st.none() | st.integers(1, 3),
    budget=st.none() | st.integers(1, 9),
    validation=st.sampled_from([0.0, 0.3]),
    shuffle=st.randoms(use_true_random=False),
)
def test_every_row_has_one_fate_and_its_order_does_not_matter(
    rows: list[tuple[str, str, int, bool]], seed: int, per_problem: int, budget: int, validation: float, shuffle: object
) -> None:
    # One domain per problem, as in a ledger.
    rows = [(p, "math" if p < "d" else "logic", n, ok) for p, _, n, ok in rows]
    section = MixSection(
        per_problem=per_problem, rows=None if budget is None else {"math": budget}, validation=validation
    )
    given_rows = frame(rows)
    chosen = select(given_rows, section, seed)
    assert sorted(chosen["trace_id"]) == sorted(given_rows["trace_id"])
    assert chosen.filter(pl.col("rule").is_not_null())["reason"].null_count() == 0
    passing = chosen.filter(pl.col("rule").is_null())
    if not passing.is_empty():
        assert passing.group_by("problem_id").len()["len"].max() <= (per_problem or 40)
        assert chosen.group_by("problem_id").agg(pl.col("split").n_unique())["split"].max() == 1
    if budget is not None:
        assert passing.height <= budget
    order = list(range(given_rows.height))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    again = select(given_rows[order], section, seed)
    columns = ["trace_id", "rule", "reason", "split"]
    assert again.select(columns).equals(chosen.select(columns))


def test_validation_takes_about_its_share_of_the_problems() -> None:
    many = frame([(f"p{i}", "math", 1, True) for i in range(2000)])
    share = select(many, MixSection(validation=0.1), 5).filter(split="validation").height / 2000
    assert share == pytest.approx(0.1, abs=0.03)
