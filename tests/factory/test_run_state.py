"""The state of runs: the living and the dead are told apart, and a file that cannot be written ends no run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from factory import run_state
from factory.cli.main import call
from factory.errors import PolicyError
from factory.ledger import Ledger
from factory.progress import Reporter
from factory.records import PolicyStatus, ServerStatus
from factory.run_state import KEPT_RUNS, error_text, read_runs, recording

SERVER = ServerStatus(name="http://a", state="up", in_flight=3, limit=8, num_done=5, num_faults=1)


def only(ledger: Path) -> Any:
    (run,) = read_runs(ledger)
    return run


def test_a_living_run_and_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "WRITE_SECONDS", 0.01)
    with recording(tmp_path, recipe="tiny", reporter=Reporter()) as reporter:
        with reporter.task("source", 4, "rows") as task:
            task.advance(4)
        with reporter.task("sample", 40, "traces") as task:
            task.watch(lambda: PolicyStatus(in_flight=3, servers=(SERVER,)))
            task.advance(10, tokens=500, accepted=2)
            deadline = time.monotonic() + 20
            while not only(tmp_path).reading.done and time.monotonic() < deadline:
                time.sleep(0.01)
            run = only(tmp_path)
            assert (run.recipe, run.alive, run.outcome, run.pid) == ("tiny", True, None, os.getpid())
            assert (run.step, run.unit, run.finished) == ("sample", "traces", {"source": 4})
            assert (run.reading.done, run.reading.total, run.reading.tokens, run.reading.accepted) == (10, 40, 500, 2)
            assert run.reading.status == PolicyStatus(in_flight=3, servers=(SERVER,))
            assert run.as_json()["servers"][0]["name"] == "http://a"
    run = only(tmp_path)
    assert (run.alive, run.outcome, run.finished, run.reading) == (False, "done", {"source": 4, "sample": 10}, None)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (PolicyError("the engine died", hint="look at its log"), "failed", "the engine died"),
        (ValueError("bad\nthing"), "failed", "ValueError: bad thing"),
        (KeyboardInterrupt(), "interrupted", ""),
        (SystemExit(3), "interrupted", ""),
    ],
)
def test_a_run_that_ends_early_says_where(tmp_path: Path, error: BaseException, outcome: str, message: str) -> None:
    with (
        pytest.raises(type(error)),
        recording(tmp_path, recipe="tiny", reporter=Reporter()) as reporter,
        reporter.task("sample", 40, "traces") as task,
    ):
        task.advance(7)
        raise error
    run = only(tmp_path)
    assert (run.alive, run.outcome, run.message) == (False, outcome, message)
    assert (run.step, run.reading.done, run.reading.total) == ("sample", 7, 40)


def test_an_error_carries_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-value")
    text = error_text(PolicyError("http://me:pass@host/v1 refused sk-very-secret-value"))
    assert text == "http://host/v1 refused ***"


def test_a_killed_run_is_dead(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from factory.progress import Reporter
from factory.run_state import recording
with recording(Path(sys.argv[1]), recipe="tiny", reporter=Reporter()) as reporter, reporter.task("sample", 9, "traces"):
    print("on", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        assert only(tmp_path).alive
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()  # type: ignore[union-attr]
    run = only(tmp_path)
    assert (run.alive, run.outcome, run.step) == (False, None, "sample")


@pytest.mark.parametrize(("age", "alive"), [(5, True), (3600, False)])
def test_a_run_of_another_machine_goes_by_the_age_of_its_file(tmp_path: Path, age: float, alive: bool) -> None:
    with recording(tmp_path, recipe="tiny", reporter=Reporter()):
        pass
    (path,) = (tmp_path / "runs").glob("*.json")
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"host": "elsewhere", "outcome": None, "updated_at": time.time() - age}))
    assert only(tmp_path).alive is alive


def test_the_last_runs_are_kept_and_damaged_files_left_out(tmp_path: Path) -> None:
    with recording(tmp_path, recipe="first", reporter=Reporter()):
        for number in range(KEPT_RUNS + 5):
            with recording(tmp_path, recipe=f"r{number}", reporter=Reporter()):
                pass
    names = [run.recipe for run in read_runs(tmp_path)]
    assert names[0] == "first"  # it lives on while the others come and go
    assert names[1:] == [f"r{number}" for number in range(5, KEPT_RUNS + 5)]
    (tmp_path / "runs" / "20200101T000000.000000-1.json").write_text('{"recipe": ')
    (tmp_path / "runs" / "20200101T000000.000001-1.json").write_text("[]")
    assert len(read_runs(tmp_path)) == len(names)
    assert read_runs(tmp_path / "nowhere") == []


def test_a_disk_that_refuses_costs_the_file_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").write_text("in the way")
    with (
        recording(tmp_path, recipe="tiny", reporter=Reporter()) as reporter,
        reporter.task("sample", 1, "traces") as task,
    ):
        task.advance()
    assert read_runs(tmp_path) == []

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(Path, "replace", full)
    with recording(other, recipe="tiny", reporter=Reporter()):
        pass
    assert [path.suffix for path in (other / "runs").iterdir()] == [".lock"]


def test_status_from_another_shell(workplace: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run_state, "WRITE_SECONDS", 0.01)
    workplace.run(until="sample")
    workplace.run()

    def out(*arguments: str) -> str:
        assert call(["status", "--ledger", str(workplace.ledger), *arguments]) == 0
        return capsys.readouterr().out

    facts = json.loads(out("--json"))
    assert facts["rows"]["traces"] == 48
    assert [(run["recipe"], run["outcome"], run["alive"]) for run in facts["runs"]] == [("tiny", "done", False)]
    assert facts["runs"][0]["finished"] == {"verify": 144}
    with (
        recording(workplace.ledger, recipe="next", reporter=Reporter()) as reporter,
        reporter.task("sample", 40, "traces") as task,
    ):
        task.watch(lambda: PolicyStatus(in_flight=3, servers=(SERVER,)))
        task.advance(10, tokens=500)
        file = max((workplace.ledger / "runs").glob("*.json"))
        deadline = time.monotonic() + 20
        while '"done": 10' not in file.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        living = out()
    assert "next runs for" in living
    assert "10/40 traces  25%" in living
    assert "http://a" in living
    assert "tiny ended" in living
    assert "traces      48" in living
    with (
        pytest.raises(KeyboardInterrupt),
        recording(workplace.ledger, recipe="third", reporter=Reporter()) as reporter,
        reporter.task("sample", 40, "traces"),
    ):
        raise KeyboardInterrupt
    assert "third was interrupted" in (text := out())
    assert "the same command goes on" in text
    assert "tiny" not in text


def test_a_folder_with_runs_alone_may_become_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    assert Ledger.open(tmp_path, create=True).snapshot().count("traces") == 0
