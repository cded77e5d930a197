"""Reading a network's weights, so that a wrong file is an error and never a random network."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from imc_helpers.errors import InputError


def read_weights(path: Path) -> Any:
    """Return what ``torch.save`` wrote to a file; nothing but tensors and plain values is read.

    Raises
    ------
    InputError
        If the file is no such file, or holds code.
    """
    import torch  # noqa: PLC0415  # only where a model needs it

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        raise wrong_weights(path, error) from None


def load_state(network: Any, path: Path, key: str = "", may_lack: str | None = None) -> None:
    """Fill a torch network with the weights of a file.

    Parameters
    ----------
    network
        ``torch.nn.Module``; it is changed.
    path
        File that ``torch.save`` wrote.
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
    content = read_weights(path)
    try:
        state = content[key] if key else content
        lacking, _ = network.load_state_dict(state, strict=may_lack is None)
        lacking = [name for name in lacking if not name.startswith(may_lack or "")]
        if lacking:
            raise KeyError(f"it lacks {lacking[0]}")
    except (RuntimeError, KeyError, TypeError) as error:
        raise wrong_weights(path, error) from None


def wrong_weights(path: Path, error: Exception) -> InputError:
    """Return the error that says that a file is not what it should be."""
    reason = " ".join(f"{error}".split())[:200] or type(error).__name__
    return InputError(f"{path}: not the weights of this network ({reason}). Get the file again")
