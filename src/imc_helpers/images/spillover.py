"""What one channel counts of another's signal, and how it is taken out again."""

import numpy as np

from imc_helpers.images.clean import as_planes

_MAX_ROUNDS = 1000


def compensate_spillover(image: np.ndarray, spillover: np.ndarray) -> np.ndarray:
    """Undo the mixing of channels: at every pixel, non-negative least squares.

    Counts :math:`x` of a pixel are taken for :math:`S^T y` with spillover :math:`S`. The result is
    the :math:`y ≥ 0` that minimises :math:`|S^T y - x|`: what Chevrier et al. 2018
    (doi:10.1016/j.cels.2018.02.010) and CATALYST call NNLS compensation. It is found for all pixels
    at once by cyclic coordinate descent, which converges to the same unique minimum as a solver
    that takes pixel by pixel, and is stopped where a round changes nothing above a millionth of the
    largest value.

    Parameters
    ----------
    image
        (C, H, W) array, counts, 0 or more.
    spillover
        (C, C) array: entry (i, j) is the share of channel i's signal that is counted in channel j.
        Its diagonal may be 1, as CATALYST has it, or less, when rows sum to 1: the first gives
        each channel's counts in its own channel, the second in all channels together.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32, 0 or more.

    Raises
    ------
    ValueError
        If the matrix does not fit the image, has negative entries, or does not have its largest
        entry of every row on the diagonal.
    """
    planes = as_planes(image)
    n = len(planes)
    matrix = np.asarray(spillover, dtype=np.float64)
    if matrix.shape != (n, n):
        raise ValueError(
            f"spillover: expected shape ({n}, {n}) for an image of {n} channels, found "
            f"{matrix.shape}"
        )
    diagonal = np.diag(matrix)
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise ValueError("spillover: expected shares of 0 or more")
    if (matrix.sum(axis=1) - diagonal >= diagonal).any():
        # With this the minimum is unique and a few rounds find it.
        raise ValueError(
            "spillover: expected every channel to keep more signal than it spills; are rows the "
            "channels that emit, and columns those that receive?"
        )
    gram = matrix @ matrix.T
    wanted = matrix @ planes.reshape(n, -1).astype(np.float64)
    found = np.maximum(wanted / np.diag(gram)[:, None], 0)
    tolerance = 1e-6 * max(1.0, float(planes.max(initial=0)))
    for _ in range(_MAX_ROUNDS):
        change = 0.0
        for i in range(n):
            best = (wanted[i] - gram[i] @ found + gram[i, i] * found[i]) / gram[i, i]
            new = np.maximum(best, 0)
            change = max(change, float(np.abs(new - found[i]).max(initial=0)))
            found[i] = new
        if change <= tolerance:
            return found.reshape(planes.shape).astype(np.float32)
    raise ValueError(f"spillover: no solution after {_MAX_ROUNDS} rounds; channels mix too much")
