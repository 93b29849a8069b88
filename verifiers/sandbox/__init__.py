"""Run programs that nobody trusts, quickly, and leave nothing of them behind.

In: a program, what it reads, and limits. Out: what it wrote, how it ended and what it used. Whether that is right is
somebody else's business (`verifiers/code_tests.py`).

    client.py        what callers hold: starts a fork server, sends it runs, reads what came out
    protocol.py      a run and its report, as the two speak of them
    fork_server.py   a small process, warmed with the interpreter and the usual imports, that forks a box per run
    box.py           one run: fresh namespaces, its folder, its limits, what it gives up
    watch.py         its end, by itself or at a limit; folders.py: its folder's
    python_run.py    the inside of a box that runs Python
    examiner.py      tests in one box, and the submission they test in another (examinee.py): they speak by plain data
                     (proxies.py, conversation.py, plain.py)
    layers.py        which layers of isolation hold on this machine; rootfs, landlock, seccomp, cgroups, kernel: they
    languages.py     other languages: compilers and how their programs are started

What each layer covers, and what it does not:

- **pid namespace**: a run sees no process but its own, and when it is over the kernel kills all of them.
- **mount namespace**: a run sees the interpreter, the system's libraries and a compiler, read-only, and one folder of
  its own in memory with bounds on bytes and files. Not hidden: what is in /usr, and the site-packages of this Python.
- **net, ipc, uts namespaces**: no network, not even this machine's; no shared memory, queues or names of others.
- **user namespace**: the run's user is nobody in particular outside, and not root inside, started by root or not.
- **seccomp**: system calls that no submission needs fail: sockets, tracing, mounts, keys, io_uring. Against faults in
  the calls that are left it does nothing.
- **Landlock**: the same bounds on files once more, by another mechanism; alone (without namespaces) it hides no names,
  a run may then have threads but no processes, and its folder lies in the temporary folder of this machine.
- **limits**: CPU time, idle time, memory (resident, of all processes together, looked at every 30 ms, and address
  space), output, open files, processes, size and files of the folder. cgroups bound memory and processes once more
  where they are writable, which takes root.
- **no new privileges, no capabilities, empty environment, no open files** but the run's own.

Not covered: a fault in the kernel itself, timing and other side channels, and what a run learns of the machine's kind
(cores, kernel, libraries). Who must withstand those runs this in a virtual machine.

This package imports the standard library alone: it is what the fork server forks.
"""
