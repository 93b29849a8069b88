"""Attacks that look for what belongs to the host: files, environment, other processes, descriptors, sockets, devices.

Each gives the right answer only if it has got hold of something; what it got it never shows.
"""

from __future__ import annotations

from code_attacks.attack import ADD, Attack, calls, kernel_probe, probe

CANARY = 'b"canary-"'

FILES = [
    probe(f"reads {name}", "files of the host", body)
    for name, body in {
        "a file by its path": f"won = open('@FILE@', 'rb').read().startswith({CANARY})",
        "a file through ..": f"won = open('../' * 40 + '@FILE@'.lstrip('/'), 'rb').read().startswith({CANARY})",
        "a file through /proc/self/root": f"won = open('/proc/self/root@FILE@', 'rb').read().startswith({CANARY})",
        "a file through /proc/1/root": f"won = open('/proc/1/root@FILE@', 'rb').read().startswith({CANARY})",
        "a file through the sleeper's root": f"won = open('/proc/@PID@/root@FILE@', 'rb').read().startswith({CANARY})",
        "a file through a parent's folder": f"""
            above = f"/proc/{{os.getppid()}}/cwd/" + "../" * 40
            won = open(above + "@FILE@".lstrip("/"), "rb").read().startswith({CANARY})
        """,
        "a file through a link of its own": "os.symlink('@FILE@', 'link')\n"
        f"won = open('link', 'rb').read().startswith({CANARY})",
        "a file through a hard link": "os.link('@FILE@', 'hard')\n"
        f"won = open('hard', 'rb').read().startswith({CANARY})",
        "the list of users": "won = 'daemon' in open('/etc/passwd').read()",
        "the list of password hashes": "won = len(open('/etc/shadow').read(1)) == 1",
        "the home": "won = bool(os.listdir('@HOME@'))",
        "the repository": "won = bool(open('@REPO@/pyproject.toml').read(1))",
        "its own tests": "won = bool(open('@REPO@/tests/verifiers/code_attacks/host.py').read(1))",
        "the judge": "won = bool(open('@REPO@/verifiers/verdict.py').read(1))",
        "the folder of temporary files": "won = '@NAME@' in ' '.join(os.listdir(os.path.dirname('@FOLDER@')))",
        "a file by its handle": f"""
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            handle, mount = ctypes.create_string_buffer(136), ctypes.c_int()
            handle[0:4] = (128).to_bytes(4, "little")
            assert libc.name_to_handle_at(-100, b"@FILE@", handle, ctypes.byref(mount), 0) == 0
            fd = libc.open_by_handle_at(os.open("/", os.O_RDONLY), handle, os.O_RDONLY)
            won = os.read(fd, 100).startswith({CANARY})
        """,
        "whether a file exists": "won = os.path.exists('@FILE@') and os.stat('@FILE@').st_size > 0",
        "the logs": "won = bool(os.listdir('/var/log'))",
        "the kernel's log": "won = bool(os.read(os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK), 8192))",
        "the kernel's addresses": "won = any(int(line.split()[0], 16) for line in open('/proc/kallsyms'))",
        "the machine's memory": "won = os.open('/dev/mem', os.O_RDONLY) >= 0",
        "the kernel's memory": "won = os.open('/proc/kcore', os.O_RDONLY) >= 0",
        "the disk": """
            disks = ["/dev/" + name for name in ("vda", "sda", "nvme0n1", "xvda")]
            won = any(os.open(disk, os.O_RDONLY) >= 0 for disk in disks if os.path.exists(disk))
        """,
        "changes in a folder of the host": """
            import ctypes
            libc = ctypes.CDLL(None)
            watch = libc.inotify_init1(0)
            won = watch >= 0 and libc.inotify_add_watch(watch, b"@FOLDER@", 0x100) >= 0
        """,
    }.items()
]

