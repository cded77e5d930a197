"""torchvision, which the models on Segment Anything need, and which fails in ways of its own."""

from imc_helpers.errors import InputError


def need_torchvision() -> None:
    """Import torchvision, or say plainly why not.

    It is compiled against one build of torch, and its import fails beside any other; libraries that
    only try whether they can import it then report that something else is missing.

    Raises
    ------
    InputError
        If it does not load beside the torch that is there.
    """
    try:
        import torchvision  # noqa: F401, PLC0415
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"torchvision does not load beside this torch ({error}). Install the two of them "
            "together, from one place and in versions that belong together, as `make kernel-NAME` "
            "does"
        ) from None
