"""Attacks on processes, memory, disk, output and time: each wants more than a test may have."""

from __future__ import annotations

from code_attacks.attack import HELD, SUM_3S, Attack, kernel_probe, probe, stdin

PROCESSES = [
    probe(
        "fork bomb",
        "processes",
        """
        import time
        first, (done, tell) = os.getpid(), os.pipe()
        for _ in range(10):  # 2 ** 10 processes
            os.fork()
        os.write(tell, b"!")
        if os.getpid() != first:
            time.sleep(3)
            os._exit(0)
        os.set_blocking(done, False)
        time.sleep(0.7)
        won = len(os.read(done, 2000)) == 1024
        """,
        expected=HELD,
    ),
    probe(
        "a thousand children",
        "processes",
        """
        import time
        for _ in range(1000):
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)
        won = True
        """,
    ),
    probe(
        "spawn bomb",
        "processes",
        """
        import subprocess
        command = [sys.executable, "-S", "-c", "import time; time.sleep(4) # @NAME@"]
        running = [subprocess.Popen(command) for _ in range(300)]
        won = all(process.poll() is None for process in running)
        """,
        SUM_3S,
    ),
    probe(
        "shell fork bomb",
        "processes",
        """
        import subprocess
        script = "f() { test $1 -gt 9 && echo . && sleep 3 && exit; f $(($1+1)) & f $(($1+1)) & wait; }; f 0"
        done = subprocess.run(["/bin/sh", "-c", script], timeout=5, stdout=subprocess.PIPE)
        won = done.stdout.count(b".") > 1000
        """,
        waits=True,
        note="the shell itself ends well where it may start no more: it has won when a thousand processes slept",
    ),
    probe(
        "thread bomb",
        "processes",
        """
        import threading, time
        threading.stack_size(65536)
        for _ in range(3000):
            threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
        won = True
        """,
        SUM_3S,
    ),
    stdin(
        "children that burn the processor",
        "processes",
        """
        import os
        for _ in range(4):
            if os.fork() == 0:
                while True:
                    pass
        for _ in range(4):
            os.wait()
        print(sum(map(int, input().split())))
        """,
        waits=True,
    ),
    stdin(
        "fork and end in a ring",
        "processes",
        """
        import os, time
        end = time.time() + 3
        while time.time() < end:  # each child goes on as the next parent: no process id stays long
            if os.fork():
                os._exit(1)
        print(sum(map(int, input().split())))
        """,
    ),
]

MEMORY = [
    probe(
        "one huge block",
        "memory",
        """
        block = bytearray(1 << 30)
        for page in range(0, 1 << 30, 4096):
            block[page] = 1
        won = True
        """,
        SUM_3S,
    ),
    probe(
        "block after block",
        "memory",
        """
        held = []
        for _ in range(64):
            held.append(b"x" * (16 << 20))
        won = True
        """,
        SUM_3S,
    ),
    probe("many small objects", "memory", "held = [[] for _ in range(16_000_000)]\nwon = True", SUM_3S),
    probe(
        "one string of doubling size",
        "memory",
        "text = 'x'\nwhile len(text) < 1 << 30:\n    text += text\nwon = True",
        SUM_3S,
    ),
    *(
        probe(
            f"anonymous map, {kind}",
            "memory",
            f"""
            import mmap
            area = mmap.mmap(-1, 1 << 30, flags=mmap.{flag} | mmap.MAP_ANONYMOUS)
            for page in range(0, 1 << 30, 4096):
                area[page] = 1
            won = True
            """,
            SUM_3S,
        )
        for kind, flag in (("private", "MAP_PRIVATE"), ("shared", "MAP_SHARED"))
    ),
    probe(
        "memory file",
        "memory",
        """
        file = os.memfd_create("@NAME@")
        for _ in range(64):
            assert os.write(file, bytes(16 << 20)) == 16 << 20
        won = True
        """,
        SUM_3S,
    ),
    probe(
        "files of /dev/shm",
        "memory",
        """
        with open("/dev/shm/@NAME@", "wb") as file:
            for _ in range(64):
                file.write(b"x" * (16 << 20))
        won = True
        """,
        SUM_3S,
    ),
    kernel_probe(
        "System V segment",
        "memory",
        """
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(ctypes.c_int(@NUMBER@ + 1), ctypes.c_size_t(1 << 30), 0o1666)
        place = libc.shmat(segment, None, 0)
        if segment >= 0 and place != ctypes.c_void_p(-1).value:
            ctypes.memset(place, 1, 1 << 30)
            won = True
        """,
        SUM_3S,
    ),
    probe(
        "a little in each of eight children",
        "memory",
        """
        import time
        done, tell = os.pipe()
        for _ in range(8):
            if os.fork() == 0:
                block = b"x" * (120 << 20)
                os.write(tell, b"!")
                time.sleep(2)
                os._exit(0)
        got = 0
        while got < 8:
            got += len(os.read(done, 8))
        won = True
        """,
        SUM_3S,
    ),
    probe(
        "higher limits for itself",
        "memory",
        """
        import resource
        for what in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):
            try:
                resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            except (OSError, ValueError):
                resource.setrlimit(what, (resource.getrlimit(what)[1],) * 2)
        block = b"x" * (1 << 30)
        won = True
        """,
        SUM_3S,
    ),
    probe(
        "decompression bomb",
        "memory",
        """
        import zlib
        packer = zlib.compressobj(wbits=-15)
        bomb = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)) * 1024
        won = len(zlib.decompressobj(-15).decompress(bomb)) >= 1 << 30
        """,
        SUM_3S,
    ),
    probe("huge shift", "memory", "won = (1 << (1 << 36)) > 0"),
    probe("huge list by multiplication", "memory", "won = len([0] * (1 << 28)) > 0 and len([None] * (1 << 40)) > 0"),
    probe("raised out-of-memory", "memory", "raise MemoryError"),
]

