"""One run at a time in a checkout. Standard library only: it is needed before the set-up."""

import fcntl
import sys
import time
from pathlib import Path
from typing import IO

PATIENCE_S = 3.0
"""How long a second run waits: what a run that was killed just now needs to be gone."""


def acquire(root: Path) -> IO[str]:
    """Take the checkout's lock; it is held as long as the file is open.

    The processes that inherit the file hold the lock as well. Nothing has to be cleaned up after a
    kill: the lock ends with its holders.
    """
    # "a": opening the file must not touch what another run wrote into it.
    file = (root / ".run.lock").open("a", encoding="utf-8")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(
                    "Another `make book`, or the set-up of .venv, is at work in this folder: "
                    "wait until it has finished, or stop it."
                )
            time.sleep(0.1)
