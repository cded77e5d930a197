"""Kernels that begin with their imports done: one process imports, and forks for every notebook.

``python warm.py SOCKET MODULE ...`` imports the modules, listens on a Unix socket, and forks a
kernel for each connection file that it is told; ``MODULE:FUNCTION`` calls a function as well. A
kernel is a process of its own: what a notebook changes, in memory or in the modules' state, ends
with it, and so does its death.

``python warm.py --kernel SOCKET CONNECTION_FILE`` is what Jupyter starts in place of a kernel. It
asks for one and stands for it: it ends with the kernel's exit status, and when it is killed the
kernel is. With ``--kernel-or-start`` it starts one of its own where nobody answers.

Runs on a kernel's own Python, which may be of another environment: standard library and ipykernel.
For Linux: other systems cannot fork a process that has loaded their numerical libraries.
"""

import ctypes
import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

PR_SET_PDEATHSIG = 1
FIRST_TO_GO = "1000"
"""Score by which the system, out of memory, ends a kernel before anything else."""


def stand_for(path: str, connection_file: str, *, or_start: bool) -> int:
    """Ask for a kernel, wait until it has ended, and return its exit status.

    Where nobody answers, it may become a kernel that is started as ever.
    """
    # Jupyter interrupts a kernel before it asks it to shut down, which is enough.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(path)
        except OSError:
            if not or_start:
                raise
            signal.signal(signal.SIGINT, before)
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", connection_file]
            os.execv(sys.executable, command)
        line.sendall(f"{connection_file}\n".encode())
        answer = line.recv(16)
    return int(answer or b"1")


def serve(path: str) -> str | None:
    """Fork a kernel for each request.

    Returns
    -------
    str or None
        In a fork: the connection file of the kernel that it is to become. In the server: None, when
        the process that started it has closed the server's standard input, or is gone.
    """
    bell, ring = socket.socketpair()
    ring.setblocking(False)
    signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    kernels: dict[int, socket.socket] = {}
    while True:
        watched: list[int | socket.socket] = [0, bell, listener, *kernels.values()]
        ready, _, _ = select.select(watched, [], [])
        if 0 in ready:
            for kernel in kernels:
                _end(kernel)
            return None
        if bell in ready:
            bell.recv(4096)
            for kernel in list(kernels):
                found, status = os.waitpid(kernel, os.WNOHANG)
                if found:
                    line = kernels.pop(kernel)
                    with suppress(OSError):
                        line.sendall(b"%d" % (os.waitstatus_to_exitcode(status) & 0xFF))
                    line.close()
        for kernel, line in kernels.items():
            if line in ready:  # nothing is ever said: whoever stood for the kernel is gone
                _end(kernel)
        if listener in ready:
            line, _ = listener.accept()
            connection_file = line.makefile().readline().rstrip("\n")
            kernel = os.fork()
            if not kernel:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for inherited in (bell, ring, listener, line, *kernels.values()):
                    inherited.close()
                return connection_file
            kernels[kernel] = line


def become_kernel(connection_file: str) -> None:
    """Be a kernel until it is shut down."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # else all would draw the same numbers; `random` sees to it itself
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415

    sys.argv = ["ipykernel_launcher", "-f", connection_file]  # what a notebook would see
    # Told its parent, it does not print how one would connect to it by hand.
    parent = f"--IPKernelApp.parent_handle={os.getppid()}"
    status = 1
    try:
        IPKernelApp.launch_instance(argv=[*sys.argv[1:], parent])
        status = 0
    finally:
        # At once: to take apart, module by module, what it shares with the server takes seconds.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end(kernel: int) -> None:
    """End a kernel and what it started, which are one group."""
    for end in (os.killpg, os.kill):  # a kernel just forked has no group yet
        with suppress(ProcessLookupError):
            end(kernel, signal.SIGKILL)


def _import(modules: list[str]) -> None:
    """Import what can be imported; the rest fails where a notebook asks for it."""
    for name in ("ipykernel.kernelapp", "ipykernel.ipkernel", *modules):
        with suppress(Exception):
            module, _, function = name.partition(":")
            imported = import_module(module)
            if function:
                getattr(imported, function)()


def main() -> None:
    """Serve, or stand for a kernel."""
    # A notebook must not find the modules of this folder.
    del sys.path[0]
    if sys.argv[1] in ("--kernel", "--kernel-or-start"):
        socket_path, connection_file = sys.argv[2:4]
        or_start = sys.argv[1] == "--kernel-or-start"
        sys.exit(stand_for(socket_path, connection_file, or_start=or_start))
    path, *modules = sys.argv[1:]
    _import(modules)
    if modules and len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        # A fork has none of the threads that an import started, and would wait for them for ever.
        print("kernels import for themselves: an import started a thread", file=sys.stderr)
        os.execv(sys.executable, [sys.executable, __file__, path])
    # The collector would write to all that kernels share, and so make copies of it.
    gc.freeze()
    if asked := serve(path):
        become_kernel(asked)


if __name__ == "__main__":
    main()