PROCESSES = [
    probe(f"looks at {name}", "other processes", body)
    for name, body in {
        "its environment": "won = any('canary-' in value for value in os.environ.values())",
        "the environment it began with": "won = b'canary-' in open('/proc/self/environ', 'rb').read()",
        "the C library's environment": """
            import ctypes
            libc = ctypes.CDLL(None)
            libc.getenv.restype = ctypes.c_char_p
            won = libc.getenv(b"@NAME@".replace(b"-", b"_")) is not None
        """,
        "the environment of its parents": """
            pid, seen = os.getppid(), 0
            while pid > 0 and seen < 3 and not won:
                won = b"canary-" in open(f"/proc/{pid}/environ", "rb").read()
                pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
                seen += 1
        """,
        "the environment of the sleeper": "won = b'canary-' in open('/proc/@PID@/environ', 'rb').read()",
        "the command of the sleeper": "won = b'@NAME@' in open('/proc/@PID@/cmdline', 'rb').read()",
        "the list of processes": "won = '@PID@' in os.listdir('/proc')",
        "the descriptors of the sleeper": "won = bool(os.listdir('/proc/@PID@/fd'))",
        "the descriptors of its parent": """
            folder = f"/proc/{os.getppid()}/fd/"
            won = any(os.readlink(folder + number).endswith("@NAME@-file") for number in os.listdir(folder))
        """,
        "the memory of its parent": """
            parent = os.getppid()
            with open(f"/proc/{parent}/maps") as maps:
                start = next(int(line.split("-")[0], 16) for line in maps if " rw" in line)
            with open(f"/proc/{parent}/mem", "rb", 0) as memory:
                memory.seek(start)
                won = len(memory.read(8)) == 8
        """,
        "the memory of the sleeper": """
            with open("/proc/@PID@/maps") as maps:
                start = next(int(line.split("-")[0], 16) for line in maps if " rw" in line)
            with open("/proc/@PID@/mem", "rb", 0) as memory:
                memory.seek(start)
                won = len(memory.read(8)) == 8
        """,
        "the programs of others by their threads": "won = os.path.exists('/proc/@PID@/task/@PID@/comm')",
        "the priority of the sleeper": "won = os.getpriority(os.PRIO_PROCESS, @PID@) > -100",
        "the session of the sleeper": "won = os.getsid(@PID@) > 0",
    }.items()
] + [
    kernel_probe(f"looks at {name}", "other processes", body)
    for name, body in {
        "its parent by process_vm_readv": """
            class Vector(ctypes.Structure):
                _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
            room = ctypes.create_string_buffer(8)
            mine, theirs = Vector(ctypes.addressof(room), 8), Vector(id(0), 8)  # the same place in a forked parent
            won = libc.process_vm_readv(os.getppid(), ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) == 8
        """,
        "the sleeper by ptrace": "won = libc.ptrace(0x4206, @PID@, None, None) == 0  # PTRACE_SEIZE",
        "its parent by ptrace": "won = os.getppid() > 1 and libc.ptrace(0x4206, os.getppid(), None, None) == 0",
        "a descriptor of the sleeper by pidfd_getfd": """
            fd = libc.syscall(ctypes.c_long(434), ctypes.c_int(@PID@), 0)
            won = fd >= 0 and libc.syscall(ctypes.c_long(438), ctypes.c_int(fd), 0, 0) >= 0
        """,
        "the sleeper by kcmp": "won = libc.syscall(ctypes.c_long(312), @PID@, @PID@, 1, 0, 0) >= 0",
        "the sleeper's limits": "import resource\nwon = bool(resource.prlimit(@PID@, resource.RLIMIT_CORE))",
        "the sleeper's pages": "won = libc.syscall(ctypes.c_long(279), @PID@, 0, None, None, None, 0) == 0",
        "robust futexes of the sleeper": """
            head, size = ctypes.c_void_p(), ctypes.c_size_t()
            won = libc.syscall(ctypes.c_long(274), @PID@, ctypes.byref(head), ctypes.byref(size)) == 0
        """,
    }.items()
]

DESCRIPTORS = [
    probe(
        "reads a descriptor of the judge",
        "descriptors",
        f"won = os.pread(@FD@, 100, 0).startswith({CANARY})",
    ),
    probe(
        "reads all descriptors",
        "descriptors",
        f"""
        for fd in range(3, 1024):
            try:
                os.set_blocking(fd, False)
                won = won or {CANARY} in os.read(fd, 1 << 16)
                won = won or {CANARY} in os.pread(fd, 1 << 16, 0)
            except OSError:
                pass
        """,
    ),
    probe(
        "opens the judge's descriptors by /proc/self/fd",
        "descriptors",
        f"""
        for name in os.listdir("/proc/self/fd"):
            try:
                fd = os.open(f"/proc/self/fd/{{name}}", os.O_RDONLY | os.O_NONBLOCK)
                won = won or (int(name) > 2 and {CANARY} in os.read(fd, 1 << 16))
            except OSError:
                pass
        """,
    ),
    probe(
        "goes up from a folder that is open",
        "descriptors",
        f"""
        for fd in range(3, 1024):
            try:
                file = os.open("../" * 40 + "@FILE@".lstrip("/"), os.O_RDONLY, dir_fd=fd)
                won = won or os.read(file, 100).startswith({CANARY})
            except OSError:
                pass
        """,
    ),
    probe(
        "reads its own input again from the start",
        "descriptors",
        """
        import io
        text = sys.stdin.read()
        sys.stdin = io.StringIO(text)
        os.lseek(0, 0, os.SEEK_SET)
        won = os.read(0, 1 << 16) != text.encode()  # what stands around it: other tests, expected outputs
        """,
    ),
]

