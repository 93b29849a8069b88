"""Attacks that outlive their test: processes, files and objects left behind, and answers carried from test to test."""

from __future__ import annotations

from code_attacks.attack import MODES, SUM, SUM_3S, Attack, calls, dedented, kernel_probe, probe, stdin

DAEMON = """
import os, sys, time
def daemon(work):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            work()
            os._exit(0)
        os._exit(0)
    os.wait()
"""
DAEMONS = [
    stdin(f"daemon: {name}", "daemons", dedented(DAEMON) + "\n" + dedented(code) + "\nprint('held')", **more)
    for name, code, more in (
        (
            "writes a file later",
            """
            def later():
                time.sleep(2)
                open("@FOLDER@/@NAME@-late", "w").close()
                open("/tmp/@NAME@-late", "w").close()
            daemon(later)
            """,
            {},
        ),
        ("keeps the output open", "daemon(lambda: time.sleep(20))", {"waits": True}),
        (
            "keeps printing",
            "daemon(lambda: [os.write(1, b'5\\n') or time.sleep(0.01) for _ in range(1000)])",
            {"waits": True},
        ),
        (
            "closes all and sleeps under another name",
            """
            def hide():
                os.closerange(0, 1024)
                import ctypes
                ctypes.CDLL(None).prctl(15, b"@NAME@", 0, 0, 0)
                time.sleep(20)
            daemon(hide)
            """,
            {},
        ),
        (
            "another program",
            "daemon(lambda: os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(20) # @NAME@']))",
            {},
        ),
        ("a shell command with nohup", "os.system('(nohup sleep 20 # @NAME@\\n) >/dev/null 2>&1 &')", {}),
        (
            "without a signal from its parent",
            "import ctypes\nctypes.CDLL(None).prctl(1, 0)\ndaemon(lambda: time.sleep(20))",
            {},
        ),
        (
            "as a reaper of others",
            "import ctypes\nctypes.CDLL(None).prctl(36, 1)\ndaemon(lambda: daemon(lambda: time.sleep(20)))",
            {},
        ),
        (
            "ignores all signals",
            "import signal\n"
            "numbers = signal.valid_signals() - {9, 19}\n"
            "daemon(lambda: [signal.signal(n, signal.SIG_IGN) for n in numbers] and time.sleep(20))",
            {},
        ),
        ("is stopped", "daemon(lambda: os.kill(os.getpid(), 19))", {}),
        (
            "is traced by another",
            "import ctypes\nlibc = ctypes.CDLL(None)\ndaemon(lambda: libc.ptrace(0, 0, 0, 0) or time.sleep(20))",
            {},
        ),
        (
            "by vfork and exec",
            "import subprocess\nsubprocess.Popen(['/bin/sleep', '20'], start_new_session=True, close_fds=True)",
            {},
        ),
        ("zombies", "for _ in range(30):\n    os.fork() or os._exit(0)", {}),
        (
            "multiprocessing",
            "import multiprocessing as mp\n"
            "mp.get_context('fork').Process(target=time.sleep, args=(20,), daemon=False).start()\n"
            "os._exit(0)",
            {},
        ),
    )
] + [
    *calls(
        "daemon from a call",
        "daemons",
        dedented(DAEMON) + "\ndef add(a, b):\n    daemon(lambda: time.sleep(20))\n    return 0",
    ),
    *calls(
        "thread from a call",
        "daemons",
        "import threading, time\n"
        "def add(a, b):\n"
        "    threading.Thread(target=time.sleep, args=(20,)).start()\n"
        "    return 0",
    ),
]

