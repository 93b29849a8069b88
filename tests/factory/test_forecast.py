"""The forecast: model sizes, the formula against published figures, tokens and speed from the ledger's own past."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from factory.cli.main import call
from factory.errors import PolicyError, UsageError
from factory.forecast import R1_TOKENS, SampleForecast, Work, duration, forecast, forecast_note
from factory.hardware import GPUS, ModelShape, engine_speed, find_gpu, smallest_fit
from factory.ledger import Ledger
from factory.machine import ForecastOptions
from factory.model_shape import model_shape, read_shape
from factory.past import MIN_TRACES, busy_seconds
from factory.policy import model_files
from factory.policy.launched import LaunchOptions
from factory.policy.server import ServerPolicyConfig

QWEN3 = {"vocab_size": 151936, "head_dim": 128, "num_key_value_heads": 8}
SMOL = {"vocab_size": 49152, "tie_word_embeddings": True}


def dense(hidden: int, layers: int, heads: int, mlp: int, **more: Any) -> dict[str, Any]:
    shape = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {**shape, "intermediate_size": mlp, **more}


# Output tokens per second and GPU of vLLM 0.15 on H100 80GB, 256 completions at once: huggingface/datatrove,
# examples/inference/benchmark/README.md. Model shapes: the models' config.json.
PUBLISHED = [
    ("SmolLM2-135M", dense(576, 30, 9, 1536, num_key_value_heads=3, **SMOL), 1, 28391),
    ("SmolLM2-360M", dense(960, 32, 15, 2560, num_key_value_heads=5, **SMOL), 1, 17887),
    ("SmolLM2-1.7B", dense(2048, 24, 32, 8192, num_key_value_heads=32, **SMOL), 1, 5255),
    ("Qwen3-0.6B", dense(1024, 28, 16, 3072, **QWEN3, tie_word_embeddings=True), 1, 13527),
    ("Qwen3-1.7B", dense(2048, 28, 16, 6144, **QWEN3, tie_word_embeddings=True), 1, 11710),
    ("Qwen3-4B", dense(2560, 36, 32, 9728, **QWEN3, tie_word_embeddings=True), 1, 7919),
    ("Qwen3-8B", dense(4096, 36, 32, 12288, **QWEN3), 1, 6338),
    ("Qwen3-14B", dense(5120, 40, 40, 17408, **QWEN3), 1, 4414),
    ("Qwen3-32B", dense(5120, 64, 64, 25600, **QWEN3), 4, 1987),
]


@pytest.mark.parametrize(("name", "config", "num_gpus", "measured"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_the_formula_against_published_figures(
    name: str, config: dict[str, Any], num_gpus: int, measured: float
) -> None:
    shape = read_shape(config, origin="")
    assert shape is not None
    named = float(name.split("-")[1][:-1]) * (1e6 if name.endswith("M") else 1e9)
    assert shape.num_parameters == pytest.approx(named, rel=0.07)
    speed = engine_speed(shape, GPUS["h100"], num_gpus=num_gpus, context=1500, max_num_seqs=256)
    assert speed is not None
    assert 1 / 1.3 < speed.tokens_per_second / num_gpus / measured < 1.3


def test_a_mixture_of_experts_against_a_published_figure() -> None:
    config = dense(2048, 48, 32, 6144, vocab_size=151936, head_dim=128, num_key_value_heads=4)
    shape = read_shape(config | {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}, origin="")
    assert shape is not None
    assert (shape.num_parameters / 1e9, shape.num_active / 1e9) == pytest.approx((30.5, 3.0), rel=0.02)
    speed = engine_speed(shape, GPUS["h100"], num_gpus=2, context=1500, max_num_seqs=512)
    assert speed is not None
    assert 0.5 < speed.tokens_per_second / 2 / 5310 < 2


@pytest.mark.parametrize(
    ("model", "billions", "active", "gigabytes"),
    [
        ("deepseek-ai/DeepSeek-R1", 671, 37, 671),
        ("deepseek-ai/DeepSeek-V3-Base", 671, 37, 671),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1.78, 1.54, 3.55),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 7.62, 7.07, 15.2),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 32.8, 32.0, 65.5),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 8.03, 7.5, 16.1),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", 70.6, 69.5, 141),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.494, 0.494, 0.99),
        ("Qwen/Qwen2.5-Math-1.5B", 1.54, 1.54, 3.09),
        ("Qwen/Qwen2.5-72B", 72.7, 71.5, 145),
        ("builtin:micro", 0.00093, 0.00093, 0.0037),
    ],
)
def test_known_models(model: str, billions: float, active: float, gigabytes: float, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    shape = model_shape(model)
    assert shape is not None
    figures = (shape.num_parameters / 1e9, shape.num_active / 1e9, shape.weight_bytes / 1e9)
    assert figures == pytest.approx((billions, active, gigabytes), rel=0.02)


@pytest.mark.parametrize(
    ("more", "options", "weight_bytes", "cache_bytes"),
    [
        ({}, {}, 2, 2),
        ({"torch_dtype": "float32"}, {}, 4, 4),
        ({"dtype": "float32"}, {"dtype": "bfloat16"}, 2, 2),
        ({}, {"quantization": "fp8", "cache_dtype": "fp8_e4m3"}, 1, 1),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, {}, 0.6, 2),
        ({}, {"quantization": "gptq"}, 0.6, 2),
    ],
)
def test_bytes(more: dict[str, Any], options: dict[str, Any], weight_bytes: float, cache_bytes: float) -> None:
    config = dense(64, 2, 4, 128, vocab_size=100, tie_word_embeddings=True) | more
    shape = read_shape(config, origin="", **options)
    assert shape is not None
    assert shape.num_parameters == 2 * (4 * 64 * 64 + 3 * 64 * 128) + 6400
    assert shape.weight_bytes == pytest.approx(shape.num_parameters * weight_bytes)
    assert shape.cache_bytes_per_token == 2 * 2 * 64 * cache_bytes


@pytest.mark.parametrize("config", [{}, {"hidden_size": "x"}, {"hidden_size": 8, "num_attention_heads": 0}])
def test_a_configuration_that_says_too_little(config: dict[str, Any], tmp_path: Path) -> None:
    assert read_shape(config, origin="") is None
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert model_shape(str(tmp_path)) is None
    (tmp_path / "config.json").write_text("[")
    assert model_shape(str(tmp_path)) is None


def test_a_model_in_the_hubs_cache(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert model_shape("some/model") is None
    folder = tmp_path / "models--some--model" / "snapshots" / "0a1b"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dense(64, 2, 4, 128, vocab_size=100)))
    shape = model_shape("some/model")
    assert shape is not None
    assert shape.origin == "its config.json"


def test_what_does_not_fit_and_what_would() -> None:
    r1 = model_shape("deepseek-ai/DeepSeek-R1")
    assert r1 is not None
    assert engine_speed(r1, GPUS["h100"], num_gpus=8, context=5000) is None
    assert [smallest_fit(r1, GPUS[name]) for name in ("h100", "h200", "b200", "rtx4090")] == [16, 8, 8, 64]


@pytest.mark.parametrize("name", ["H100", "h100-SXM", "NVIDIA H100", "a100-80gb", "RTX 4090", "4090", "MI300X"])
def test_names_of_gpus(name: str) -> None:
    assert find_gpu(name) in GPUS.values()


def test_an_unknown_gpu() -> None:
    with pytest.raises(UsageError, match="did you mean 'h200'"):
        find_gpu("h20")


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        ([], 0),
        ([(100, 5)], 5),
        ([(100, 5), (103, 5)], 8),  # overlapping
        ([(100, 50), (110, 5), (120, 5)], 50),  # inside another
        ([(100, 5), (100_000, 5)], 10),  # a pause of a day
        ([(100_000, 5), (100, 5), (102, 10)], 17),  # in any order
    ],
)
def test_busy_time_leaves_out_the_pauses(intervals: list[tuple[float, float]], seconds: float) -> None:
    frame = pl.DataFrame(intervals, schema={"started_at": pl.Float64, "seconds": pl.Float64}, orient="row")
    assert busy_seconds(frame) == pytest.approx(seconds)


def policy(**fields: Any) -> Any:
    return SimpleNamespace(**{"kind": "vllm", "model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", **fields})


def work(traces: dict[str, int] | None = None, max_tokens: int = 32768, **fields: Any) -> Work:
    traces = {"math": 1000} if traces is None else traces
    return Work(config=policy(**fields), fingerprint="p", traces=traces, max_tokens=max_tokens)


def ahead(*args: Any, options: ForecastOptions | None = None, **fields: Any) -> SampleForecast:
    return forecast(work(*args, **fields), None, options or ForecastOptions())


@pytest.mark.parametrize(
    ("traces", "max_tokens", "tokens", "origin"),
    [
        (
            {"math": 10, "logic": 10},
            32768,
            10 * 6094.2 + 10 * 2739.0,
            "R1's own means by domain (R1 v2, B.3.3, Table 5)",
        ),
        ({"math": 10, "general": 10}, 2000, 10 * 2000 + 10 * 1419.8, "cut at max_tokens"),
        ({"math": 10, "code": 5}, 256, 15 * 256, "at most: max_tokens"),
    ],
)
def test_tokens_without_a_past(traces: dict[str, int], max_tokens: int, tokens: float, origin: str) -> None:
    found = ahead(traces, max_tokens)
    assert found.tokens == pytest.approx(tokens)
    assert origin in found.tokens_from


def test_hours_and_cost_follow_from_the_speed() -> None:
    found = ahead(options=ForecastOptions(tokens_per_second=1000, num_gpus=4, price_per_gpu_hour=3))
    hours = 1000 * R1_TOKENS["math"] / 1000 / 3600
    assert found.hours == pytest.approx(hours)
    assert (found.num_gpus, found.num_engines) == (4, 4)
    assert found.engine_hours == pytest.approx(4 * hours)
    assert found.cost == pytest.approx(4 * hours * 3)
    assert "R1 v2, Table 7" in ahead().cost_from


def test_more_gpus_are_faster_and_cost_the_same() -> None:
    one, four = ahead({"math": 10**6}), ahead({"math": 10**6}, options=ForecastOptions(num_gpus=4))
    assert four.hours == pytest.approx((one.hours or 0) / 4)
    assert four.cost == pytest.approx(one.cost)


def test_few_traces_wait_for_the_longest() -> None:
    assert any("end with the longest" in note for note in ahead({"math": 10}).notes)
    assert not any("end with the longest" in note for note in ahead({"math": 10**6}).notes)


def test_prices_of_the_recipe() -> None:
    endpoint = ServerPolicyConfig(
        model="somebodys-r1", urls=("http://a/v1",), price_per_million={"prompt": 0.5, "completion": 2.0}
    )
    owed = Work(config=endpoint, fingerprint=None, traces={"math": 1000}, max_tokens=32768)
    found = forecast(owed, None, ForecastOptions())
    assert found.cost == pytest.approx((1000 * 200 * 0.5 + 1000 * R1_TOKENS["math"] * 2.0) / 1e6)
    assert found.tokens_per_second is None
    assert "unknown speed" in found.speed_from
    hourly = ahead(cost_per_hour=7.0, options=ForecastOptions(tokens_per_second=1000))
    assert hourly.cost == pytest.approx(7.0 * (hourly.engine_hours or 0))


def test_the_gpus_that_a_policy_names() -> None:
    launch = LaunchOptions(tensor_parallel_size=4, count=2)
    servers = ServerPolicyConfig(model="deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", launch=launch)
    found = forecast(
        Work(config=servers, fingerprint=None, traces={"math": 10**5}, max_tokens=32768), None, ForecastOptions()
    )
    assert (found.num_gpus, found.num_engines) == (8, 2)
    assert "2 engines on 4 × H100" in found.speed_from
    big = ahead(model="deepseek-ai/DeepSeek-R1")
    assert (big.num_gpus, big.num_engines) == (16, 1)
    assert "16 per engine are reckoned with" in big.notes[0]
    small = ahead(model="deepseek-ai/DeepSeek-R1", options=ForecastOptions(num_gpus=8))
    assert small.tokens_per_second is None
    assert "do not fit" in small.speed_from


def test_an_unknown_model_says_so(monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "/nowhere")
    found = ahead(model="some/model")
    assert found.speed_from == "unknown model size; give --tokens-per-second"
    assert found.hours is None
    assert ("time", found.speed_from) in found.lines()
    assert "hours" not in forecast_note([found])


def test_recorded_completions_cost_nothing() -> None:
    found = ahead(kind="recorded")
    assert found.tokens is None
    assert found.lines()[1] == ("tokens", "none: completions are recorded")
    assert forecast_note([found]) == ""


def test_what_goes_on_is_at_most_what_is_added(tmp_path: Path) -> None:
    snapshot = ledger_with_a_past(tmp_path, MIN_TRACES).snapshot()
    owed = replace(work({"math": 10}, max_tokens=500), is_continuation=True)
    found = forecast(owed, snapshot, ForecastOptions())
    assert (found.tokens, found.verb) == (5000, "continue with")
    assert "measured" in found.speed_from


def test_nothing_left_is_one_line() -> None:
    assert len(ahead({}).lines()) == 1


def ledger_with_a_past(folder: Path, num_math: int) -> Ledger:
    """Math traces of 1,000 tokens and code traces of 3,000, a second each, two at a time, with a day's pause."""
    ledger = Ledger.open(folder, create=True)
    with ledger.writer() as writer:
        for number in range(num_math + 2):
            name, domain, tokens = str(number), "math", 1000
            if number >= num_math:
                domain, tokens = "code", 3000
            writer.append("problems", [{"problem_id": name, "domain": domain, "language": "en"}])
            trace = {
                "trace_id": name,
                "problem_id": name,
                "policy_fingerprint": "p",
                "index": 0,
                "num_prompt_tokens": 50,
            }
            writer.append("traces", [trace | {"num_completion_tokens": tokens}])
            start = 1e9 + number // 2 + (86400 if number > 10 else 0)
            writer.append("timings", [{"trace_id": name, "started_at": start, "seconds": 1.0}])
            writer.append("timings", [{"trace_id": name, "judge_fingerprint": "j", "started_at": 1e9, "seconds": 1e6}])
        other = {"trace_id": "x", "problem_id": "0", "policy_fingerprint": "q", "num_completion_tokens": 9999}
        writer.append("traces", [other])
    return ledger


