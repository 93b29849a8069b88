"""The command line: data on stdout, words on stderr, exit codes, Ctrl-C and kills."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from factory.cli.main import call
from factory.corpus import Corpus
from verifiers import Choice


def factory(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from factory.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def run_command(workplace: Any, *more: Any) -> list[Any]:
    return ["run", workplace.recipe_file, "--ledger", workplace.ledger, "--out", workplace.corpora, *more]


def test_run_prints_the_corpus_path_and_nothing_else_on_stdout(workplace: Any) -> None:
    done = factory(*run_command(workplace, "--workers", "1"))
    assert done.returncode == 0, done.stderr
    (corpus,) = (workplace.corpora / "tiny").iterdir()
    assert done.stdout == f"{corpus}\n"
    assert "requested" in done.stderr
    assert f"next: factory show {corpus}" in done.stderr
    again = factory(*run_command(workplace, "--json"))
    assert "nothing to do" in again.stderr
    assert json.loads(again.stdout)["corpus"] == str(corpus)
    assert set(json.loads(again.stdout)["done"].values()) == {0}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, ""),
        (["run"], 2, "--recipe requires an argument"),
        (["run", "nothing.yaml"], 2, "nothing.yaml"),
        (["fly"], 2, "fly"),
        (["run", "x.yaml", "--nonsense"], 2, ""),
        (["judge", "astrology"], 2, "judges: math_answer"),
        (["judge", "format", "--set", "colour=red"], 2, "fields of format"),
        (["judge", "format", "--input", "none.jsonl"], 2, "none.jsonl"),
        (["show", "nowhere"], 2, "no manifest.json"),
        (["sql", "SELECT 1", "--ledger", "nowhere"], 2, "there is no ledger"),
        (["ledger", "forget"], 2, "--source or --trace"),
        (["init", "none.jsonl"], 2, "there is no file"),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(arguments) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert (captured.out == "") == (code != 0)
    assert "Traceback" not in captured.err


def test_looking_at_a_corpus_and_a_ledger(workplace: Any, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = workplace.run().corpus
    rejected = corpus.scan("rejected").filter(rule="rejected").collect().row(0, named=True)
    ledger = ["--ledger", str(workplace.ledger)]

    def out(*arguments: str) -> str:
        assert call(arguments) == 0
        return capsys.readouterr().out

    assert "dropped by filter/rejected" in out("explain", rejected["trace_id"][:10], *ledger)
    assert f"choice v{Choice.version}: fail" in out("explain", rejected["trace_id"], *ledger)
    assert json.loads(out("explain", rejected["trace_id"], "--json", *ledger))["fates"][0]["rule"] == "rejected"
    assert "[assistant] <think>" in out("show", str(corpus.folder), "--rows", "1")
    assert "requested" in out("funnel", str(corpus.folder))
    assert json.loads(out("stats", str(corpus.folder), "--json"))["num_rows"] == 11
    assert str(corpus.folder) in out("list", str(workplace.corpora))
    assert out("sql", "SELECT count(*) AS n FROM traces", *ledger) == "n\n48\n"
    assert json.loads(out("status", "--json", *ledger))["rows"]["verdicts"] == 144
    assert out("card", str(corpus.folder), "--licence", "mit").startswith("---\n")
    assert call(["publish", str(corpus.folder), "--to", "me/tiny"]) == 0
    assert "manifest.json" in capsys.readouterr().out
    assert call(["ledger", "compact", *ledger]) == call(["ledger", "fsck", *ledger]) == 0
    capsys.readouterr()
    assert call(["ledger", "forget", "--source", "local:problems.jsonl", *ledger]) == 0
    assert corpus.manifest["fingerprint"] in capsys.readouterr().out
    assert out("sql", "SELECT count(*) AS n FROM traces", *ledger) == "n\n0\n"


def test_judging_in_bulk_answers_every_line_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"id": "right", "completion": "The answer is \\boxed{4}.", "reference": "4"},
        {"id": 2, "completion": "\\boxed{5}", "reference": {"kind": "answer", "value": "4"}},
        {"id": "no text"},
        ["no object"],
        {"id": "again", "completion": "A: 4", "reference": "4"},
        {"id": "unreadable", "completion": "4", "reference": {"kind": "astrology"}},
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(map(json.dumps, lines)) + "\n{torn")
    assert call(["judge", "math_answer", "--input", str(source), "--output", str(target), "--workers", "1"]) == 1
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(r["id"], r["outcome"]) for r in rows] == [
        ("right", "pass"),
        (2, "fail"),
        ("no text", "unknown"),
        (None, "unknown"),
        ("again", "pass"),
        ("unreadable", "unknown"),
        (None, "unknown"),
    ]
    assert rows[2]["reason"].startswith("line 3: ")
    assert rows[6]["reason"].startswith("line 7: ")
    assert set(rows[0]) == {"id", "outcome", "score", "extracted", "reason", "seconds"}
    assert "4 lines could not be judged" in capsys.readouterr().err


def test_init_writes_a_recipe_that_runs(tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The first hour of a user with completions of their own."""
    rows = [
        {
            "question": f"What is {i} plus {i}?",
            "answer": str(2 * i),
            "response": f"It is \\boxed{{{2 * i + j}}}.",
            "model": "m",
        }
        for i in range(9)
        for j in range(2)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n")
    monkeypatch.chdir(tmp_path)
    assert call(["init", "mine.jsonl"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "mine.yaml\n"
    assert "mine.jsonl:19" in captured.err
    assert call(["init", "mine.jsonl"]) == 2  # never overwrites
    assert call(["run", "mine.yaml", "--workers", "1"]) == 0
    corpus = capsys.readouterr().out.strip()
    assert json.loads((Path(corpus) / "manifest.json").read_text())["num_rows"] == 9
    assert call(["publish", corpus, "--to", "me/mine"]) == 2  # its licence is unknown
    assert "licence of local:mine.jsonl is unknown" in capsys.readouterr().err


def chat(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


SHAPES = {
    "plain": lambda i: {"prompt": f"{i}+1?", "answer": str(i + 1), "response": f"\\boxed{{{i + 1}}}"},
    "openr1": lambda i: {
        "problem": f"{i}+1?",
        "answer": str(i + 1),
        "generations": [f"<think>a</think>\\boxed{{{i + 1}}}", "<think>b</think>\\boxed{0}"],
        "finish_reasons": ["stop", None],
        "messages": chat(f"{i}+1?", "…"),
    },
    "messages": lambda i: {"messages": chat(f"{i}+1?", f"\\boxed{{{i + 1}}}"), "answer": str(i + 1)},
    "sharegpt": lambda i: {
        "conversations": [{"from": "human", "value": f"{i}+1?"}, {"from": "gpt", "value": f"\\boxed{{{i + 1}}}"}],
        "answer": str(i + 1),
    },
    "chinese": lambda i: {"question": f"{i}加1等于几？", "answer": str(i + 1), "output": f"答案是{i + 1}。"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("extension", ["jsonl", "parquet"])
def test_init_understands_the_shapes_of_the_wild(
    shape: str, extension: str, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [SHAPES[shape](i) for i in range(5)]
    if extension == "jsonl":
        Path("mine.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        pl.DataFrame(rows).write_parquet("mine.parquet")
    assert call(["init", f"mine.{extension}"]) == 0
    capsys.readouterr()
    assert call(["run", "mine.yaml", "--workers", "0", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    corpus = Corpus.open(result["corpus"])
    assert corpus.manifest["num_rows"] == 5
    assert corpus.scan().collect()["answer"].str.contains(r"\d").all()
    assert result["done"]["sample"] == (10 if shape == "openr1" else 5)


def test_init_sees_a_prefilled_think_and_solutions_as_references(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """Completions of an R1 template, and GSM8K's own answers."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "question": f"{i}+1?",
            "answer": f"{i} and one more.\n#### {i + 1}",
            "response": f"easy</think>\\boxed{{{i + 1}}}",
        }
        for i in range(4)
    ]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call(["init", "mine.jsonl"]) == 0
    text = Path("mine.yaml").read_text().replace("# - {kind: format}", "- {kind: format}")
    Path("mine.yaml").write_text(text.replace("by: [math_answer]", "by: [math_answer, format]"))
    capsys.readouterr()
    assert call(["run", "mine.yaml", "--workers", "0"]) == 0
    corpus = Corpus.open(capsys.readouterr().out.strip())
    assert corpus.manifest["num_rows"] == 4
    assert corpus.scan().collect()["reasoning"].to_list()[0].strip() == "easy"


def test_a_run_that_keeps_nothing_says_so_and_fails(workplace: Any, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.write(filter=[{"kind": "repetition", "max_repeats": 1}, {"kind": "rejected", "by": ["choice"]}])
    workplace.write_lines("completions.jsonl", [{"problem": "p0", "text": "No idea.", "ended": "stop", "tokens": 2}])
    assert call([*map(str, run_command(workplace, "--workers", "0"))]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nothing passed, so no corpus is written; most often rejected: choice: fail" in captured.err


def test_init_on_prompts_alone_and_on_a_file_it_cannot_read(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.csv").write_text("id,problem,solution\n1,What is 1+1?,2\n")
    assert call(["init", "prompts.csv"]) == 0
    assert "kind: auto" in (tmp_path / "prompts.yaml").read_text()
    from factory.recipe import load

    recipe = load(tmp_path / "prompts.yaml")
    assert recipe.sample is not None
    (tmp_path / "odd.jsonl").write_text('{"colour": "red"}\n')
    assert call(["init", "odd.jsonl"]) == 2
    (tmp_path / "odd.doc").write_text("x")
    assert call(["init", "odd.doc"]) == 2


def test_ctrl_c_exits_130_and_the_same_command_goes_on(workplace: Any) -> None:
    command = [sys.executable, "-c", SLOW, *map(str, run_command(workplace, "--workers", "1"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "appended" in line:
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert factory(*run_command(workplace, "--workers", "0")).returncode == 0


SLOW = """
import sys, time
from factory.ledger import files
def hook(name):
    if name.startswith("appended"):
        print(name, file=sys.stderr, flush=True)
    time.sleep(0.05)
with files.failpoints(hook):
    from factory.cli import main
    main()
"""


def kill_and_resume(workplace: Any, moments: list[float], *options: Any) -> dict[str, bytes]:
    """Kill a run at random moments, one after another, then let it finish."""
    for moment in moments:
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, *map(str, run_command(workplace, *options))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        process.stderr.readline()  # it has begun
        time.sleep(moment)
        process.kill()
        process.wait()
        process.stderr.close()
    done = factory(*run_command(workplace, *options))
    assert done.returncode == 0, done.stderr
    corpus = Path(done.stdout.strip())
    return {p.name: p.read_bytes() for p in corpus.rglob("*") if p.is_file()}


def test_killed_three_times_it_ends_with_the_same_bytes(workplace: Any) -> None:
    clean = workplace.run(ledger=workplace.folder / "l2", out=workplace.folder / "c2").corpus.folder
    expected = {p.name: p.read_bytes() for p in clean.rglob("*") if p.is_file()}
    assert kill_and_resume(workplace, [0.2, 1.0, 0.6], "--workers", "0") == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_at_twenty_random_moments_it_ends_with_the_same_bytes(workplace: Any, seed: int) -> None:
    clean = workplace.run(ledger=workplace.folder / "l2", out=workplace.folder / "c2").corpus.folder
    expected = {p.name: p.read_bytes() for p in clean.rglob("*") if p.is_file()}
    moments = [random.Random(seed * 100 + i).uniform(0.0, 1.6) for i in range(4)]
    assert kill_and_resume(workplace, moments, "--workers", str(seed % 2)) == expected


def test_two_runs_at_once_do_not_harm_each_other(workplace: Any) -> None:
    clean = workplace.run(ledger=workplace.folder / "l2", out=workplace.folder / "c2").corpus.folder
    command = [sys.executable, "-c", SLOW, *map(str, run_command(workplace, "--workers", "0"))]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = []
    for process in pair:
        data, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        outputs.append(data)
    assert outputs[0] == outputs[1]
    found = {p.name: p.read_bytes() for p in Path(outputs[0].strip()).rglob("*") if p.is_file()}
    assert found == {p.name: p.read_bytes() for p in clean.rglob("*") if p.is_file()}
    from factory.ledger import Ledger

    assert Ledger.open(workplace.ledger).snapshot().count("traces") == 48
