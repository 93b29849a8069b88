"""A recipe on servers with faults: every slot is stored once or set aside with its class, and the funnel adds up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from factory.ledger import Ledger

pytest.importorskip("aiohttp", reason="the extra `server` is not installed")

from factory.testing.mock_server import Faults, MockBehaviour, running, serving

KEY = "sk-very-secret-0123456789"


def policy(*urls: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "server", "model": MockBehaviour().model, "urls": list(urls), **changes}


def sample(*urls: str, **changes: Any) -> dict[str, Any]:
    return {"policy": policy(*urls, **changes), "group_size": 8, "max_tokens": 300}


def snapshot(workplace: Any) -> Any:
    return Ledger.open(workplace.ledger).snapshot()


def test_faults_of_every_class_lose_and_double_nothing(workplace) -> None:
    faults = Faults(
        rate_limited=0.03,
        server_error=0.03,
        reset=0.03,
        truncated_json=0.03,
        malformed_json=0.03,
        empty=0.02,
        content_filter=0.05,
        loop=0.05,
        length=0.05,
    )
    behaviour = MockBehaviour(faults=faults, always_fail=0.05, retry_after=0.0)
    with serving(behaviour) as first, serving(behaviour) as second:
        workplace.write(sample=sample(first.url, second.url, price_per_million={"prompt": 1, "completion": 2}))
        result = workplace.run()
        assert result.num_done["sample"] == 96
        again = workplace.run()
    assert again.num_done["sample"] == 0
    now = snapshot(workplace)
    stored, failed = now.scan("traces").collect(), now.scan("failures").collect()
    assert stored.height == stored.unique("trace_id").height
    assert not set(stored["trace_id"]) & set(failed["trace_id"])
    assert stored.height + failed.height == 96
    assert failed.filter(pl.col("class") == "content_filter")["attempts"].unique().to_list() == [1]
    others = failed.filter(pl.col("class") != "content_filter")
    assert not others.is_empty(), "some slots fail on every attempt"
    assert (others["attempts"] == 5).all()
    assert {"stop", "loop", "length"} <= set(stored["finish_reason"])
    timings = now.scan("timings").filter(pl.col("judge_fingerprint").is_null()).collect()
    assert set(timings["host"]) == {first.url, second.url}, "both had work"
    assert (timings["cost"] > 0).all()
    assert timings["engine"].str.contains("vllm").all()
    lines = result.funnels[1].lines
    assert sum(-n for _, label, n in lines if label.startswith("failed: ")) == failed.height


def test_the_key_is_in_no_file_and_no_output(workplace, monkeypatch) -> None:
    monkeypatch.setenv("MOCK_KEY", KEY)
    faults = Faults(server_error=0.1, content_filter=0.1)
    with serving(MockBehaviour(dialect="openai", api_key=KEY, faults=faults, retry_after=0.0)) as server:
        workplace.write(sample=sample(server.url, api_key_env="MOCK_KEY"))
        command = [str(Path(sys.executable).with_name("factory")), "run", str(workplace.recipe_file), "--workers", "0"]
        done = subprocess.run(command, cwd=workplace.folder, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        monkeypatch.setenv("MOCK_KEY", "sk-another-key-9876543210")
        wrong = subprocess.run(
            [*command, "--set", "sample.temperature=0.5"],
            cwd=workplace.folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert wrong.returncode == 1
    assert "key" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    said = done.stdout + done.stderr + wrong.stdout + wrong.stderr
    assert KEY not in said
    assert "sk-another-key-9876543210" not in said
    assert snapshot(workplace).count("traces") > 50
    for path in workplace.folder.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
    for table in ("traces", "failures", "policies", "timings"):
        assert KEY not in json.dumps(snapshot(workplace).scan(table).collect().to_dicts(), default=str)


def test_a_server_that_dies_in_the_middle_costs_nothing_but_time(workplace) -> None:
    slow = ["--token-seconds", "0.003"]
    with running(slow) as first, running(slow) as second:
        workplace.write(sample={**sample(first.url, second.url), "group_size": 40})
        threading.Timer(0.5, second.stop).start()
        result = workplace.run(until="sample")
    assert result.num_done["sample"] == 480
    now = snapshot(workplace)
    assert now.count("traces") == now.slots().collect().height == 480
    assert now.count("failures") == 0


def test_when_no_server_answers_the_run_ends_and_records_nothing(workplace) -> None:
    with serving(MockBehaviour()) as server:
        url = server.url
    workplace.write(sample=sample(url, outage_s=1))
    command = [str(Path(sys.executable).with_name("factory")), "run", str(workplace.recipe_file), "--workers", "0"]
    done = subprocess.run(command, cwd=workplace.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert url in done.stderr
    assert snapshot(workplace).count("failures") == 0
    with serving(MockBehaviour(), port=int(url.rsplit(":", 1)[1].split("/")[0])):
        assert workplace.run(until="sample").num_done["sample"] == 96
