"""A recipe from source to staged corpus: what is done again, what is not, and what a kill leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from factory import pipeline
from factory.errors import LedgerError, UsageError
from factory.ledger import Ledger, files, maintenance
from factory.recipe import load


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its bytes."""
    # `runs` says what each command did; what it is about is the rest.
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.parent.name != "runs"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def funnel(result: Any, title: str) -> dict[str, int]:
    (found,) = [f for f in result.funnels if f.title == title]
    return {f"{step}/{label}": rows for step, label, rows in found.lines}


def test_the_whole_path_and_its_funnels(workplace: Any) -> None:
    result = workplace.run()
    assert result.num_done == {"source": 12, "sample": 48, "verify": 144, "mix": 11, "publish": 2}
    assert funnel(result, "problems") == {"source/read": 12, "source/kept": 12}
    traces = funnel(result, "traces")
    assert traces["sample/requested"] == traces["sample/stored"] == 48
    assert traces["filter/passed"] == 48 + sum(n for k, n in traces.items() if k.startswith("filter/") and n < 0)
    assert traces["mix/kept"] == traces["filter/passed"] + traces["mix/per_problem"] == 11
    corpus = result.corpus
    assert corpus.damaged() == []
    train, validation = corpus.scan().collect(), corpus.scan(split="validation").collect()
    rejected = corpus.scan("rejected").collect()
    assert train.height + validation.height == 11
    assert train.height + validation.height + rejected.height == 48
    assert not set(train["problem_id"]) & set(validation["problem_id"])
    row = train.row(0, named=True)
    assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
    assert row["messages"][1]["content"].startswith("<think>")
    assert (row["model"], row["licence"], row["domain"]) == ("somebody", "mit", "stem")
    assert {v["by"]: v["outcome"] for v in row["verdicts"]} == {
        "choice": "pass",
        "format": "pass",
        "repetition": "pass",
    }
    assert json.loads(row["reference"])["kind"] == "choice"


def test_every_trace_has_one_fate_with_its_reason(workplace: Any) -> None:
    workplace.run()
    snapshot = Ledger.open(workplace.ledger).snapshot()
    fates = snapshot.scan("fates").collect()
    assert fates.height == 48 == fates["trace_id"].n_unique()
    dropped = fates.filter(~pl.col("kept"))
    assert dropped["reason"].null_count() == 0
    assert set(dropped["rule"]) == {"truncated", "rejected", "repetition", "per_problem"}
    truncated = dropped.filter(rule="truncated")["reason"]
    assert truncated.str.contains(r"^ended by length after \d+ tokens$").all()
    both = dropped.filter(pl.col("failed_rules").list.len() > 1)
    assert both["rule"].to_list() == both["failed_rules"].list.first().to_list()
    assert not both.is_empty()


def test_a_second_run_does_nothing(workplace: Any) -> None:
    first = workplace.run()
    before, corpus = tree(workplace.ledger), tree(workplace.corpora)
    second = workplace.run()
    assert set(second.num_done.values()) == {0}
    assert second.corpus.folder == first.corpus.folder
    assert tree(workplace.ledger) == before
    assert tree(workplace.corpora) == corpus