def test_the_ledgers_own_past_comes_first(tmp_path: Path) -> None:
    snapshot = ledger_with_a_past(tmp_path, MIN_TRACES).snapshot()
    mean = (MIN_TRACES * 1000 + 2 * 3000) / (MIN_TRACES + 2)
    found = forecast(work({"math": 100, "code": 10}), snapshot, ForecastOptions())
    # Two code traces are too few to speak for their domain: the mean of all stands in.
    assert found.tokens == pytest.approx(100 * 1000 + 10 * mean)
    assert found.tokens_per_second == pytest.approx((MIN_TRACES * 1000 + 6000) / 12)  # 12 s: one second is split in two
    assert "measured" in found.speed_from
    elsewhere = forecast(work(), snapshot, ForecastOptions(gpu="l40s"))
    assert "L40S" in elsewhere.speed_from
    assert elsewhere.tokens == pytest.approx(1000 * 1000)


def test_too_few_traces_of_any_domain_give_their_common_mean(tmp_path: Path) -> None:
    snapshot = ledger_with_a_past(tmp_path, 2).snapshot()
    assert forecast(work(), snapshot, ForecastOptions()).tokens_each == pytest.approx(2000)


@pytest.mark.parametrize(("hours", "text"), [(0.001, "4 s"), (0.5, "30 min"), (3, "3.0 h"), (100, "4.2 days")])
def test_durations(hours: float, text: str) -> None:
    assert duration(hours) == text


