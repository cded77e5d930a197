"""The one compiler setting that every kernel shares."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from filelock import FileLock
from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function of arrays: cached on disk, and free of the interpreter lock.

    Where neither the package's folder nor the user's cache can be written, Numba refuses to
    cache at all. Then the function is compiled anew in each process: it costs seconds, and gives
    the same.
    """
    compiled: Any = numba.njit(nogil=True)(function)
    with suppress(RuntimeError):  # "cannot cache function ...: no locator available"
        compiled._cache = _Cache(function)
    return compiled


class _Cache(FunctionCache):
    """Numba's cache, which one process at a time adds to.

    Numba's own reads the index of a function, takes the next free name for the compiled code, and
    writes both. Two processes that compile one function for different types at the same time take
    the same name; then the index leads to code for other types, and whoever loads it crashes.
    """

    def _save_overload(self, sig: Any, data: Any) -> None:
        with FileLock(Path(self.cache_path) / ".lock"):
            super()._save_overload(sig, data)
