"""Attacks on the walls: system calls that leave or widen the sandbox, signals to others, writes to the kernel's files.

Calls are made so that success does no harm: empty arguments, files opened and not written, the sleeper as the victim.
"""

from __future__ import annotations

from code_attacks.attack import HELD, Attack, dedented, kernel_probe, probe, stdin

CALLS = [
    kernel_probe(f"system call: {name}", "kernel", f"won = {body}" if "\n" not in body else body)
    for name, body in {
        "unshare of users": "libc.unshare(0x10000000) == 0",
        "unshare of mounts": "libc.unshare(0x00020000) == 0",
        "unshare of the network": "libc.unshare(0x40000000) == 0",
        "unshare of processes": "libc.unshare(0x20000000) == 0",
        "clone into new users": "pid = libc.syscall(ctypes.c_long(56), ctypes.c_long(0x10000011), 0, 0, 0, 0)\n"
        "pid == 0 and os._exit(0)\n"
        "won = pid > 0",
        "clone3 into new users": (
            "import struct\nwanted = struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0)\n"
            "pid = libc.syscall(ctypes.c_long(435), wanted, ctypes.c_long(64))\npid == 0 and os._exit(0)\nwon = pid > 0"
        ),
        "setns": "any(libc.setns(os.open(f'/proc/{p}', 0), 0) == 0 for p in ('self/ns/user', '1/ns/mnt'))",
        "setns by a pidfd of the sleeper": "libc.setns(libc.syscall(ctypes.c_long(434), @PID@, 0), 0x00020000) == 0",
        "mount of a tmpfs": "os.mkdir('m')\nwon = libc.mount(b'tmpfs', b'm', b'tmpfs', 0, None) == 0",
        "mount of proc": "os.mkdir('m')\nwon = libc.mount(b'proc', b'm', b'proc', 0, None) == 0",
        "bind mount": "os.mkdir('m')\nwon = libc.mount(b'/', b'm', None, 4096, None) == 0",
        "unmount": "assert not os.path.exists('@REPO@')\n"
        "won = any(libc.umount2(place, 2) == 0 for place in (b'/proc', b'/tmp', b'/usr', b'/'))",
        "remount for writing": "assert not os.path.exists('@REPO@')\n"
        "won = any(libc.mount(None, place, None, 32 | 4096, None) == 0 for place in (b'/', b'/usr'))",
        "new mount calls": "reached(428, -100, 0, 0) or reached(430, 0, 0)  # open_tree, fsopen",
        "pivot_root": "reached(155, b'.', b'.')",
        "chroot": "os.mkdir('m')\n"
        "os.chroot('m')\n"
        "os.chdir('../' * 40)\n"
        "os.chroot('.')\n"
        "won = os.path.exists('@FILE@') or True",
        "setuid to root": "os.getuid() > 0 and libc.setresuid(0, 0, 0) == 0",
        "setuid to another": "libc.setresuid(12345, 12345, 12345) == 0",
        "set of groups": "libc.setgroups(0, None) == 0",
        "setfsuid": "libc.setfsuid(12345)\nwon = libc.setfsuid(-1) == 12345",
        "capabilities": (
            "header = ctypes.create_string_buffer(b'\\x22\\x05\\x08\\x20' + bytes(4))\n"
            "data = ctypes.create_string_buffer(24)\n"
            "libc.syscall(ctypes.c_long(125), header, data)\nwon = any(data.raw[:4]) or any(data.raw[4:8])"
        ),
        "device file": "os.mknod('null', 0o600 | 0o020000, os.makedev(1, 3))\nwon = True",
        "terminal input": (
            "import fcntl\nfor fd in (0, 1, 2, os.open('/dev/tty', os.O_RDWR) if os.path.exists('/dev/tty') else 2):\n"
            "    try:\n        fcntl.ioctl(fd, 0x5412, b'#')\n        won = True\n    except OSError:\n        pass"
        ),
        "terminal input, high bits": "reached(16, 0, 0x7fffffff00005412, b'#') and ctypes.get_errno() not in (25, 9)",
        "keyctl": "reached(250, 0, -3, 0)",
        "add_key": "reached(248, b'user', b'@NAME@', b'x', 1, -3)",
        "request_key": "reached(249, b'user', b'@NAME@', None, -3)",
        "perf_event_open": "reached(298, 0, 0, -1, -1, 0)",
        "bpf": "reached(321, 0, 0, 0)",
        "io_uring": "reached(425, 1, 0)",
        "userfaultfd": "reached(323, 0)",
        "kernel modules": "reached(175, 0, 0, 0) or reached(313, -1, 0, 0)",
        "kexec": "reached(246, 0, 0, 0, 0xFFFF)",
        "process accounting": "reached(163, b'/no/such/file')",
        "quotas": "reached(179, 0, 0, 0, 0)",
        "swap": "reached(168, b'/no/such/file')",
        "ports of the machine": "reached(172, 3) or reached(173, 0x80, 1, 1)",
        "fanotify": "reached(300, 0, 0)",
        "file handles": "reached(304, -1, 0, 0)",
        "ptrace of nobody": "reached(101, 16, 0, 0, 0)",
        "memory policy of the sleeper": "reached(256, @PID@, 0, 0, 0)",
        "real-time priority": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))\nwon = True",
        "higher priority": "os.nice(-10)\nwon = True",
        "locked memory": "libc.mlockall(3) == 0 and len(b'x' * (64 << 20)) > 0",
        "clock of the machine": "reached(164, 0, 0)  # settimeofday of nothing",
        "x32 numbers": "libc.syscall(ctypes.c_long(0x40000000 + 39)) == os.getpid()",
    }.items()
] + [
    kernel_probe(
        "system call: by the 32-bit gate",
        "kernel",
        """
        import mmap
        code = mmap.mmap(-1, 4096, prot=7)
        code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
        won = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() == os.getpid()
        """,
    ),
    kernel_probe(
        "set-user-id program",
        "kernel",
        """
        import subprocess
        for program in ("/bin/su", "/usr/bin/sudo", "/usr/bin/passwd", "/bin/mount", "/usr/bin/newgrp"):
            if os.path.exists(program) and os.stat(program).st_mode & 0o4000 and os.getuid():
                with open("/proc/self/status") as status:
                    won = won or "NoNewPrivs:\\t0" in status.read()
        """,
    ),
]