PUZZLES = [
    {"kind": "puzzles", "family": "gcd", "size": 50},
    {"kind": "puzzles", "family": "gcd", "size": 30, "seed": 1},
]


def recipe(folder: Path, policy: dict[str, Any], sources: list[dict[str, Any]]) -> Path:
    path = folder / "r.yaml"
    sample = {"policy": policy, "group_size": 4, "max_tokens": 100}
    path.write_text(json.dumps({"name": "r", "source": {"from": sources}, "sample": sample}))
    return path


def test_a_plan_counts_what_the_recipe_says(tmp_path: Path, capsys: Any) -> None:
    file = recipe(tmp_path, {"kind": "torch", "model": "builtin:micro", "device": "cpu"}, PUZZLES)
    command = ["plan", str(file), "--ledger", str(tmp_path / "ledger")]
    assert call([*command, "--json"]) == 0
    sample = json.loads(capsys.readouterr().out)[1]
    assert (sample["step"], sample["total"], sample["done"]) == ("sample", 320, 0)
    (found,) = sample["forecasts"]
    assert (found["num_traces"], found["tokens"]) == (320, 32000)
    assert found["hours"] > 0
    assert call([*command, "--gpu", "h200", "--tokens-per-second", "1000"]) == 0
    out, err = capsys.readouterr()
    assert "32,000 tokens" in out
    assert "as --tokens-per-second says" in err
    assert call([*command, "--gpu", "h2000"]) == 2


