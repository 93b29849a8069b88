"""Nothing outlives the guard: whatever the command started, and however it or its parent ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from factory.policy import guard

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# A command with a child that ignores SIGTERM, and a grandchild in a session of its own whose parent is dead.
TREE = """
import os, signal, subprocess, sys, time
ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
stubborn = subprocess.Popen([sys.executable, "-c", ignoring])
hiding = (
    "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
    "stdout=subprocess.DEVNULL, start_new_session=True).pid)"
)
orphan = int(subprocess.run([sys.executable, "-c", hiding], stdout=subprocess.PIPE).stdout)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {stubborn.pid} {orphan}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition, what):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def pids_of(path):
    wait_for(path.exists, "the command did not start")
    return [int(pid) for pid in path.read_text().split()]


def command(tmp_path, then):
    return [sys.executable, "-c", TREE + textwrap.dedent(then), str(tmp_path / "pids")]


def start(tmp_path, then="time.sleep(600)"):
    with (tmp_path / "log").open("wb") as log:
        return guard.start(command(tmp_path, then), log=log, grace_s=0.2)


def test_stop_ends_the_whole_tree(tmp_path):
    guarded = start(tmp_path)
    pids = pids_of(tmp_path / "pids")
    assert all(map(alive, pids))
    guarded.stop()
    assert not any(map(alive, pids))


@pytest.mark.parametrize(
    ("then", "status"),
    [("", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)],
)
def test_a_command_that_ends_takes_its_tree_with_it(tmp_path, then, status):
    guarded = start(tmp_path, then)
    pids = pids_of(tmp_path / "pids")
    wait_for(lambda: guarded.poll() is not None, "the guard goes on")
    assert guarded.poll() == status
    assert not any(map(alive, pids))
    guarded.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_parent_that_is_killed_leaves_nothing(tmp_path, number):
    code = f"""
        import os, signal, sys, time
        from factory.policy import guard
        with open({str(tmp_path / "log")!r}, "wb") as log:
            guard.start({command(tmp_path, "time.sleep(600)")!r}, log=log, grace_s=0.2)
        if os.fork() == 0:  # a child that keeps our end of the pipe open
            time.sleep(5)
            os._exit(0)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    pids = pids_of(tmp_path / "pids")
    parent.send_signal(number)
    parent.wait()
    wait_for(lambda: not any(map(alive, pids)), "a process outlived its parent")


def test_ctrl_c_in_the_terminal_does_not_reach_the_command(tmp_path):
    guarded = start(tmp_path)
    pids = pids_of(tmp_path / "pids")
    assert len({os.getsid(pid) for pid in (os.getpid(), pids[0])}) == 2
    os.kill(guarded.pid, signal.SIGINT)
    time.sleep(0.3)
    assert guarded.poll() is None
    guarded.stop()
    assert not any(map(alive, pids))


def test_output_goes_to_the_log_and_descriptors_through(tmp_path):
    reader, writer = os.pipe()
    code = f"import os; print('hello', flush=True); os.write({writer}, b'through')"
    with (tmp_path / "log").open("wb") as log:
        guarded = guard.start([sys.executable, "-c", code], log=log, pass_fds=(writer,))
    os.close(writer)
    assert os.read(reader, 100) == b"through"
    assert os.read(reader, 100) == b"", "the guard keeps no copy"
    os.close(reader)
    wait_for(lambda: guarded.poll() is not None, "the guard goes on")
    assert (tmp_path / "log").read_bytes() == b"hello\n"
    guarded.stop()


def test_stop_is_quick_though_a_fork_holds_the_pipe_open(tmp_path):
    guarded = start(tmp_path)
    pids = pids_of(tmp_path / "pids")
    fork = os.fork()
    if fork == 0:
        time.sleep(30)
        os._exit(0)
    try:
        guarded.stop(timeout_s=8.0)
        assert not any(map(alive, pids)), "the guard was killed before it could end them"
    finally:
        os.kill(fork, signal.SIGKILL)
        os.waitpid(fork, 0)


def test_a_descriptor_above_a_thousand_is_no_problem(tmp_path):
    resource = pytest.importorskip("resource", reason="needs descriptors above 1023")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("no descriptor above 1023 is allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        guarded = start(tmp_path)
        pids = pids_of(tmp_path / "pids")
        guarded.stop()
        assert not any(map(alive, pids))
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


SHARED = """
import os, sys, time
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=100)
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {memory.name}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


def test_shared_memory_of_the_killed_is_removed(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        guarded = guard.start([sys.executable, "-c", SHARED, str(tmp_path / "pids")], log=log, grace_s=0.0)
    wait_for((tmp_path / "pids").exists, "the command did not start")
    place = Path("/dev/shm") / (tmp_path / "pids").read_text().split()[1]
    assert place.exists()
    guarded.stop()
    assert not place.exists()
