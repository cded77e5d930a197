"""Tie a process to its parent: when the parent is gone, or time is up, it ends with all below it.

Python can do nothing when it is killed with SIGKILL, so what it started would run on. Each process
of the flow therefore watches its own parent.

As a command: ``python tether.py -m MODULE [ARGUMENT ...]`` runs a module so tied.
"""

import os
import runpy
import signal
import sys
import threading
import time
from contextlib import suppress

import psutil

POLL_S = 0.3
"""Seconds between two looks at the parent."""
TIME_OVER = 124
"""Exit status when time is up; the one of ``timeout(1)``."""


def tether(limit_s: float | None = None) -> None:
    """Start the watch, in a thread of its own.

    Parameters
    ----------
    limit_s
        Longest time that the process may run, seconds; no limit when it is not given.
    """
    parent = os.getppid()
    deadline = None if limit_s is None else time.monotonic() + limit_s

    def watch() -> None:
        while True:
            if os.getppid() != parent:
                end_now(1)
            if deadline is not None and time.monotonic() > deadline:
                print(f"Stopped: not finished after {limit_s:g} s.", file=sys.stderr, flush=True)
                end_now(TIME_OVER)
            time.sleep(POLL_S)

    threading.Thread(target=watch, name="tether", daemon=True).start()


def end_now(status: int) -> None:
    """End everything below this process, then the process itself, without any clean-up."""
    below = [process.pid for process in psutil.Process().children(recursive=True)]
    # No other thread may take over in between: one that waits for a child would see it end, carry
    # on, and end the process with a status of its own.
    sys.setswitchinterval(1000)
    for pid in below:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os._exit(status)


def kill(processes: list[psutil.Process]) -> None:
    """End processes that may be gone already.

    psutil compares the start times first, so that a number used again is safe.
    """
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def main() -> None:
    """Run ``-m MODULE`` under the watch."""
    if len(sys.argv) < 3 or sys.argv[1] != "-m":
        sys.exit("usage: tether.py -m MODULE [ARGUMENT ...]")
    tether()
    module = sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    # The folder of this script must not hide modules from the one that runs.
    del sys.path[0]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
