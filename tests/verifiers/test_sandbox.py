"""The sandbox by itself: what stops a run, what a run finds and finds not, and what is left when all has ended."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verifiers.sandbox import client
from verifiers.sandbox.client import Sandbox, SandboxLostError, read_file
from verifiers.sandbox.folders import is_too_full
from verifiers.sandbox.layers import Layers, SandboxUnavailableError, layers
from verifiers.sandbox.protocol import Box, Limits, Report, report_json, report_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolating programs needs Linux")
SMALL = {"cpu_s": 0.3, "idle_s": 0.3, "wall_s": 20.0, "memory_mb": 128}


@pytest.fixture(scope="module")
def sandbox():
    if not layers().suffices:
        pytest.skip(layers().lacking())
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def bare():
    with Sandbox(bare=True) as sandbox:
        yield sandbox


def ran(sandbox, source, given=b"", limits=None, **more):
    """Run a program; return how it ended, what it printed and what it said on standard error."""
    out, err = sandbox.file(), sandbox.file()
    code, stdin = sandbox.file(source.encode()), sandbox.file(given)
    box = Box(
        run=("stdin",),
        limits=Limits(**(SMALL | (limits or {}))),
        code=code,
        stdin=stdin,
        stdout=out,
        stderr=err,
        **more,
    )
    [report] = sandbox.run(box)
    said = read_file(out).decode(errors="replace"), read_file(err).decode(errors="replace")
    sandbox.free_files()
    return report, *said


# limits

SPIN = "while True: pass"
THREADS = f"import threading\ndef f():\n    {SPIN}\n[threading.Thread(target=f).start() for _ in range(3)]"
FORKS = "import os, time\nfor _ in range(3): os.fork()\n"
STOPPED = [
    # what stops it, a program, limits
    ("cpu", SPIN, {}),
    ("cpu", THREADS, {}),
    ("cpu", FORKS + SPIN, {"idle_s": 5.0}),
    ("idle", "import time\ntime.sleep(30)", {}),
    ("idle", "import threading\nthreading.Event().wait()", {}),
    ("idle", "import os\nr, w = os.pipe()\nos.read(r, 1)", {}),
    ("wall", "import time\ntime.sleep(30)", {"idle_s": 30.0, "wall_s": 0.3}),
    ("memory", f"a = bytearray(200 << 20)\n{SPIN}", {"cpu_s": 10.0}),
    ("memory", "a = []\nwhile True: a.append(bytearray(1 << 20))", {"cpu_s": 10.0}),
    ("memory", FORKS + "a = bytearray(60 << 20)\ntime.sleep(9)", {"idle_s": 9.0}),
]


@pytest.mark.parametrize(("stopped", "program", "limits"), STOPPED)
def test_a_limit_stops_a_run_and_is_named(sandbox, stopped, program, limits):
    report, _, said = ran(sandbox, program, limits=limits)
    assert report.stopped == stopped, (report, said)
    assert not report.ended_well


@pytest.mark.parametrize("place", [0, 1, 3, 7])  # one of each
def test_without_isolation_the_same_limits_stop_a_run(bare, place):
    stopped, program, limits = STOPPED[place]
    assert ran(bare, program, limits=limits)[0].stopped == stopped


REFUSED = [
    # what a program does, limits, what it is told
    ("open('f', 'wb').write(bytes(3 << 20))", {"output_mb": 1}, "File too large"),
    ("print('x' * (3 << 20), flush=True)", {"output_mb": 1}, "File too large"),
    ("for n in range(9): open(str(n), 'wb').write(bytes(1 << 20))", {"disk_mb": 4}, "No space left"),
    ("for n in range(99): open(str(n), 'w').close()", {"max_files": 30}, "No space left"),
    ("a = [open('/dev/null') for n in range(300)]", {"max_open": 240}, "Too many open files"),
    ("a = bytearray(9 << 30)", {}, "MemoryError"),
    ("resource.setrlimit(resource.RLIMIT_NOFILE, (9999, 9999))", {}, "not allowed to raise"),
]


@pytest.mark.parametrize(("action", "limits", "told"), REFUSED)
def test_what_a_run_may_not_have_is_refused(sandbox, action, limits, told):
    report, out, err = ran(sandbox, f"import os, resource\n{action}", limits={"cpu_s": 5.0} | limits)
    assert told in err, (report, out, err)
    assert report.exit_status == 1


def test_processes_are_bounded(sandbox):
    program = (
        "import os, time\nn = 0\ntry:\n    while n < 500:\n        if os.fork() == 0:\n            time.sleep(9)\n"
        "        n += 1\nexcept OSError:\n    print('no', n)"
    )
    limits = {"cpu_s": 9.0, "idle_s": 9.0, "max_processes": 20, "memory_mb": 2048}
    report, out, _ = ran(sandbox, program, limits=limits)
    assert out.startswith("no"), report
    assert int(out.split()[1]) < 20


def test_a_run_that_ends_well_tells_what_it_used(sandbox):
    report, out, _ = ran(
        sandbox, "import time\na = bytearray(50 << 20)\nwhile time.process_time() < 0.1: pass\nprint(input())", b"x\n"
    )
    assert (out, report.exit_status, report.signal, report.stopped, report.fault) == ("x\n", 0, None, None, None)
    assert 0.1 <= report.cpu_s <= report.wall_s + 0.1
    assert 50 < report.memory_mb < 128
    assert report.ended_well
    assert report_of(json.loads(json.dumps(report_json(report)))) == report


ENDINGS = [
    ("raise SystemExit(5)", 5),
    ("raise SystemExit", 0),
    ("raise SystemExit('words')", 1),
    ("raise ValueError", 1),
    ("import os\nos._exit(300)", 44),
    ("quit(3)", 3),
    ("x =", 1),
    ("import threading, time\nthreading.Thread(target=lambda: time.sleep(0.05)).start()", 0),
]


@pytest.mark.parametrize(("program", "status"), ENDINGS)
def test_the_exit_status_is_the_one_of_python(sandbox, program, status):
    assert ran(sandbox, program)[0].exit_status == status


# what it sees

IDS = "os.getuid() > 0, os.geteuid() > 0, os.getgid() > 0, os.getgroups() in ([], [65534])"
DEVICES = "['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero']"
VARIABLES = "['HOME', 'LANG', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'PATH', 'TMPDIR']"
FOUND = [
    # what a program looks at, what it finds
    (IDS, "True True True True"),
    ("sorted(os.environ)", VARIABLES),
    ("os.getpid(), os.getppid()", "1 0"),
    ("[name for name in os.listdir('/proc') if name.isdecimal()]", "['1']"),
    ("*[os.path.exists(p) for p in ('/home', '/root/.bashrc', '/etc/passwd', '/var', '/sys')]", "False " * 4 + "False"),
    ("os.getcwd(), os.listdir('.'), os.listdir('/tmp'), os.listdir('/dev/shm')", "/box/run/work [] [] []"),
    ("sorted(os.listdir('/dev'))", DEVICES),
    ("[n for n in range(3, 200) if os.path.exists(f'/proc/self/fd/{n}')]", "[]"),
    ("[name for name in sys.modules if name.startswith('verifiers')], sys.argv", "[] ['solution.py']"),
    ("[line.split(':')[0].strip() for line in list(open('/proc/net/dev'))[2:]]", "['lo']"),
    ("open('a', 'w').write('b'), open('a').read()", "1 b"),
    ("subprocess.run(['/bin/echo', 'a'], capture_output=True, text=True).stdout", "a"),
    (
        "*[line.split()[1] for line in open('/proc/self/status') if line.startswith(('Seccomp:', 'CapEff'))]",
        "0" * 16 + " 2",
    ),
    ("[os.access(p, os.W_OK) for p in ('/', '/usr', '/box', '/dev', '/etc', '/proc/sys')]", str([False] * 6)),
]


@pytest.mark.parametrize(("look", "found"), FOUND)
def test_what_a_run_finds(sandbox, look, found):
    if not sandbox.namespaces:
        pytest.skip("this machine has no namespaces")
    if "/proc" in look and ran(sandbox, "open('/proc/self/stat')")[0].exit_status:
        pytest.skip("this machine lets no run have a /proc of its own")
    report, out, err = ran(sandbox, f"import os, subprocess, sys\nprint({look})")
    assert out.strip() == found, (report, err)


USUAL = (
    "array bisect collections csv dataclasses datetime decimal fractions functools hashlib heapq itertools json math"
)
USUAL += " random re sqlite3 statistics string struct textwrap threading typing unicodedata zlib zoneinfo"


def test_the_modules_of_the_library_are_there(sandbox):
    for name in USUAL.split():
        assert ran(sandbox, f"import {name}", limits={"cpu_s": 5.0, "idle_s": 5.0})[0].ended_well, name


def test_nothing_of_the_environment_or_the_disk_reaches_a_run(sandbox, monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_TOKEN", "canary-of-this-test")
    (tmp_path / "canary").write_text("canary-of-this-test")
    look = (
        f"import os\nprint(os.path.exists({str(tmp_path)!r}), os.path.exists({__file__!r}))\n"
        "print([n for n in os.environ if 'SECRET' in n])\n"
        "for name in ('/proc/1/environ', '/proc/self/environ', f'/proc/{os.getppid()}/environ'):\n"
        "    try:\n        print('canary' in open(name).read())\n    except OSError:\n        print(False)\n"
    )
    with Sandbox() as fresh:
        for place in (fresh, sandbox):
            assert ran(place, look)[1].split() == ["False", "False", "[]", "False", "False", "False"]


def test_runs_find_nothing_of_each_other(sandbox):
    leave = (
        "import os, time\nfor p in ('a', '/tmp/a', '/dev/shm/a'): open(p, 'w').close()\n"
        "os.fork() or os.setsid()\ntime.sleep(0.05)"
    )
    assert ran(sandbox, leave)[0].exit_status == 0
    look = "import os\nprint(os.listdir('.'), os.listdir('/tmp'), os.listdir('/dev/shm'))"
    assert ran(sandbox, look)[1] == "[] [] []\n"


# files in and out


def test_files_go_in_and_what_is_made_comes_out(sandbox):
    made, out = sandbox.file(), sandbox.file()
    shell = 'cat given > made; printf %s "$WORD" >> made'
    box = Box(
        run=("/bin/sh", "-c", shell),
        limits=Limits(),
        files=(("given", sandbox.file(b"one ")),),
        collected=("made", made),
        environment=(("WORD", "two"),),
        stdout=out,
    )
    [report] = sandbox.run(box)
    assert report.ended_well, report
    assert read_file(made) == b"one two"
    link = Box(run=("/bin/sh", "-c", "ln -s /etc/hostname made"), limits=Limits(), collected=("made", sandbox.file()))
    [report] = sandbox.run(link)
    assert not report.ended_well, "a link is not followed"
    sandbox.free_files()


def test_a_program_that_is_not_there_is_no_fault_of_a_submission(sandbox):
    [report] = sandbox.run(Box(run=("/no/such/compiler",), limits=Limits()))
    assert not report.ended_well
    sandbox.free_files()


def test_files_are_sealed_and_closed(sandbox):
    fd = sandbox.file(b"fixed")
    with pytest.raises(OSError, match="not permitted"):
        os.write(fd, b"changed")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        sandbox.file(b"x" * 10_000)
    sandbox.free_files()
    assert len(list(Path("/proc/self/fd").iterdir())) < before
    assert read_file(sandbox.file(bytes(3 << 24)), 1000) == bytes(1000)
    sandbox.free_files()


# its own end


def test_a_lost_fork_server_is_told_and_another_one_works():
    with Sandbox() as lost:
        lost._server.kill()
        lost._server.wait()
        with pytest.raises(SandboxLostError, match="the fork server is lost"):
            ran(lost, "print(1)")
        with pytest.raises(SandboxLostError):
            ran(lost, "print(1)")
    with Sandbox() as another:
        assert ran(another, "print(1)")[1] == "1\n"
    another.close()


def children(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return found


def gone(pid):
    """Wait until a process has ended, or is a zombie of somebody else's."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