WRITES = [
    probe(f"opens for writing: {path}", "kernel", f"os.close(os.open({path!r}, os.O_WRONLY))\nwon = True")
    for path in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/pids/tasks",
        "/dev/kmsg",
        "/dev/tty",
        "/dev/fuse",
        "/dev/kvm",
        "/dev/net/tun",
        "/dev/ptmx",
        "/dev/loop-control",
        "/etc/passwd",
        "/etc/ld.so.preload",
        "/bin/sh",
        "@FILE@",
        "@REPO@/pyproject.toml",
    )
] + [
    probe(
        "cgroups of its own",
        "kernel",
        "for folder, _, files in os.walk('/sys/fs/cgroup'):\n"
        "    if 'cgroup.procs' in files and os.access(folder + '/cgroup.procs', os.W_OK):\n"
        "        won = True",
    ),
    probe(
        "spared by the killer of processes",
        "kernel",
        "with open('/proc/self/oom_score_adj', 'w') as file:\n    file.write('-500')\nwon = True",
    ),
    probe(
        "maps of user ids",
        "kernel",
        "with open('/proc/self/uid_map', 'w') as file:\n    file.write('0 0 1')\nwon = True",
    ),
    probe("its interpreter, for writing", "kernel", "os.close(os.open(sys.executable, os.O_WRONLY))\nwon = True"),
    probe(
        "the interpreter that runs, for writing",
        "kernel",
        "os.close(os.open(os.readlink('/proc/self/exe'), os.O_WRONLY))\nwon = True",
    ),
    probe("the standard library, for writing", "kernel", "os.close(os.open(os.__file__, os.O_WRONLY))\nwon = True"),
    probe(
        "the standard library, other times",
        "kernel",
        "was = os.stat(os.__file__)\nos.utime(os.__file__, ns=(was.st_atime_ns, was.st_mtime_ns))\nwon = True",
    ),
    probe(
        "the standard library, other permissions",
        "kernel",
        "os.chmod(os.__file__, os.stat(os.__file__).st_mode & 0o7777)\nwon = True",
    ),
]

