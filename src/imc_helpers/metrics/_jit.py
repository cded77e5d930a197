"""The one compiler setting that every kernel shares."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function of arrays: cached on disk, and free of the interpreter lock.

    Where neither the package's folder nor the user's cache can be written, Numba refuses to
    decorate at all. Then the function is compiled anew in each process: it costs seconds, and gives
    the same.
    """
    compiled: Any
    try:
        compiled = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # "cannot cache function ...: no locator available"
        compiled = numba.njit(nogil=True)(function)
    return compiled