def test_datasets_loads_the_staged_folder_as_it_is(workplace: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    corpus = workplace.run().corpus
    loaded = datasets.load_dataset(str(corpus.folder), cache_dir=str(tmp_path / "cache"))
    assert {name: part.num_rows for name, part in loaded.items()} == {
        name: counts["rows"] for name, counts in corpus.manifest["splits"].items()
    }
    rejected = datasets.load_dataset(str(corpus.folder), "rejected", split="train", cache_dir=str(tmp_path / "cache"))
    assert rejected.num_rows == 37
    assert loaded["train"][0]["messages"][-1]["role"] == "assistant"


# -- what a change redoes ----------------------------------------------------------------------------------------------


def test_a_larger_group_samples_only_what_is_missing(workplace: Any) -> None:
    assert workplace.run("sample.group_size=2").num_done["sample"] == 24
    again = workplace.run("sample.group_size=4")
    assert (again.num_done["sample"], again.num_done["verify"]) == (24, 72)
    fresh = workplace.run(ledger=workplace.folder / "fresh", out=workplace.folder / "fresh-corpora")
    # group_size is part of the recipe, so the two corpora have different names; their rows are the same.
    assert again.corpus.manifest["rows_digest"] == fresh.corpus.manifest["rows_digest"]


def test_a_smaller_group_uses_a_part_of_what_is_there(workplace: Any) -> None:
    workplace.run()
    part = workplace.run("sample.group_size=2")
    assert part.num_done["sample"] == part.num_done["verify"] == 0
    assert funnel(part, "traces")["sample/requested"] == 24


def test_a_changed_judge_only_judges_again(workplace: Any) -> None:
    workplace.run()
    workplace.write(verify=[{"kind": "choice"}, {"kind": "format", "require_boxed": True}, {"kind": "repetition"}])
    changed = workplace.run()
    assert (changed.num_done["source"], changed.num_done["sample"], changed.num_done["verify"]) == (0, 0, 48)


def test_a_changed_threshold_judges_nothing(workplace: Any) -> None:
    first = workplace.run()
    changed = workplace.run("filter.2.max_repeats=100")
    assert changed.num_done["verify"] == 0
    assert funnel(changed, "traces")["mix/kept"] > funnel(first, "traces")["mix/kept"]
    assert changed.corpus.folder != first.corpus.folder
    assert first.corpus.damaged() == []


def test_a_changed_mix_only_mixes_again(workplace: Any) -> None:
    workplace.run()
    changed = workplace.run("mix.per_problem=2", "mix.pick=longest")
    assert {k: v for k, v in changed.num_done.items() if v} == {"mix": changed.num_done["mix"], "publish": 2}


def test_a_corrected_reference_keeps_the_traces(workplace: Any) -> None:
    rows = workplace.problems()
    workplace.run()
    rows[0]["right"] = "B"  # was A
    workplace.write_lines("problems.jsonl", rows)
    corrected = workplace.run()
    assert corrected.num_done["sample"] == 0
    assert corrected.num_done["verify"] == 4  # the choice judge, on one problem's traces
    snapshot = Ledger.open(workplace.ledger).snapshot()
    status = snapshot.sql("""SELECT status, count(*) AS n FROM "references" GROUP BY ALL ORDER BY ALL""")
    assert status.rows() == [("superseded", 1), ("trusted", 13)]
    kept = corrected.corpus.scan("rejected").collect()
    first = kept.filter(pl.col("messages").list.first().struct.field("content") == "Which word is number 0?")
    assert first["reference"].str.contains('"value":"B"').all()


def test_conflicting_references_are_set_aside(workplace: Any) -> None:
    rows = workplace.problems()
    workplace.write_lines(
        "problems.jsonl", [*rows, {**rows[3], "key": "again"}, {**rows[4], "key": "other", "right": "D"}]
    )
    result = workplace.run()
    assert funnel(result, "problems") == {
        "source/read": 14,
        "source/conflicting_references": -2,
        "source/repeated": -1,
        "source/kept": 11,
    }


def test_bad_rows_are_counted_with_their_place(workplace: Any) -> None:
    path = workplace.folder / "problems.jsonl"
    path.write_text(
        path.read_text() + '{"key": "x"\n[1]\n{"key": "y", "question": "", "right": "A", "options": ["a"]}\n'
    )
    result = workplace.run()
    assert funnel(result, "problems")["source/bad_row"] == -3
    bad = Ledger.open(workplace.ledger).snapshot().scan("sources").collect()["bad_rows"].to_list()[0]
    assert [b.split(": ")[0] for b in bad] == ["problems.jsonl:13", "problems.jsonl:14", "problems.jsonl:15"]


def test_steps_alone_and_up_to_a_step(workplace: Any) -> None:
    with pytest.raises(UsageError, match="not in the ledger yet"):
        workplace.run(only="verify")
    assert list(workplace.run(until="sample").num_done) == ["source", "sample"]
    assert workplace.run(only="verify").num_done == {"verify": 144}
    with pytest.raises(UsageError, match="not built yet"):
        workplace.run(only="publish")
    with pytest.raises(UsageError, match="no step"):
        workplace.run(only="distil")


def test_a_plan_writes_nothing_and_knows_what_is_done(workplace: Any) -> None:
    def plans() -> dict[str, tuple[int | None, int | None]]:
        recipe = load(workplace.recipe_file)
        return {
            p.step: (p.total, p.done) for p in pipeline.plan(recipe, ledger=workplace.ledger, out=workplace.corpora)
        }

    assert plans()["sample"] == (None, None)
    assert not workplace.ledger.exists()
    workplace.run(until="sample")
    before = tree(workplace.ledger)
    assert (plans()["sample"], plans()["verify"], plans()["mix"]) == ((48, 48), (144, 0), (1, 0))
    assert tree(workplace.ledger) == before
    workplace.run()
    assert plans() == {
        "source": (1, 1),
        "sample": (48, 48),
        "verify": (144, 144),
        "filter": (3, 3),
        "mix": (1, 1),
        "publish": (1, 1),
    }


def test_workers_and_no_workers_give_the_same_corpus(workplace: Any) -> None:
    alone = workplace.run()
    pooled = workplace.run(num_workers=2, ledger=workplace.folder / "l2", out=workplace.folder / "c2")
    assert tree(alone.corpus.folder) == tree(pooled.corpus.folder)


def test_no_secret_or_path_of_the_machine_reaches_corpus_or_ledger(
    workplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_notforyoureyes")
    workplace.run()
    paths = [p for root in (workplace.ledger, workplace.corpora) for p in root.rglob("*") if p.is_file()]
    texts = {p: pl.read_parquet(p).write_json() if p.suffix == ".parquet" else p.read_text() for p in paths}
    assert any(
        "problems.jsonl" in text for path, text in texts.items() if path.suffix == ".parquet"
    )  # they are readable
    for path, text in texts.items():
        assert "hf_notforyoureyes" not in text, path
        assert str(workplace.folder) not in text, path


# -- input that changes or is odd --------------------------------------------------------------------------------------


def test_a_changed_domain_counts_whatever_the_ledger_had(workplace: Any) -> None:
    workplace.run("source.from.0.domain=general", "source.from.0.language=de")
    changed = workplace.run()
    assert set(changed.corpus.manifest["domains"]) == {"stem"}
    assert set(changed.corpus.manifest["languages"]) == {"en"}
    fresh = workplace.run(ledger=workplace.folder / "fresh", out=workplace.folder / "fresh-corpora")
    assert tree(changed.corpus.folder) == tree(fresh.corpus.folder)


def test_a_row_that_stands_twice_is_counted(workplace: Any) -> None:
    rows = workplace.problems()
    workplace.write_lines("problems.jsonl", [*rows, rows[0]])
    assert funnel(workplace.run(), "problems") == {"source/read": 13, "source/repeated": -1, "source/kept": 12}


def test_a_reference_that_only_a_later_row_has_is_used(workplace: Any) -> None:
    rows = workplace.problems()
    (workplace.folder / "prompts.jsonl").write_text((workplace.folder / "problems.jsonl").read_text())
    prompts_only = {"kind": "local", "path": "prompts.jsonl", "columns": {"prompt": "question", "id": "key"}}
    with_answers = workplace.sections["source"]["from"][0]
    workplace.write(source={"from": [{**prompts_only, "domain": "stem", "licence": "mit"}, with_answers]})
    result = workplace.run()
    assert funnel(result, "problems") == {"source/read": 24, "source/repeated": -12, "source/kept": 12}
    assert result.corpus.manifest["num_rows"] == 11
    assert len(rows) == 12


def test_a_corrected_key_finds_no_trace_of_the_wrong_one(workplace: Any) -> None:
    """Without `id` the row numbers are the keys: if those fit too, wrong completions are attached."""
    rows = [{**row, "problem": row["problem"][1:]} for row in workplace.completions()]
    workplace.write_lines("completions.jsonl", rows)
    problems = [{**row, "key": int(row["key"][1:])} for row in workplace.problems()]
    workplace.write_lines("problems.jsonl", problems[::-1])  # row 0 is problem 11
    columns = dict(workplace.sections["source"]["from"][0]["columns"])
    del columns["id"]
    source = {**workplace.sections["source"]["from"][0], "columns": columns}
    good = workplace.sections["source"]
    workplace.write(source={"from": [source]})
    wrong = workplace.run()
    workplace.write(source=good)
    right = workplace.run()
    fresh = workplace.run(ledger=workplace.folder / "fresh", out=workplace.folder / "fresh-corpora")
    assert right.num_done["sample"] > 0
    assert tree(right.corpus.folder) == tree(fresh.corpus.folder)
    assert wrong.corpus.manifest["rows_digest"] != right.corpus.manifest["rows_digest"]


def test_two_sources_with_the_same_keys_are_told_apart_or_refused(workplace: Any) -> None:
    rows = [{**row, "question": row["question"] + " Really?"} for row in workplace.problems()]
    workplace.write_lines("more.jsonl", rows)
    first = workplace.sections["source"]["from"][0]
    workplace.write(source={"from": [first, {**first, "path": "more.jsonl"}]})
    with pytest.raises(UsageError, match="belongs to both"):
        workplace.run()
    policy = {**workplace.sections["sample"]["policy"], "source": "local:problems.jsonl"}
    workplace.write(sample={"policy": policy})
    assert workplace.run().num_done["sample"] == 48


def test_one_source_twice_is_refused(workplace: Any) -> None:
    first = workplace.sections["source"]["from"][0]
    workplace.write(source={"from": [first, first]})
    with pytest.raises(UsageError, match="stands twice"):
        workplace.run()


def test_recorded_completions_that_are_not_used_are_told(workplace: Any) -> None:
    said: list[str] = []

    class Listener(pipeline.Reporter):
        def say(self, text: str) -> None:
            said.append(text)

    path = workplace.folder / "completions.jsonl"
    path.write_text(path.read_text() + '{"problem": "p99", "text": "x", "ended": "stop", "tokens": 1}\n{"torn')
    workplace.run(reporter=Listener())
    assert any(line.startswith("sample   1 recorded completions belong to no problem") for line in said)
    assert any("completions.jsonl:50" in line for line in said)
    workplace.write_lines("completions.jsonl", [{"problem": "q", "text": "x", "ended": "stop", "tokens": 1}])
    with pytest.raises(UsageError, match="none of the 1 recorded completions"):
        workplace.run()


def test_a_changed_description_changes_the_card(workplace: Any) -> None:
    first = workplace.run()
    second = workplace.run("description=Words and numbers.")
    assert second.corpus.folder != first.corpus.folder
    assert "Words and numbers." in (second.corpus.folder / "README.md").read_text()
    assert second.corpus.manifest["rows_digest"] == first.corpus.manifest["rows_digest"]


@pytest.mark.parametrize("table", ["problems", "references", "origins", "sources", "traces", "verdicts", "fates"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damage_is_named_given_up_and_made_good(workplace: Any, table: str, damage: str) -> None:
    first = workplace.run()
    expected = tree(first.corpus.folder)
    ledger = Ledger.open(workplace.ledger)
    (path,) = [ledger.root / f.path for f in ledger.snapshot().files if f.table == table][:1]
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-9])
    elif damage == "flip":
        data[len(data) // 2] ^= 8
        path.write_bytes(data)
    else:
        path.unlink()
    if damage != "flip":  # a flipped bit is found by fsck, not by every run
        with pytest.raises(LedgerError, match=path.name):
            workplace.run()
    assert f"{table}/{path.name}" in maintenance.drop_damaged(ledger)
    shutil.rmtree(workplace.corpora)
    assert tree(workplace.run().corpus.folder) == expected
    assert [f for f in maintenance.fsck(ledger) if f.is_damage] == []
    assert set(workplace.run().num_done.values()) == {0}


# -- kills -------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def kill_at(number: int) -> Any:
    count = iter(range(number + 1))

    def hook(name: str) -> None:
        if next(count, None) == number:
            raise Killed(name)

    return hook


def moments(workplace: Any) -> list[str]:
    """Return the failpoints that a run passes."""
    passed: list[str] = []
    with files.failpoints(passed.append):
        workplace.run(ledger=workplace.folder / "dry", out=workplace.folder / "dry-corpora")
    return passed


def check_every_kill(workplace: Any, numbers: Iterator[int]) -> int:
    expected = tree(workplace.folder / "dry-corpora")
    tried = 0
    for number in numbers:
        shutil.rmtree(workplace.ledger, ignore_errors=True)
        shutil.rmtree(workplace.corpora, ignore_errors=True)
        with files.failpoints(kill_at(number)), pytest.raises(Killed) as killed:
            workplace.run()
        workplace.run()
        found = {name: data for name, data in tree(workplace.corpora).items() if ".building" not in name}
        assert found == expected, killed.value
        snapshot = Ledger.open(workplace.ledger).snapshot()
        for table, rows in (("traces", 48), ("fates", 48), ("origins", 12), ("problems", 12)):
            assert snapshot.count(table) == rows, (killed.value, table)
        assert snapshot.scan("verdicts").unique(["trace_id", "judge_fingerprint"]).collect().height == 144
        tried += 1
    return tried


def test_killed_at_every_moment_it_resumes_to_the_same_bytes(workplace: Any) -> None:
    passed = moments(workplace)
    assert len(set(passed)) > 20, passed
    assert check_every_kill(workplace, iter(range(len(passed)))) == len(passed)


def test_a_full_disk_is_one_clear_error_and_the_run_goes_on_later(
    workplace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tree(workplace.run(out=workplace.folder / "dry", ledger=workplace.folder / "dry-ledger").corpus.folder)
    real = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "x" in mode and "verdicts" in str(self):
            raise OSError(28, "No space left on device")
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(LedgerError, match="the disk is full"):
        workplace.run()
    monkeypatch.undo()
    resumed = workplace.run()
    assert resumed.num_done["sample"] == 0
    assert tree(resumed.corpus.folder) == expected