DISK = [
    probe(
        f"a gigabyte of files in {where}",
        "disk",
        f"""
        for number in range(64):
            with open(f"{path}/@NAME@-{{number}}", "wb") as file:
                file.write(b"x" * (16 << 20))
        won = True
        """,
        SUM_3S,
    )
    for where, path in (("the current folder", "."), ("/tmp", "/tmp"))
] + [
    probe(
        "a gigabyte in one file",
        "disk",
        "with open('@NAME@', 'wb') as f:\n    for _ in range(64):\n        f.write(b'x' * (16 << 20))\nwon = True",
        SUM_3S,
    ),
    probe(
        "sparse file of a terabyte",
        "disk",
        "with open('@NAME@', 'wb') as file:\n    file.truncate(1 << 40)\nwon = True",
    ),
    probe(
        "reserved space",
        "disk",
        "with open('@NAME@', 'wb') as file:\n    os.posix_fallocate(file.fileno(), 0, 1 << 30)\nwon = True",
    ),
    probe(
        "sixty thousand empty files",
        "disk",
        "for number in range(60_000):\n    os.close(os.open(f'@NAME@-{number}', os.O_CREAT | os.O_WRONLY))\nwon = True",
        SUM_3S,
    ),
    probe(
        "sixty thousand links",
        "disk",
        "for number in range(60_000):\n    os.symlink('x' * 200, f'@NAME@-{number}')\nwon = True",
        SUM_3S,
    ),
]

OUTPUT = [
    stdin(
        "flood of output", "output", "import os\nfor _ in range(40_000):\n    os.write(1, b'5\\n' * 32_768)", waits=True
    ),
    stdin(
        "flood of errors",
        "output",
        "import os\nfor _ in range(40_000):\n    os.write(2, b'no\\n' * 32_768)",
        waits=True,
    ),
    stdin(
        "the right answer, then 300 MB of line feeds",
        "output",
        """
        import os
        os.write(1, b"%d" % sum(map(int, input().split())))
        for _ in range(300):
            place = 0
            while place < 1 << 20:
                place += os.write(1, b"\\n" * ((1 << 20) - place))
        """,
        SUM_3S,
    ),
    stdin(
        "one line without an end", "output", "import sys\nwhile sys.stdout.write('5' * 65_536):\n    pass", waits=True
    ),
    probe(
        "twenty thousand descriptors",
        "output",
        """
        import resource
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        held = [os.open("/dev/null", os.O_RDONLY) for _ in range(20_000)]
        won = True
        """,
    ),
    probe("full pipes", "output", "won = len([os.write(os.pipe()[1], bytes(65_536)) for _ in range(20_000)]) > 0"),
]