def test_a_model_on_an_unreachable_hub_plans(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    def unreachable(*_: Any) -> str:
        raise PolicyError("the model 'some/model' is neither a folder here nor reachable on the Hub")

    monkeypatch.setattr(model_files, "hub_commit", unreachable)
    monkeypatch.setattr("factory.policy.hub_model.hub_commit", unreachable)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    file = recipe(tmp_path, {"kind": "torch", "model": "some/model"}, PUZZLES)
    command = ["plan", str(file), "--ledger", str(tmp_path / "ledger")]
    assert call(command) == 0
    assert "unknown model size" in capsys.readouterr().err
    assert call(["run", str(file), "--ledger", str(tmp_path / "ledger"), "--only", "source"]) == 1  # its model is asked
    capsys.readouterr()
    assert call(command) == 0
    out, err = capsys.readouterr()
    assert "80 problems kept" in out
    assert "unknown: the model 'some/model'" in out
    assert "320 to sample from some/model" in err


def test_a_dataset_on_an_unreachable_hub_plans(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    from factory.errors import FactoryError
    from factory.source.hub import Hub

    def unreachable(self: Any) -> str:
        raise FactoryError("the Hub does not answer")

    monkeypatch.setattr(Hub, "current_revision", unreachable)
    hub = {"kind": "hub", "dataset": "some/data", "columns": {"prompt": "question"}, "domain": "math"}
    file = recipe(tmp_path, {"kind": "torch", "model": "builtin:micro", "device": "cpu"}, [hub, PUZZLES[0]])
    assert call(["plan", str(file), "--ledger", str(tmp_path / "ledger")]) == 0
    out, err = capsys.readouterr()
    assert "unknown: the Hub does not answer" in out
    assert "1 of 2 sources say their size" in err


def test_a_plan_imports_no_engine(tmp_path: Path) -> None:
    file = recipe(tmp_path, {"kind": "vllm", "model": "deepseek-ai/DeepSeek-R1"}, PUZZLES)
    program = (
        "import sys; from factory.cli.main import call; code = call(sys.argv[1:]);"
        "print([m for m in ('torch', 'vllm', 'transformers') if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "plan", str(file), "--ledger", str(tmp_path / "ledger"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("[]")
    assert json.loads(done.stdout)[1]["forecasts"][0]["num_gpus"] == 16


def test_every_gpu_says_where_its_figures_come_from() -> None:
    shape = ModelShape(num_parameters=1e9, num_active=1e9, weight_bytes=2e9, cache_bytes_per_token=1e5, origin="a test")
    speeds = {}
    for name, gpu in GPUS.items():
        assert gpu.origin
        found = engine_speed(shape, gpu, num_gpus=1, context=1000)
        assert found is not None
        speeds[name] = found.tokens_per_second
    assert speeds["cpu"] < speeds["l40s"] < speeds["a100"] < speeds["h100"] < speeds["h200"] < speeds["b200"]