OUT_OF_SIGHT = """
def out_of_sight():
    # whether the sleeper cannot be seen: only then may a signal go to many, for they are all our own
    try:
        os.kill(@PID@, 0)
    except ProcessLookupError:
        return not os.path.exists("/proc/@PID@")
    except PermissionError:
        pass
    return False
"""
KILLS = [
    probe(f"signals: {name}", "signals", dedented(OUT_OF_SIGHT) + "\nimport signal\n" + body, expected=HELD)
    for name, body in {
        "to the sleeper": "os.kill(@PID@, 9)\nwon = True",
        "0 to the sleeper": "os.kill(@PID@, 0)\nwon = True",
        "to the sleeper's thread": "import ctypes\nwon = ctypes.CDLL(None).syscall(200, @PID@, 0) == 0",
        "to the sleeper by pidfd": "signal.pidfd_send_signal(os.pidfd_open(@PID@), 0)\nwon = True",
        "to the sleeper's group": "os.killpg(os.getpgid(@PID@), 0)\nwon = True",
        "to the sleeper by a queue": "import ctypes\nwon = ctypes.CDLL(None).sigqueue(@PID@, 0, None) == 0",
        "to the sleeper by an owner of a pipe": "import fcntl\n"
        "read, write = os.pipe()\n"
        "fcntl.fcntl(read, fcntl.F_SETOWN, @PID@)\n"
        "fcntl.fcntl(read, fcntl.F_SETSIG, 9)\n"
        "fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)\n"
        "os.write(write, b'x')",
        "9 to all": "if out_of_sight():\n    os.kill(-1, 9)",
        "19 to all": "if out_of_sight():\n    os.kill(-1, 19)",
        "9 to its parent": "if out_of_sight():\n    os.kill(os.getppid(), 9)",
        "19 to its parent": "if out_of_sight():\n    os.kill(os.getppid(), 19)",
        "all to its parent": "if out_of_sight():\n"
        "    for number in sorted(signal.valid_signals() - {9, 19}):\n"
        "        os.kill(os.getppid(), number)",
        "9 to its group": "if out_of_sight():\n    os.killpg(0, 9)",
        "9 to the first process": "if out_of_sight():\n    os.kill(1, 9)",
        "15 to the first process": "if out_of_sight():\n    os.kill(1, 15)",
        "9 to each of a thousand": "if out_of_sight():\n"
        "    for pid in range(1, 1000):\n"
        "        if pid != os.getpid():\n"
        "            try:\n"
        "                os.kill(pid, 9)\n"
        "            except OSError:\n"
        "                pass",
        "its parent, out of time by a limit": "if out_of_sight():\n"
        "    import resource\n"
        "    resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0))\n"
        "    import time\n"
        "    time.sleep(0.5)",
        "limits of its parent": "import resource\n"
        "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, resource.prlimit(os.getppid(), resource.RLIMIT_CPU))\n"
        "won = os.getppid() > 0",
        "its parent's core, for itself": "os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))\n"
        "won = os.getppid() > 0",
    }.items()
] + [
    stdin(
        "signals: to be killed as one of many",
        "signals",
        """
        import os, time
        for _ in range(20):
            if os.fork() == 0:
                os.setsid()
                time.sleep(5)
                os._exit(0)
        os.kill(os.getpid(), 9)
        """,
    ),
]

ATTACKS: list[Attack] = [*CALLS, *WRITES, *KILLS]
