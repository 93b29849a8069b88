"""`factory judge`: an interrupted output is gone on with, and nothing else is mixed into it."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from factory.cli.main import call
from verifiers import Format

THOUGHT = "<think>so</think> "


def write(path: Path, count: int, **more: Any) -> list[dict[str, Any]]:
    rows = [
        {"id": f"r{n}", "completion": f"{THOUGHT * (n % 3)}\\boxed{{{n % 3}}}", "reference": str(n % 2), **more}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def outcomes(path: Path) -> list[tuple[str, str]]:
    return [(row["id"], row["outcome"]) for row in map(json.loads, path.read_text().splitlines())]


def bulk(folder: Path, *more: str, kind: str = "format") -> int:
    files = ["--input", str(folder / "in.jsonl"), "--output", str(folder / "out.jsonl"), "--workers", "1"]
    return call(["judge", kind, *files, *more])


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Path, list[tuple[str, str]]]:
    """A folder with an input of thirty lines and its whole output."""
    write(tmp_path / "in.jsonl", 30)
    assert bulk(tmp_path) == 0
    return tmp_path, outcomes(tmp_path / "out.jsonl")


def cut(folder: Path, num_rows: int, torn: str = "") -> None:
    """Leave what a run leaves that was killed after so many rows."""
    lines = (folder / "out.jsonl").read_text().splitlines(keepends=True)
    (folder / "out.jsonl.partial").write_text("".join(lines[:num_rows]) + torn)
    (folder / "out.jsonl").unlink()


@pytest.mark.parametrize(("num_rows", "torn"), [(0, '{"id'), (1, ""), (17, '{"id": "r17", "ou'), (30, "")])
def test_a_killed_run_is_gone_on_with(judged: Any, num_rows: int, torn: str) -> None:
    folder, whole = judged
    kept = (folder / "out.jsonl").read_text().splitlines()[:num_rows]
    cut(folder, num_rows, torn)
    assert bulk(folder) == 0
    assert outcomes(folder / "out.jsonl") == whole
    assert (folder / "out.jsonl").read_text().splitlines()[:num_rows] == kept  # seconds and all: not judged again
    assert sorted(path.name for path in folder.iterdir()) == ["in.jsonl", "out.jsonl", "out.jsonl.judge.json"]


def test_what_is_complete_is_left_alone(judged: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = judged
    before = (folder / "out.jsonl").read_bytes()
    assert bulk(folder) == 0
    assert "is complete; nothing to do" in capsys.readouterr().err
    assert (folder / "out.jsonl").read_bytes() == before
    mark = json.loads((folder / "out.jsonl.judge.json").read_text())
    assert mark["judge"] == {"kind": "format", "version": Format.version}
    assert mark["input"]["lines"] == 30


def test_what_another_judge_or_input_made_is_not_gone_on_with(
    judged: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, whole = judged

    def refused(*more: str, kind: str = "format") -> str:
        assert bulk(folder, *more, kind=kind) == 2
        return capsys.readouterr().err

    for name in ("out.jsonl", "out.jsonl.partial"):
        assert f"{name}: was judged by" in refused(kind="repetition")
        with monkeypatch.context() as patch:
            patch.setattr(Format, "version", 99)
            assert '"version": 99' in refused()
        text = (folder / "in.jsonl").read_text()
        write(folder / "in.jsonl", 30, prompt="another")
        assert "verdicts on another input" in refused()
        (folder / "in.jsonl").write_text(text)
        if name == "out.jsonl":
            cut(folder, 10)
    assert "--overwrite" in refused(kind="repetition")
    (folder / "out.jsonl.judge.json").unlink()
    assert "no out.jsonl.judge.json says who judged it" in refused()
    assert bulk(folder, "--overwrite", kind="repetition") == 0
    assert [name for name, _ in outcomes(folder / "out.jsonl")] == [name for name, _ in whole]
    (folder / "out.jsonl").write_text("my own notes")
    (folder / "out.jsonl.judge.json").unlink()
    refused()
    assert (folder / "out.jsonl").read_text() == "my own notes"


def test_a_damaged_output_is_told_with_its_line(judged: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = judged
    cut(folder, 3, "no row\n")
    assert bulk(folder) == 2
    assert "out.jsonl.partial:4: is no row" in capsys.readouterr().err


def test_standard_input_is_held_against_the_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def piped(text: str) -> int:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return call(["judge", "format", "--output", str(tmp_path / "out.jsonl"), "--workers", "1"])

    write(tmp_path / "in.jsonl", 12)
    text = (tmp_path / "in.jsonl").read_text()
    assert piped(text) == 0
    whole = outcomes(tmp_path / "out.jsonl")
    assert piped(text) == 2
    assert "standard input may hold anything" in capsys.readouterr().err
    cut(tmp_path, 5)
    assert piped(text.replace('"r3"', '"other"')) == 2
    assert "-:4: row 4 of the output is not about this line" in capsys.readouterr().err
    assert piped(text) == 0
    assert outcomes(tmp_path / "out.jsonl") == whole


def test_bad_lines_are_counted_also_those_of_the_run_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in.jsonl", 20)
    lines = (tmp_path / "in.jsonl").read_text().splitlines()
    lines[2], lines[15] = "{torn", '{"id": "r15", "completion": 3, "reference": "4", "prompt": [3]}'
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    for resumed in (False, True, None):
        if resumed:
            cut(tmp_path, 10)
        assert bulk(tmp_path) == 1
        said = capsys.readouterr().err
        assert f"2 lines could not be judged, the first at {tmp_path / 'in.jsonl'}:3" in said
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [n for n, row in enumerate(rows, 1) if row["outcome"] == "unknown"] == [3, 16]
    assert rows[15]["reason"] == "line 16: `completion` is missing or no text"


WRONG = [
    ("problem,answer\n", [], "in.jsonl:1: the line is no JSON object"),
    ("\x1f\x8b\x08\x00", [], "in.jsonl:1: the line is no JSON object"),
    ('{"id": 1, "text": "4", "reference": "4"}\n', [], "in.jsonl:1: `completion` is missing; there are: id, text"),
    ('{"id": 1, "completion": "4"}\n', [], "in.jsonl:1: `reference` is missing; there are: id, completion"),
    ('{"id": 1, "completion": "4", "reference": "4"}\n', ["--set", "of=[{kind: choice}]"], "fields of math_answer"),
]


@pytest.mark.parametrize(("text", "more", "said"), WRONG)
def test_a_wrong_input_is_told_before_anything_is_written(
    text: str, more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text(text)
    assert bulk(tmp_path, *more, kind="math_answer") == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_composed_judges_take_their_parts_as_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "in.jsonl", 6)
    assert bulk(tmp_path, "--set", "of=[{kind: format}, {kind: math_answer}]", kind="all") == 0
    assert [row["id"] for row in rows] == [name for name, _ in outcomes(tmp_path / "out.jsonl")]
    assert {outcome for _, outcome in outcomes(tmp_path / "out.jsonl")} == {"pass", "fail"}
    assert call(["judge", "all", "--set", "of=[{kind: language}]", "--input", str(tmp_path / "in.jsonl")]) == 2
    assert "language only measures" in capsys.readouterr().err


def test_an_empty_input_gives_an_empty_output(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("")
    assert bulk(tmp_path) == 0
    assert (tmp_path / "out.jsonl").read_text() == ""


def started(folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from factory.cli import main; main()", "judge", "format", "--workers", "1"]
    files = ["--input", str(folder / "in.jsonl"), "--output", str(folder / "out.jsonl")]
    return subprocess.Popen([*command, *files], **options)


def test_an_interrupt_leaves_what_the_same_command_goes_on_with(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", 60_000)
    partial = tmp_path / "out.jsonl.partial"
    process = started(tmp_path, stderr=subprocess.PIPE, start_new_session=True)
    with process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size > 1000):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"the same command goes on from there" in said
    num_rows = partial.read_text().count("\n")
    assert 0 < num_rows < 60_000
    assert not (tmp_path / "out.jsonl").exists()
    write(tmp_path / "in.jsonl", num_rows + 5)  # the rest would take a while; say that the input was this one
    mark = json.loads((tmp_path / "out.jsonl.judge.json").read_text())
    from factory.cli.judged_file import facts_of

    facts = facts_of(str(tmp_path / "in.jsonl"))
    assert facts is not None
    mark["input"] = {"lines": facts.num_lines, "blake2b": facts.digest}
    (tmp_path / "out.jsonl.judge.json").write_text(json.dumps(mark))
    assert bulk(tmp_path) == 0
    assert [name for name, _ in outcomes(tmp_path / "out.jsonl")] == [f"r{n}" for n in range(num_rows + 5)]


def test_two_commands_do_not_write_one_output(judged: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import fcntl

    folder, _ = judged
    cut(folder, 3)
    with (folder / "out.jsonl.partial").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert bulk(folder) == 2
    assert "another command is writing it" in capsys.readouterr().err
    assert bulk(folder) == 0


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", 50)
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                data = os.read(ours, 1 << 12)
            except OSError:  # the other end is closed
                return
            shown.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    process = started(tmp_path, stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    with process:
        assert process.communicate(timeout=60)[0] == b""
    reader.join(30)
    os.close(ours)
    assert process.returncode == 0
    assert b"50/50 lines" in shown
    assert b"pass" in shown
    (tmp_path / "out.jsonl").unlink()
    with started(tmp_path, stderr=subprocess.PIPE) as quiet:
        assert quiet.communicate(timeout=60)[1] == b""


def test_neither_the_input_nor_a_device_is_ever_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    write(source, 3)
    before = source.read_bytes()
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(source)
    for output in (source, pipe, link):
        assert call(["judge", "format", "--input", str(source), "--output", str(output), "--overwrite"]) == 2
        assert "hint:" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert pipe.is_fifo()
    assert link.is_symlink()