HANGS = """
sleep: import time; time.sleep(30)
select: import select; select.select([], [], [], 30)
poll: import select; select.poll().poll(30_000)
lock: import threading; lock = threading.Lock(); lock.acquire(); lock.acquire(timeout=30)
event loop: import asyncio; asyncio.run(asyncio.sleep(30))
own pipe: import os; os.read(os.pipe()[0], 1)
pause: import signal; signal.pause()
busy loop: exec("while True: pass")
regular expression: import re; re.match(r"(a+)+$", "a" * 40 + "b")
power: pow(7, 10 ** 8)
tower: print(10 ** 10 ** 8)
digits: import sys; sys.set_int_max_str_digits(0); str(3 ** 4_000_000)
factorial: import math; math.factorial(10 ** 7)
sum of a range: sum(range(10 ** 11))
membership: 5 in iter(int, 1)
endless list: list(iter(lambda: 1, 2))
"""
TIME = [
    stdin(f"hang: {name}", "time", f"a, b = map(int, input().split())\n{code}\nprint(a + b)", waits=True)
    for name, _, code in (line.partition(": ") for line in HANGS.strip().splitlines())
] + [
    stdin(
        "right, then a thread that never ends",
        "time",
        """
        import threading, time
        print(sum(map(int, input().split())), flush=True)
        threading.Thread(target=time.sleep, args=(30,)).start()
        """,
        waits=True,
    ),
    stdin(
        "right, then a hanging end of the interpreter",
        "time",
        """
        import atexit, time
        print(sum(map(int, input().split())), flush=True)
        atexit.register(time.sleep, 30)
        """,
        waits=True,
    ),
    stdin(
        "all signals ignored",
        "time",
        """
        import signal
        for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
        """,
        waits=True,
    ),
    stdin(
        "all signals blocked",
        "time",
        """
        import signal, time
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(30)
        """,
        waits=True,
    ),
    stdin(
        "the answer at the last moment",
        "time",
        """
        import os, signal, time
        a, b = map(int, input().split())
        def answer(*_):
            os.write(1, b"%d\\n" % (a + b))
            os._exit(0)
        for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, answer)
        time.sleep(0.5)
        while True:
            pass
        """,
        waits=True,
        note="right only when it is told to stop: out of time all the same",
    ),
    stdin(
        "stopped",
        "time",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nprint(sum(map(int, input().split())))",
        expected=HELD,
        waits=True,
    ),
    stdin(
        "time is stretched by sleeping children",
        "time",
        """
        import os, time
        if os.fork():
            os.wait()
            print(sum(map(int, input().split())))
        else:
            time.sleep(30)
        """,
        waits=True,
    ),
    stdin(
        "children of another thread that burn the processor",
        "time",
        """
        import os, threading
        def start():
            for _ in range(20):
                if os.fork() == 0:
                    while True:
                        pass
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        for pid in iter(lambda: os.waitpid(-1, 0), None):
            pass
        """,
        waits=True,
        note="the kernel lists a child with the thread that started it",
    ),
    stdin(
        "children of another thread that hold memory",
        "memory",
        """
        import os, threading, time
        def start():
            for _ in range(8):
                if os.fork() == 0:
                    held = bytearray(80_000_000)
                    time.sleep(0.6)
                    os._exit(0)
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        time.sleep(0.5)
        print(sum(map(int, input().split())))
        """,
        note="each of them is small: all of them together are not",
    ),
    stdin(
        "thirty children that keep it waiting for the processor",
        "time",
        """
        import os
        for _ in range(30):
            if os.fork() == 0:
                break
        while True:
            pass
        """,
        expected=HELD,
        waits=True,
        note="its own share of the processor is small: the time of all of them counts",
    ),
    stdin(
        "thirty seconds of work in eight threads",
        "time",
        """
        import hashlib, threading
        block = bytes(1 << 24)
        def work():
            for _ in range(400):
                hashlib.sha256(block).digest()
        workers = [threading.Thread(target=work) for _ in range(8)]
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
        print(sum(map(int, input().split())))
        """,
        waits=True,
    ),
]

STACKS = [
    stdin(
        f"stack: {name}",
        "stack",
        f"import sys\nsys.setrecursionlimit(10 ** 9)\n{code}\nprint('held')",
        SUM_3S,
    )
    for name, code in {
        "recursion through C": "def deep(n):\n    return max([n], key=lambda _: deep(n + 1))\ndeep(0)",
        "plain recursion without an end": "def deep(n):\n    return deep(n + 1)\ndeep(0)",
        "representation of a nest": "nest = []\nfor _ in range(10 ** 6):\n    nest = [nest]\nrepr(nest)",
        "comparison of nests": ("one, two = [], []\nfor _ in range(10 ** 6):\n    one, two = [one], [two]\none == two"),
        "nested brackets": "eval('(' * 10 ** 6 + ')' * 10 ** 6)",
        "attribute of itself": "class Deep:\n"
        "    def __getattr__(self, name):\n"
        "        return getattr(self, name + 'x')\n"
        "Deep().a",
    }.items()
]

ATTACKS: list[Attack] = [*PROCESSES, *MEMORY, *DISK, *OUTPUT, *TIME, *STACKS]
