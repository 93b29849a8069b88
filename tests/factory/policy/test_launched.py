"""Servers that we start ourselves: with the mock server in vLLM's place, and once with vLLM itself."""

import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from factory.errors import PolicyError, UsageError
from factory.policy import guard, launched
from factory.policy.launched import LaunchOptions, flags, serve_command, server_environments, visible_gpus
from factory.policy.protocol import PromptForm, Sampling
from factory.policy.server import ServerPolicy, ServerPolicyConfig
from factory.policy.server_pool import Timing
from factory.records import Completion, Slot

pytest.importorskip("aiohttp")
pytest.importorskip("factory.testing.mock_server")

MICRO = Path(launched.__file__).parent / "micro"


def slots(count, group_size=4):
    return [
        Slot(
            trace_id=f"t{at}",
            problem_id=f"p{at // group_size}",
            prompt=[{"role": "user", "content": f"{at // group_size} + 1?"}],
            index=at % group_size,
            seed=at,
        )
        for at in range(count)
    ]


@pytest.fixture
def mock_servers(monkeypatch, tmp_path):
    """Start the mock server wherever `vllm serve` would be; returns the list of further arguments it is given."""
    more = []
    outer = serve_command

    def command(options, folder, *, name, port):
        assert str(folder) in outer(options, folder, name=name, port=port)
        return [sys.executable, "-m", "factory.testing.mock_server", "--port", str(port), "--model", name, *more]

    monkeypatch.setattr(launched, "serve_command", command)
    monkeypatch.setattr(launched, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return more


def open_launched(timing=None, **options):
    config = ServerPolicyConfig(model="builtin:micro", launch=LaunchOptions(**options))
    timing = timing or Timing(knock_s=0.05, backoff_s=0.01)
    return ServerPolicy(config, Sampling(max_tokens=300), PromptForm(), timing=timing)


def processes(policy):
    """Return the guards of a policy's servers and all below them."""
    guards = [pid for pid in policy._launched.pids() if pid is not None]
    return guards + [below for pid in guards for below in guard._descendants(pid)]


def alive(pids):
    """Return those that still run: one that has ended and that nobody has asked for its status does not."""
    found = []
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        if stat[stat.rindex(")") + 2] not in "ZX":
            found.append(pid)
    return found


def test_all_servers_work_and_nothing_is_left_of_them(mock_servers, tmp_path):
    policy = open_launched(count=2)
    try:
        pids = processes(policy)
        results = list(policy.sample(slots(40)))
        assert policy.engine == "vllm 0.32.0 (server)"
        assert policy.description["model"] == "builtin:micro"
    finally:
        policy.close()
    assert sorted(r.trace_id for r in results) == sorted(s.trace_id for s in slots(40))
    assert len({r.host for r in results}) == 2
    assert len(pids) >= 4
    assert alive(pids) == []
    assert list(tmp_path.iterdir()) == [], "no log is kept when all went well"


def test_the_dead_are_started_again_and_every_slot_is_answered_once(mock_servers):
    policy = open_launched(count=2)
    try:
        results = []
        for r in policy.sample(slots(400)):
            results.append(r)
            if len(results) == 30:
                os.kill(guard._descendants(policy._launched.pids()[0])[0], signal.SIGKILL)
        assert Counter(r.trace_id for r in results) == Counter(s.trace_id for s in slots(400))
        assert all(isinstance(r, Completion) for r in results)
        done = policy.status().servers[0].num_done
        while policy.status().servers[0].num_done == done:  # the test's own time limit is the bound
            assert len(list(policy.sample(slots(20)))) == 20
    finally:
        policy.close()


def test_servers_that_die_too_often_end_the_run(mock_servers, tmp_path):
    policy = open_launched(count=1, max_restarts=0)
    try:
        results = policy.sample(slots(400))
        next(results)
        os.kill(guard._descendants(policy._launched.pids()[0])[0], signal.SIGKILL)
        with pytest.raises(PolicyError, match="it died 1 times"):
            list(results)
    finally:
        policy.close()
    assert list(tmp_path.glob("*/server-0.log")), "its log is kept"


def test_a_server_that_does_not_start_is_said_with_its_last_error(mock_servers, tmp_path):
    mock_servers += ["--no-such-option"]
    with pytest.raises(PolicyError, match="unrecognized arguments: --no-such-option") as caught:
        open_launched(count=2)
    assert str(tmp_path) in str(caught.value.hint)


def test_a_server_that_does_not_answer_in_time_is_stopped(mock_servers, monkeypatch):
    monkeypatch.setattr(
        launched, "serve_command", lambda *a, **k: [sys.executable, "-c", "import time; time.sleep(99)"]
    )
    with pytest.raises(PolicyError, match=r"did not answer within 0\.3 s"):
        open_launched(startup_s=0.3)


def test_a_port_that_another_listens_on_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is not free"):
            launched.LaunchedServers(LaunchOptions(port=port), MICRO, name="m")


def test_a_log_that_cannot_be_opened_does_not_end_the_watch(mock_servers, monkeypatch):
    """The disk is full, say: that is one more death, and what follows is another try."""
    policy = open_launched()
    try:
        (log_file,) = policy._launched._logs.glob("*")
        tries = []

        def elsewhere(at):
            tries.append(at)
            return log_file if len(tries) > 4 else log_file.parent / "gone" / "away"

        monkeypatch.setattr(policy._launched, "_log_file", elsewhere)
        monkeypatch.setattr(launched, "_MAX_RESTART_PAUSE_S", 0.1)
        os.kill(guard._descendants(policy._launched.pids()[0])[0], signal.SIGKILL)
        assert all(isinstance(r, Completion) for r in policy.sample(slots(400)))
        assert len(tries) > 4
    finally:
        policy.close()


def test_the_command_says_everything_but_the_key():
    options = LaunchOptions(
        count=2,
        max_model_len=512,
        enforce_eager=True,
        speculative_config={"method": "ngram"},
        engine_args={"swap_space": 8},
    )
    servers = launched.LaunchedServers(options, MICRO, name="builtin:micro")
    (command, _), (environment, _) = servers._commands, servers._environments
    assert command[:5] == [sys.executable, "-P", "-c", launched.SERVE, "serve"]
    assert command[5] == str(MICRO)
    rest = " ".join(command[6:])
    for part in (
        "--max-model-len 512",
        "--enforce-eager",
        "--enable-prefix-caching",
        "--no-trust-remote-code",
        "--dtype float32",
        '--speculative-config {"method": "ngram"}',
        "--swap-space 8",
        "--served-model-name builtin:micro",
        "--host 127.0.0.1",
        "--generation-config vllm",
    ):
        assert part in rest
    for own in ("count", "startup", "restarts"):
        assert own not in rest
    assert servers.key not in rest
    assert environment["VLLM_API_KEY"] == servers.key
    assert len(set(servers.urls)) == 2
    servers._logs.rmdir()


def test_an_adapter_is_served_under_a_name_of_its_own(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    options = LaunchOptions(adapter=str(tmp_path))
    command = serve_command(options, MICRO, name="m", port=1)
    assert command[-2:] == ["--lora-modules", json.dumps({"name": "adapter", "path": str(tmp_path)})]
    assert "--enable-lora" in command
    servers = launched.LaunchedServers(options, MICRO, name="m")
    assert servers.served_name == "adapter"
    servers._logs.rmdir()


@pytest.mark.parametrize("name", ["api_key", "host", "port", "trust_remote_code", "generation_config", "max_model_len"])
def test_what_is_ours_to_set_is_refused(name):
    with pytest.raises(UsageError, match=name):
        launched.LaunchedServers(LaunchOptions(engine_args={name: 1}), MICRO, name="m")


def test_flags():
    arguments = {"a_b": 1, "c": True, "d_e": False, "f": None, "g": {"h": [1]}, "i": ["x", 2], "j": "text"}
    expected = ["--a-b", "1", "--c", "--no-d-e", "--g", '{"h": [1]}', "--i", "x", "2", "--j", "text"]
    assert flags(arguments) == expected


GPUS = {
    # (visible, count, GPUs each): the share of each server
    ("0,1,2,3", 2, 2): ["0,1", "2,3"],
    ("4,7", 2, 1): ["4", "7"],
    ("GPU-a,GPU-b,GPU-c", 1, 2): ["GPU-a,GPU-b"],
}


@pytest.mark.parametrize(("visible", "count", "each"), GPUS)
def test_gpus_are_split(visible, count, each):
    options = LaunchOptions(count=count, tensor_parallel_size=each)
    shares = server_environments(options, {"CUDA_VISIBLE_DEVICES": visible}, key="k")
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == GPUS[visible, count, each]


def test_too_few_gpus_are_counted():
    with pytest.raises(UsageError, match="2 servers of 2 GPUs need 4; there are 3"):
        server_environments(LaunchOptions(count=2, tensor_parallel_size=2), {"CUDA_VISIBLE_DEVICES": "0,1,2"}, key="k")


def test_hidden_gpus_are_none():
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []


def test_cores_are_split_on_a_cpu(monkeypatch):
    outer = {"CUDA_VISIBLE_DEVICES": ""}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4}, raising=False)
    shares = server_environments(LaunchOptions(count=2), outer, key="k")
    assert [share["VLLM_CPU_OMP_THREADS_BIND"] for share in shares] == ["0,1", "2,3"]
    assert {share["VLLM_CPU_KVCACHE_SPACE"] for share in shares} == {"1"}
    (alone,) = server_environments(LaunchOptions(), outer | {"VLLM_CPU_KVCACHE_SPACE": "7"}, key="k")
    assert alone["VLLM_CPU_KVCACHE_SPACE"] == "7"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in alone
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    shares = server_environments(LaunchOptions(count=2), outer, key="k")
    assert [share["VLLM_CPU_OMP_THREADS_BIND"] for share in shares] == ["nobind", "nobind"]