NETWORK = [
    probe(f"network: {name}", "network", "import socket\n" + body.strip("\n"))
    for name, body in {
        "connects to a port of the host": "socket.create_connection(('127.0.0.1', @PORT@), 0.5)\nwon = True",
        "connects by 0.0.0.0": "socket.create_connection(('0.0.0.0', @PORT@), 0.5)\nwon = True",
        "connects without waiting": "s = socket.socket()\n"
        "s.setblocking(False)\n"
        "won = s.connect_ex(('127.0.0.1', @PORT@)) in (0, 115)\n"
        "import time\n"
        "time.sleep(0.1)\n"
        "won = won and s.getsockopt(1, 4) == 0 and bool(s.getpeername())",
        "sends with a fast open": "s = socket.socket()\nwon = s.sendto(b'x', 0x20000000, ('127.0.0.1', @PORT@)) == 1",
        "sends a datagram": "won = socket.socket(2, 2).sendto(b'x', ('127.0.0.1', @PORT@)) == 1",
        "finds a port of the host taken": "s = socket.socket()\n"
        "won = s.connect_ex(('127.0.0.1', @PORT@)) == 0\n"
        "try:\n"
        "    s.bind(('127.0.0.1', @PORT@))\n"
        "except OSError as error:\n"
        "    won = won or error.errno == 98",
        "connects to a unix socket": "socket.socket(socket.AF_UNIX).connect('@SOCKET@')\nwon = True",
        "connects to an abstract socket": "socket.socket(socket.AF_UNIX).connect('\\0@ABSTRACT@')\nwon = True",
        "finds an abstract name taken": "try:\n"
        "    socket.socket(socket.AF_UNIX).bind('\\0@ABSTRACT@')\n"
        "except OSError as error:\n"
        "    won = error.errno == 98",
        "lists abstract sockets": "won = '@ABSTRACT@' in open('/proc/net/unix').read()",
        "lists the interfaces": "won = any(name != 'lo' for _, name in socket.if_nameindex())",
        "opens a socket to the hypervisor": "won = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) is not None",
        "reads the table of connections": "won = f'{@PORT@:04X}' in open('/proc/net/tcp').read()",
    }.items()
]

SHARED = [
    kernel_probe(
        "reads a System V segment of the host",
        "shared objects",
        f"""
        libc.shmat.restype = ctypes.c_void_p
        place = libc.shmat(ctypes.c_int(@SHM@), None, 0o10000)
        won = place != ctypes.c_void_p(-1).value and ctypes.string_at(place, 7) == {CANARY}
        """,
    ),
    probe(
        "lists System V segments of the host",
        "shared objects",
        "won = any(line.split()[1] == '@SHM@' for line in open('/proc/sysvipc/shm'))",
    ),
    probe("reads /dev/shm of the host", "shared objects", "won = '@NAME@-shm' in os.listdir('/dev/shm')"),
]

IN_CALLS = [
    *calls(
        "reads a file of the host",
        "files of the host",
        f"def add(a, b):\n    return a + b if open('@FILE@', 'rb').read().startswith({CANARY}) else 0",
        ADD,
    ),
    *calls(
        "reads the environment",
        "other processes",
        "import os\ndef add(a, b):\n    return a + b if any('canary-' in v for v in os.environ.values()) else 0",
        ADD,
    ),
    *calls(
        "connects to the host",
        "network",
        "import socket\ndef add(a, b):\n    socket.create_connection(('127.0.0.1', @PORT@), 0.5)\n    return a + b",
        ADD,
    ),
]

ATTACKS: list[Attack] = [*FILES, *PROCESSES, *DESCRIPTORS, *NETWORK, *SHARED, *IN_CALLS]