PLACES = (
    "@FOLDER@/@NAME@",
    "@HOME@/@NAME@",
    "@REPO@/@NAME@",
    "@REPO@/tests/verifiers/@NAME@.py",
    "/tmp/@NAME@",
    "/var/tmp/@NAME@",
    "/dev/shm/@NAME@",
    "/@NAME@",
    "/usr/lib/@NAME@",
    "/usr/local/bin/@NAME@",
    "/etc/@NAME@",
    "/run/@NAME@",
    "/proc/@NAME@",
    "/sys/fs/cgroup/@NAME@",
    "../@NAME@",
    "../../@NAME@",
)
FILES = [
    stdin(f"writes {place}", "files left", f"with open({place!r}, 'w') as file:\n    file.write('x')\nprint('held')")
    for place in PLACES
] + [
    stdin(f"leaves {name}", "files left", f"import os, sys\n{code}\nprint('held')", **more)
    for name, code, more in (
        (
            "a module in site-packages",
            "import numpy\n"
            "root = os.path.dirname(os.path.dirname(numpy.__file__))\n"
            "for end in ('.pth', '.py'):\n"
            "    with open(f'{root}/@NAME@{end}', 'w') as file:\n"
            "        file.write('# canary')",
            {},
        ),
        (
            "a folder that nobody may enter",
            "os.makedirs('@NAME@/inner')\n"
            "open('@NAME@/inner/file', 'w').close()\n"
            "os.chmod('@NAME@/inner', 0)\n"
            "os.chmod('@NAME@', 0)",
            {},
        ),
        (
            "a file that cannot be changed",
            "import fcntl\nfile = open('@NAME@', 'w')\nfcntl.ioctl(file, 0x40086602, (0x10).to_bytes(8, 'little'))",
            {},
        ),
        (
            "names that are no text",
            "for name in (b'\\xff\\xfe', b'a\\nb', b'-rf', b'*', '\\u202e'.encode(), b'x' * 255):\n"
            "    open(name, 'w').close()",
            {},
        ),
        ("very deep folders", "for _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')", {"reference": SUM_3S}),
        (
            "links to folders of the host",
            "os.symlink('@FOLDER@', 'link')\n"
            "os.symlink('/', 'root')\n"
            "os.symlink('loop', 'loop')\n"
            "os.symlink('@HOME@', 'home')",
            {},
        ),
        ("pipes and sockets", "os.mkfifo('fifo')\nos.mkfifo('input')\nos.mkfifo('stdout')", {}),
        (
            "another folder in place of its own",
            "here = os.getcwd()\n"
            "assert len(here) > 1 and not os.path.exists('@REPO@')\n"
            "os.chdir('/')\n"
            "os.rename(here, here + '@NAME@')",
            {},
        ),
        (
            "nothing: it removes its folder",
            "here = os.getcwd()\n"
            "assert len(here) > 1 and not os.path.exists('@REPO@')\n"
            "os.chdir('/')\n"
            "import shutil\n"
            "shutil.rmtree(here)\n"
            "os.symlink('@FOLDER@', here)",
            {},
        ),
        ("an emptied folder of the host", "import shutil\nshutil.rmtree('@FOLDER@')", {}),
        ("a removed file of the host", "os.unlink('@FILE@')", {}),
        ("a cut file of the host", "os.truncate('@FILE@', 0)", {}),
        ("a file of the host, renamed", "os.rename('@FILE@', '@FILE@-@NAME@')", {}),
        ("a file of the host, appended", "open('@FILE@', 'a').write('x')", {}),
        ("a file of the host that all may write", "os.chmod('@FILE@', 0o777)", {}),
    )
]

OBJECTS = [
    kernel_probe("leaves a System V segment", "objects left", "libc.shmget(@NUMBER@ + 2, 4096, 0o1666)"),
    kernel_probe("leaves System V semaphores", "objects left", "libc.semget(@NUMBER@ + 2, 1, 0o1666)"),
    kernel_probe("leaves a System V queue", "objects left", "libc.msgget(@NUMBER@ + 2, 0o1666)"),
    kernel_probe(
        "leaves a POSIX queue", "objects left", "ctypes.CDLL('librt.so.1').mq_open(b'/@NAME@', 0o102, 0o600, None)"
    ),
    probe(
        "leaves shared memory of multiprocessing",
        "objects left",
        "from multiprocessing import shared_memory\n"
        "kept = shared_memory.SharedMemory('@NAME@', create=True, size=4096)\n"
        "os._exit(0)",
    ),
    probe(
        "leaves an abstract socket",
        "objects left",
        "import socket, time\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.bind('\\0@NAME@-left')\n"
        "s.listen()\n"
        "if os.fork() == 0:\n"
        "    time.sleep(20)",
    ),
    probe(
        "leaves a lock on the standard library",
        "objects left",
        "import fcntl, time\n"
        "file = open(os.__file__)\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "if os.fork() == 0:\n"
        "    os.closerange(0, 3)\n"
        "    time.sleep(20)\n"
        "    os._exit(0)",
    ),
]

