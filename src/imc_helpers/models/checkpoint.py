"""Reading a network's weights, so that a wrong file is an error and never a random network."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from imc_helpers.errors import InputError


def load_state(network: Any, path: Path, key: str = "", may_lack: str | None = None) -> None:
    """Fill a torch network with the weights of a file.

    Parameters
    ----------
    network
        ``torch.nn.Module``; it is changed.
    path
        File that ``torch.save`` wrote. Nothing but tensors and plain values is read from it, so it
        cannot run code.
    key
        Entry of the file with the weights; empty where the file is nothing else.
    may_lack
        None where file and network must have the same weights. Else the file may have more than
        the network, and need not have those that begin so.

    Raises
    ------
    InputError
        If the file is not readable, or holds the weights of another network.
    """
    import torch  # noqa: PLC0415  # only where a model needs it

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state = content[key] if key else content
        lacking, _ = network.load_state_dict(state, strict=may_lack is None)
        lacking = [name for name in lacking if not name.startswith(may_lack or "")]
        if lacking:
            raise KeyError(f"it lacks {lacking[0]}")
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        reason = f"{error}".splitlines()[0] if f"{error}" else type(error).__name__
        raise InputError(
            f"{path}: not the weights of {type(network).__name__} ({reason}). "
            "Remove the file and get it again"
        ) from None