def test_fingerprint_of_what_is_launched_is_that_of_the_files():
    def fingerprint(**options):
        config = ServerPolicyConfig(model="builtin:micro", launch=LaunchOptions(**options))
        return config.fingerprint(Sampling(), PromptForm())

    assert fingerprint() == fingerprint(count=8, port=9000, max_restarts=0, max_num_seqs=4, enforce_eager=True)
    assert fingerprint() != fingerprint(dtype="bfloat16")
    assert fingerprint() != fingerprint(engine_args={"rope_scaling": {"factor": 2}})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_servers_of_vllm_one_of_which_is_killed():
    pytest.importorskip("vllm", reason="vLLM is not installed")
    launch = LaunchOptions(count=2, enforce_eager=True, max_model_len=512, max_num_seqs=32, startup_s=300)
    config = ServerPolicyConfig(model="builtin:micro", launch=launch)
    sampling = Sampling(max_tokens=96, token_ids=True, logprobs=True)
    policy = config.open(sampling, PromptForm())
    try:
        asked, results = slots(300), []
        for r in policy.sample(asked):
            results.append(r)
            if len(results) == 40:
                os.kill(guard._descendants(policy._launched.pids()[0])[0], signal.SIGKILL)
        assert Counter(r.trace_id for r in results) == Counter(s.trace_id for s in asked)
        assert all(isinstance(r, Completion) for r in results)
        for r in results:
            assert r.text.startswith("<think>\n")
            assert "<|" not in r.text
            assert len(r.token_ids) == len(r.logprobs) == r.num_completion_tokens
        (thought,) = [r for r in results if r.finish_reason == "length"][:1]
        begun = Slot(**{**_fields(asked[0]), "trace_id": "continued", "beginning": thought.text})
        (continued,) = policy.sample([begun])
        assert continued.text.startswith(thought.text)
        done = policy.status().servers[0].num_done
        while policy.status().servers[0].state != "up":  # idle meanwhile, or there is no core left to start on
            time.sleep(0.2)
        assert len(list(policy.sample(slots(8)))) == 8
        assert policy.status().servers[0].num_done > done, "the dead one is back and works"
        pids = processes(policy)
    finally:
        policy.close()
    assert len(pids) >= 6
    assert alive(pids) == []


def _fields(slot):
    return {name: getattr(slot, name) for name in slot.__slots__}
