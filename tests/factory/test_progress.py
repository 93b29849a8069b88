"""Progress: rates, lines while nothing comes, servers, and nothing on stdout."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest
from rich.console import Console

from factory import progress
from factory.progress import Meter, Reporter, TerminalReporter, clock_text
from factory.records import PolicyStatus, ServerStatus


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def server(name: str, state: Any = "up", **figures: int) -> ServerStatus:
    return ServerStatus(
        name=name, state=state, **{"in_flight": 1, "limit": 8, "num_done": 5, "num_faults": 0, **figures}
    )


TWO_UP = PolicyStatus(in_flight=212, servers=(server("http://a"), server("http://b")))
ONE_DOWN = PolicyStatus(in_flight=7, servers=(server("http://a"), server("http://b", "down", num_faults=31)))


def test_rates_are_those_of_the_window_and_of_the_whole_work() -> None:
    clock = Clock()
    meter = Meter(1000, clock=clock)
    for _ in range(100):  # 10 a second with 100 tokens for a hundred seconds
        clock.now += 1
        meter.advance(10, tokens=1000, accepted=2)
    clock.now += 100  # then nothing for as long
    idle = meter.read()
    assert (idle.done, idle.tokens, idle.accepted) == (1000, 100_000, 200)
    assert idle.tokens_per_second == 0
    assert idle.tokens_per_second_overall == pytest.approx(500)
    assert idle.silent_s == 100
    for _ in range(30):
        clock.now += 1
        meter.advance(0, tokens=2000, accepted=1)
    busy = meter.read(30)
    assert busy.tokens_per_second == pytest.approx(2000, rel=0.05)
    assert busy.accepted_per_second == pytest.approx(1, rel=0.05)
    assert meter.read(60).tokens_per_second == pytest.approx(1000, rel=0.05)


def test_a_burst_counts_in_full_however_often_it_is_told() -> None:
    clock = Clock()
    meter = Meter(10, clock=clock)
    clock.now += 200
    for _ in range(50):
        clock.now += 0.01
        meter.advance(0, tokens=3)
    assert meter.read(30).tokens_per_second == pytest.approx(150 / 30)


def test_loading_a_model_is_no_sampling() -> None:
    clock = Clock()
    meter = Meter(10, clock=clock)
    clock.now += 600
    meter.watch(lambda: TWO_UP)
    clock.now += 10
    meter.advance(1, tokens=500)
    assert meter.read().tokens_per_second_overall == pytest.approx(50)
    assert meter.read().seconds == 610


@pytest.mark.parametrize(
    ("told", "status", "waited", "text"),
    [
        ({}, None, 10, ""),
        ({"note": "halfway"}, None, 10, "halfway · 10 s left"),
        ({"tokens": 38_000}, TWO_UP, 10, "3,800 tokens/s · 212 in flight · 2 servers up · 10 s left"),
        ({"tokens": 38_000}, ONE_DOWN, 10, "3,800 tokens/s · 7 in flight · 1 of 2 servers up · 10 s left"),
        ({"tokens": 40}, None, 40, "1 tokens/s overall, no result for 40 s · 40 s left"),
        ({"accepted": 50}, None, 10, "50 accepted, 5.0/s · 10 s left"),
        ({"by": 2, "tokens": 100}, None, 10, "10 tokens/s"),
    ],
)
def test_the_line(told: dict[str, Any], status: PolicyStatus | None, waited: float, text: str) -> None:
    clock = Clock()
    meter = Meter(2, clock=clock)
    if status is not None:
        meter.watch(lambda: status)
    if told:
        meter.advance(**told)
    clock.now += waited
    assert meter.read().text() == text


def test_a_status_that_fails_ends_nothing() -> None:
    def closed() -> PolicyStatus:
        raise RuntimeError("the policy is closed")

    meter = Meter(2)
    meter.watch(closed)
    assert meter.read().status == PolicyStatus()


def test_the_silent_reporter_takes_everything(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter()
    reporter.say("something")
    with reporter.task("sample", 10, "traces") as task:
        task.watch(lambda: TWO_UP)
        task.advance()
        task.advance(3, note="x", tokens=5, accepted=1)
    assert capsys.readouterr() == ("", "")


def test_lines_come_without_results(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.005)
    asked = threading.Event()
    times = iter(range(3))

    def status() -> PolicyStatus:
        if next(times, None) is None:
            asked.set()
        return ONE_DOWN

    with TerminalReporter().task("sample", 40, "traces") as task:
        task.watch(status)
        assert asked.wait(20)
        task.advance(40, tokens=4000)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) >= 3
    assert lines[0].startswith("sample   0/40 traces · 7 in flight · 1 of 2 servers up · http://b is down (31 faults)")
    assert lines[-1].startswith("sample   40/40 traces · ")
    assert "tokens/s" in lines[-1]


def test_no_line_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), TerminalReporter().task("sample", 40, "traces"):
        raise RuntimeError
    assert capsys.readouterr() == ("", "")
    assert "progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("width", [60, 140])
def test_the_bar_shows_figures_and_servers_while_it_works(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, height=30, highlight=False, color_system=None)
    with TerminalReporter(console).task("sample", 40, "traces") as task:
        task.watch(lambda: ONE_DOWN)
        task.advance(20, tokens=1000)
        console.print("between")
    shown = file.getvalue()
    assert "20/40 traces" in shown
    assert "7 in flight · 1 of 2" in shown
    rows = [line.split() for line in shown.splitlines() if "http://b" in line]
    assert rows
    assert rows[0] == ["http://b", "down", "1", "8", "5", "31"]


def test_many_servers_take_few_lines_those_in_trouble_first() -> None:
    servers = tuple(server(f"http://s{i}", "down" if i == 40 else "up") for i in range(50))
    console = Console(file=io.StringIO(), width=100)
    console.print(progress.servers_table(servers, most=4))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "http://s40" in text
    assert "and 46 more" in text
    assert text.count("http://") == 4


def test_what_a_server_calls_itself_cannot_steer_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(progress.servers_table((server("http://\x1b[2Jx[red]"),)))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "[red]" in text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (75, "75 s"), (600, "10 min"), (7200, "2.0 h")])
def test_times(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