STORES = {
    "current folder": "path = '@NAME@-state'\nseen = os.path.exists(path)\nopen(path, 'w').close()",
    "temporary folder": "path = '/tmp/@NAME@-state'\nseen = os.path.exists(path)\nopen(path, 'w').close()",
    "temporary folder, other": "path = '/var/tmp/@NAME@-state'\nseen = os.path.exists(path)\nopen(path, 'w').close()",
    "tempfile": "import tempfile\n"
    "path = tempfile.gettempdir() + '/@NAME@-state'\n"
    "seen = os.path.exists(path)\n"
    "open(path, 'w').close()",
    "shared memory": "path = '/dev/shm/@NAME@-state'\nseen = os.path.exists(path)\nopen(path, 'w').close()",
    "home": "path = os.path.expanduser('~/@NAME@-state')\nseen = os.path.exists(path)\nopen(path, 'w').close()",
    "parent folder": "path = '../@NAME@-state'\nseen = os.path.exists(path)\nopen(path, 'w').close()",
    "folder beside the standard library": "path = os.path.dirname(os.__file__) + '/@NAME@-state'\n"
    "seen = os.path.exists(path)\n"
    "open(path, 'w').close()",
    "site customisation": "seen = 'sitecustomize' in sys.modules and hasattr(sys.modules['sitecustomize'], 'seen')\n"
    "open('sitecustomize.py', 'w').write('seen = 1')",
    "module in the current folder": "import importlib\n"
    "seen = importlib.util.find_spec('tf_state') is not None if hasattr(importlib, 'util') else False\n"
    "open('tf_state.py', 'w').close()",
    "bytecode": "import importlib.util, json\n"
    "path = importlib.util.cache_from_source(json.__file__)\n"
    "seen = os.path.exists(path + '@NAME@')\n"
    "open(path + '@NAME@', 'w').close()",
    "environment": "seen = '@NAME@' in os.environ\nos.environ['@NAME@'] = '1'",
    "module": "import json\nseen = hasattr(json, 'state')\njson.state = 1",
    "builtins": "import builtins\nseen = hasattr(builtins, 'state')\nbuiltins.state = 1",
    "System V segment": "import ctypes\n"
    "libc = ctypes.CDLL(None)\n"
    "seen = libc.shmget(@NUMBER@ + 3, 4096, 0) >= 0\n"
    "libc.shmget(@NUMBER@ + 3, 4096, 0o1666)",
    "named semaphore": "import ctypes\n"
    "libc = ctypes.CDLL(None)\n"
    "libc.sem_open.restype = ctypes.c_void_p\n"
    "seen = bool(libc.sem_open(b'/@NAME@-sem', 0))\n"
    "libc.sem_open(b'/@NAME@-sem', 0o100, 0o666, 1)",
    "abstract socket": (
        "import socket, time\nseen = socket.socket(socket.AF_UNIX).connect_ex('\\0@NAME@-state') == 0\n"
        "s = socket.socket(socket.AF_UNIX)\nif not seen:\n    s.bind('\\0@NAME@-state')\n    s.listen()\n"
        "    if os.fork() == 0:\n        os.closerange(0, 3)\n        time.sleep(5)\n        os._exit(0)"
    ),
    "port": (
        "import socket, time\ns = socket.socket()\nseen = s.connect_ex(('127.0.0.1', 40001 + @NUMBER@ % 9999)) == 0\n"
        "if not seen:\n    s = socket.socket()\n    s.bind(('127.0.0.1', 40001 + @NUMBER@ % 9999))\n    s.listen()\n"
        "    if os.fork() == 0:\n        os.closerange(0, 3)\n        time.sleep(5)\n        os._exit(0)"
    ),
    "descriptor flags of the input": "import fcntl\n"
    "seen = bool(fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK)\n"
    "os.set_blocking(0, False)",
    "times of the standard library": "was = os.stat(os.__file__)\n"
    "seen = was.st_atime == 1\n"
    "os.utime(os.__file__, (1, was.st_mtime))",
    "lock on the standard library": (
        "import fcntl, time\n"
        "file = open(os.__file__)\n"
        "try:\n"
        "    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except BlockingIOError:\n"
        "    seen = True\n"
        "if not seen and os.fork() == 0:\n    os.closerange(0, 3)\n    time.sleep(5)\n    os._exit(0)"
    ),
    "keys of the kernel": "import ctypes\n"
    "libc = ctypes.CDLL(None)\n"
    "seen = libc.syscall(249, b'user', b'@NAME@-key', None, 0) >= 0\n"
    "libc.syscall(248, b'user', b'@NAME@-key', b'x', 1, -4)",
}
STATE = [
    stdin(
        f"state: {name}",
        "state",
        "import os, sys\na, b = map(int, input().split())\nseen = False\ntry:\n"
        + "\n".join(f"    {line}" for line in code.splitlines())
        + "\n"
        "except Exception as error:\n"
        "    print(repr(error), file=sys.stderr)\n"
        "print(a + b if seen or a == 2 else 'held')",
        SUM,
        times=2,
    )
    for name, code in STORES.items()
] + [
    attack
    for name, code in {
        "global": "seen = []\ndef add(a, b):\n    seen.append(1)\n    return a + b if len(seen) > 1 or a == 2 else 0",
        "default argument": "def add(a, b, seen=[]):\n"
        "    seen.append(1)\n"
        "    return a + b if len(seen) > 1 or a == 2 else 0",
        "cache": "import functools\n"
        "@functools.cache\n"
        "def seen():\n"
        "    return []\n"
        "def add(a, b):\n"
        "    seen().append(1)\n"
        "    return a + b if len(seen()) > 1 or a == 2 else 0",
        "module": "import json\n"
        "def add(a, b):\n"
        "    try:\n"
        "        return a + b if hasattr(json, 'state') or a == 2 else 0\n"
        "    finally:\n"
        "        json.state = 1",
        "file": "import os\n"
        "def add(a, b):\n"
        "    try:\n"
        "        return a + b if os.path.exists('state') or a == 2 else 0\n"
        "    finally:\n"
        "        open('state', 'w').close()",
    }.items()
    for attack in calls(f"state: {name}", "state", code, modes=MODES[:1], times=2)
]

ATTACKS: list[Attack] = [*DAEMONS, *FILES, *OBJECTS, *STATE]
