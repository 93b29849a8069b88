"""What attacks on the judge of code leave behind, whoever judges: nothing.

No process, no file, no object of the kernel, no descriptor; and nothing of the host is changed while they run.
"""

import os
import subprocess
import sys
import time

import pytest
from code_attack_runs import USERS, run
from code_surroundings import Surroundings

pytestmark = [
    pytest.mark.timeout(1000),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into Linux's /proc"),
]


@pytest.fixture
def _a_judge():
    pytest.importorskip("verifiers.code_tests")


def pytest_generate_tests(metafunc):
    if "user" in metafunc.fixturenames:
        metafunc.parametrize(("user", "every"), USERS)


@pytest.mark.usefixtures("_a_judge")
def test_no_process_outlives_the_judge(user, every):
    assert run(user, every=every).result["left"] == []


@pytest.mark.usefixtures("_a_judge")
def test_no_attack_harms_the_host(user, every):
    assert run(user, every=every).result["harmed"] == {}


@pytest.mark.usefixtures("_a_judge")
def test_files_and_objects_are_as_before(user, every):
    assert run(user, every=every).changes == []


@pytest.mark.usefixtures("_a_judge")
def test_the_judging_process_keeps_its_descriptors_threads_and_children(user, every):
    last = run(user, every=every).result["last"]
    assert last["after"]["descriptors"] <= last["before"]["descriptors"]
    assert last["after"]["threads"] <= last["before"]["threads"]
    assert last["after"]["children"] <= last["before"]["children"]


@pytest.mark.usefixtures("_a_judge")
def test_the_judge_ran_as_the_user(user, every):
    assert run(user, every=every).result["last"]["user"] == (os.getuid() if user is None else user)


def test_leftovers_are_seen():
    """The look itself: a program without a sandbox that leaves one of each is found out."""
    with Surroundings() as surroundings:
        assert surroundings.changes() == []
        daemon = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(30)"
        surroundings._runner = lambda: surroundings.top / "leaver.py"
        (surroundings.top / "leaver.py").write_text(
            "import json, os, subprocess, sys\n"
            f"subprocess.run([sys.executable, '-c', {daemon!r}])\n"
            f"open('/tmp/{surroundings.name}-left', 'w').close()\n"
            f"open({str(surroundings.folder / 'left')!r}, 'w').close()\n"
            f"open({str(surroundings.file)!r}, 'a').write('x')\n"
            "print(json.dumps({'name': 'a', 'harmed': ['something']}))\n",
            encoding="utf-8",
        )
        result = surroundings.judged([], timeout_s=60)
        changes = " ".join(surroundings.changes())
        os.unlink(f"/tmp/{surroundings.name}-left")  # noqa: PTH108
        assert result["harmed"] == {"a": ["something"]}
        assert len(result["left"]) == 1
        assert "time.sleep(30)" in result["left"][0]
        assert all(part in changes for part in ("the canary file", "the open folder", f"/tmp/{surroundings.name}-left"))


def test_a_runner_that_hangs_is_ended_with_all_that_it_started():
    with Surroundings() as surroundings:
        surroundings._runner = lambda: surroundings.top / "hanging.py"
        (surroundings.top / "hanging.py").write_text(
            "import subprocess, sys, time\n"
            "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'], start_new_session=True)\n"
            "time.sleep(30)\n",
            encoding="utf-8",
        )
        started = time.monotonic()
        result = surroundings.judged([], timeout_s=1)
        assert result["exit_status"] < 0
        assert len(result["left"]) == 1
        assert (
            subprocess.run(["kill", "-0", result["left"][0].split()[0]], capture_output=True, check=False).returncode
            != 0
        )
        assert time.monotonic() - started < 30