CLIENT = """
import sys
sys.path.insert(0, {root!r})
from verifiers.sandbox.client import Sandbox
from verifiers.sandbox.protocol import Box, Limits
sandbox = Sandbox(bare={bare})
print(sandbox._server.pid, sandbox._scratch, flush=True)
source = b"import os, time\\nos.fork()\\nopen('left', 'w').close()\\ntime.sleep(60)"
limits = Limits(idle_s=60.0)
sandbox.run(Box(run=("stdin",), limits=limits, code=sandbox.file(source)))
"""
ROOT = str(Path(__file__).resolve().parents[2])


@pytest.mark.parametrize("is_bare", [False, True])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_all_ends_with_a_client_that_is_killed(is_bare, how):
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans become our children, so that they can be seen to have ended
    command = [sys.executable, "-c", CLIENT.format(root=ROOT, bare=is_bare)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        server, scratch = process.stdout.readline().split()
        deadline = time.monotonic() + 20
        while not (runs := children(server)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert runs, "a run has started"
        inside = [pid for run in runs for pid in children(run)]
        os.kill(process.pid, how)
    try:
        assert [pid for pid in (server, *runs, *inside) if not gone(pid)] == []
        assert (scratch == "None") != is_bare
        assert not Path(scratch).exists()
    finally:
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
        for pid in (server, *runs, *inside):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(int(pid), os.WNOHANG)


def test_closing_ends_what_runs(bare):
    scratch = bare._scratch
    assert Path(scratch).is_dir()
    with Sandbox(bare=True) as own:
        server, folder = own._server.pid, own._scratch
        assert ran(own, "open('left', 'w').close()\nimport os\nos.fork()")[0].exit_status == 0
        assert list(Path(folder).iterdir()) == []
    assert gone(server)
    assert not Path(folder).exists()


LEFT = {
    "deep folders": "import os\nfor _ in range(6000):\n    os.mkdir('d')\n    os.chdir('d')",
    "deep folders with long names": "import os\nfor _ in range(300):\n    os.mkdir('d' * 250)\n    os.chdir('d' * 250)",
    "closed folders": (
        "import os\nos.makedirs('a/b/c')\nopen('a/b/c/f', 'w').close()\nfor p in ('a/b/c', 'a/b', 'a'): os.chmod(p, 0)"
    ),
    "folders made closed": "import os\nos.mkdir('a', 0)\nos.mkdir('b', 0o300)\nos.mkdir('b/c', 0)",
    "links": "import os\nos.symlink('/', 'a')\nos.symlink('.', 'b')\nos.mkdir('c')\nos.symlink('../..', 'c/d')",
    "a closed place": "import os\nos.mkdir('a')\nos.chmod('.', 0)\nos.chmod('..', 0)",
    "pipes": "import os\nos.mkfifo('a')\nos.mkdir('b')\nos.mkfifo('b/c')",
    "names that are no text": "import os\nos.mkdir(b'\\xff\\n')\nopen(b'\\xff\\n/\\xfe', 'w').close()",
    "names like its own": "import os\nfor n in range(9): os.makedirs(f'd{n}/e')\nopen('0.moved', 'w').close()",
}


@pytest.mark.parametrize("what", LEFT)
def test_nothing_that_a_run_leaves_stays(bare, what):
    report, _, err = ran(bare, LEFT[what], limits={"cpu_s": 9.0, "idle_s": 9.0, "max_files": 10_000})
    assert report.exit_status == 0 or report.stopped == "disk", (report, err)
    assert list(Path(bare._scratch).iterdir()) == []
    assert ran(bare, "print(1)")[1] == "1\n"


def test_a_fork_server_that_is_lost_leaves_no_deep_folders_either():
    with Sandbox(bare=True) as own:
        scratch = own._scratch
        own._server.kill()
        own._server.wait()
        at = os.open(scratch, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("d", dir_fd=at)
            at, before = os.open("d", os.O_RDONLY, dir_fd=at), at
            os.close(before)
        os.close(at)
    assert not Path(scratch).exists()


def test_folders_too_deep_to_be_looked_at_are_too_full(tmp_path):
    place = tmp_path
    assert not is_too_full(str(tmp_path), 64, 100)
    for _ in range(20):
        place /= "d" * 150
        place.mkdir()
    assert is_too_full(str(tmp_path), 64, 100)


# layers

NAMESPACES, SECCOMP = "not permitted", "not in this kernel"
ENOUGH = [
    (None, None, 7, True),
    (None, None, 0, True),
    (NAMESPACES, None, 7, True),
    (NAMESPACES, None, 3, True),
    (NAMESPACES, None, 2, False),
    (NAMESPACES, None, 0, False),
    (None, SECCOMP, 7, False),
    (NAMESPACES, SECCOMP, 7, False),
    (NAMESPACES, SECCOMP, 0, False),
]


@pytest.mark.parametrize(("namespaces", "seccomp", "landlock_abi", "suffices"), ENOUGH)
def test_two_layers_are_needed(monkeypatch, namespaces, seccomp, landlock_abi, suffices):
    found = Layers(namespaces=namespaces, seccomp=seccomp, landlock_abi=landlock_abi)
    assert found.suffices == suffices
    if suffices:
        return
    said = found.lacking()
    assert [word in said for word in ("namespaces (not permitted)", "seccomp (not in this kernel)")] == [
        bool(namespaces),
        bool(seccomp),
    ]
    assert "docker run" in said
    assert "sandbox: none" in said
    monkeypatch.setattr(client, "layers", lambda: found)
    with pytest.raises(SandboxUnavailableError, match="this machine lacks"):
        Sandbox()
    with Sandbox(bare=True) as own:
        assert ran(own, "print(1)")[1] == "1\n"


def test_other_systems_are_told_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    layers.cache_clear()
    try:
        assert not layers().suffices
        assert "needs Linux" in layers().lacking()
    finally:
        monkeypatch.undo()
        layers.cache_clear()


def test_a_sandbox_that_does_not_hold_refuses_to_work(monkeypatch):
    monkeypatch.setattr(
        client,
        "_SELF_TEST",
        client._SELF_TEST.replace('print("end of test")', "print('it gets out')\nprint('end of test')"),
    )
    with pytest.raises(
        SandboxUnavailableError, match="the sandbox does not hold: its own test program says: it gets out"
    ):
        Sandbox()


def test_a_fork_server_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(client, "_SERVE", "import nothing_of_this_name")
    with pytest.raises(SandboxUnavailableError, match="nothing_of_this_name"):
        Sandbox()


def test_a_report_of_nothing_is_no_good_end():
    assert not Report().ended_well
    assert not Report(exit_status=0, stopped="cpu").ended_well
    assert not Report(exit_status=0, fault="x").ended_well
    assert Report(exit_status=0).ended_well
