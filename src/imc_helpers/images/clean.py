"""What is done to an IMC image before a model sees it: image in, image out.

Each step takes a (C, H, W) array and returns another, float32, of the same shape; planes are
treated one by one, but for the compensation of spillover, which needs them all. Schuiki et al. 2025
leave all of them out and name them as an open question (section 4.4). `preprocess` runs them by
name.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from scipy import ndimage as ndi

HOT_WINDOW_PX = 5
"""Edge of the low-pass filter of `remove_hot_pixels`, pixels."""
HOT_COUNTS = 50.0
"""Counts by which a hot pixel exceeds the filtered image."""
CLAHE_PERCENTILE = 99.9
"""Percentile of a plane's values above 0 at which `clahe` clips it."""
CLAHE_WINDOW_PX = 128
"""Edge of the neighbourhoods that `clahe` equalises, pixels."""
GAUSSIAN_PX = 1.0
"""Standard deviation of the Gaussian denoiser, pixels."""
MEDIAN_PX = 3
"""Edge of the median denoiser's window, pixels."""
_MAX_ROUNDS = 1000
NONE = "none"
"""Name of the pipeline without steps."""


def remove_hot_pixels(image: np.ndarray) -> np.ndarray:
    """Replace pixels far above their surroundings by the filtered image.

    The low-pass filter is the mean of the `HOT_WINDOW_PX` squared pixels around a pixel, itself
    included; at the image's edge the image is mirrored. Where a value exceeds it by more than
    `HOT_COUNTS`, the mean takes its place (Xiao et al. 2021, Dice-XMBD, section 2.4.1, which names
    the size, the threshold and the replacement, not the kind of low-pass filter; that only
    *brighter* pixels are hot is our reading). The threshold is in counts: images in other units
    are returned almost as they are.

    Parameters
    ----------
    image
        (C, H, W) array, counts.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32.
    """
    planes = _float(image)
    size = (1, HOT_WINDOW_PX, HOT_WINDOW_PX)
    low_pass = ndi.uniform_filter(planes, size=size, mode="reflect")
    return np.where(planes - low_pass > HOT_COUNTS, low_pass, planes)


def clip(image: np.ndarray, percentile: float) -> np.ndarray:
    """Set values above a percentile of their plane to that percentile.

    Parameters
    ----------
    image
        (C, H, W) array.
    percentile
        Of all values of the plane, 0 to 100. Dice-XMBD takes 99.7 (Xiao et al. 2021, section
        2.4.1).

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32.

    Raises
    ------
    ValueError
        If the percentile lies outside 0 to 100.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile: expected 0 to 100, found {percentile}")
    planes = _float(image)
    top = np.percentile(planes, percentile, axis=(1, 2), keepdims=True)
    return np.minimum(planes, top).astype(np.float32)


def clahe(image: np.ndarray) -> np.ndarray:
    """Equalise the histogram locally, with limited contrast, as Mesmer does.

    Values above the `CLAHE_PERCENTILE` of the plane's values above 0 are clipped, the plane is
    scaled to 0 … 1, and contrast limited adaptive histogram equalisation follows, with scikit-image
    (Greenwald et al. 2022, Methods, "PanopticNet preprocessing"). Neighbourhoods of 128 px and the
    contrast limit of .01 are the defaults of its software, deepcell-toolbox 0.12; the paper does
    not state them. A constant plane becomes 0.

    Parameters
    ----------
    image
        (C, H, W) array.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32 in 0 to 1.
    """
    from skimage.exposure import equalize_adapthist  # noqa: PLC0415  (slow import)

    done = np.zeros(image.shape, np.float32)
    for result, plane in zip(done, _float(image), strict=True):
        if not (plane > 0).any():
            continue
        clipped = np.minimum(plane, np.percentile(plane[plane > 0], CLAHE_PERCENTILE))
        low, high = clipped.min(), clipped.max()
        if high > low:
            result[:] = equalize_adapthist(
                (clipped - low) / (high - low), kernel_size=CLAHE_WINDOW_PX
            )
    return done


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
    planes = _float(image)
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


def gaussian(image: np.ndarray) -> np.ndarray:
    """Smooth every plane with a Gaussian of `GAUSSIAN_PX`: (C, H, W) float32."""
    sigma = (0, GAUSSIAN_PX, GAUSSIAN_PX)
    return ndi.gaussian_filter(_float(image), sigma, mode="reflect")


def median(image: np.ndarray) -> np.ndarray:
    """Take the median of the `MEDIAN_PX` squared pixels around each: (C, H, W) float32."""
    return ndi.median_filter(_float(image), size=(1, MEDIAN_PX, MEDIAN_PX), mode="reflect")


def non_local_means(image: np.ndarray) -> np.ndarray:
    r"""Average pixels whose surroundings look alike, for counts.

    Counts are Poisson, so their noise depends on their size. The transform of Anscombe 1948
    (doi:10.1093/biomet/35.3-4.246), :math:`2 \sqrt{x + 3/8}`, gives it a standard deviation of
    about 1 everywhere. Non-local means (Buades et al. 2005, doi:10.1109/CVPR.2005.38; scikit-image,
    fast mode, patches of 5 px within 6 px, h = .8) run there, and :math:`(y/2)^2 - 1/8` leads back.

    Parameters
    ----------
    image
        (C, H, W) array, counts.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32, 0 or more.
    """
    from skimage.restoration import denoise_nl_means  # noqa: PLC0415  (slow import)

    def denoise(plane: np.ndarray) -> np.ndarray:
        return np.asarray(
            denoise_nl_means(
                plane, patch_size=5, patch_distance=6, h=0.8, sigma=1.0, fast_mode=True
            )
        )

    return _stabilised(image, denoise)


def wavelet(image: np.ndarray) -> np.ndarray:
    """Shrink the small coefficients of a wavelet transform, for counts.

    As `non_local_means`, with a soft threshold on Daubechies' first wavelet in its place, chosen
    for every band (BayesShrink: Chang et al. 2000, doi:10.1109/83.862633; scikit-image).

    Parameters
    ----------
    image
        (C, H, W) array, counts.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32, 0 or more.
    """
    from skimage.restoration import denoise_wavelet  # noqa: PLC0415  (slow import)

    def denoise(plane: np.ndarray) -> np.ndarray:
        return np.asarray(denoise_wavelet(plane, sigma=1.0, wavelet="db1", rescale_sigma=False))

    return _stabilised(image, denoise)


def _stabilised(image: np.ndarray, denoise: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Denoise counts where their noise has a standard deviation of about 1."""
    planes = _float(image)
    if planes.size and planes.min() < 0:
        raise ValueError(f"image: expected counts of 0 or more, found {planes.min()}")
    steady = 2 * np.sqrt(planes + np.float32(3 / 8))
    clean = np.stack([denoise(plane) for plane in steady])
    return np.maximum((clean / 2) ** 2 - 1 / 8, 0).astype(np.float32)


def _float(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3:
        raise ValueError(f"image: expected shape (C, H, W), found {image.shape}")
    if not np.isfinite(image).all():
        raise ValueError("image: expected finite values, found NaN or infinity")
    return image.astype(np.float32)


SPILLOVER = "spillover"
"""Name of the step that needs a spillover matrix."""
STEPS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "hot_pixels": remove_hot_pixels,
        "clip_99": lambda image: clip(image, 99.0),
        "clip_99.7": lambda image: clip(image, 99.7),
        "clip_99.9": lambda image: clip(image, 99.9),
        "clahe": clahe,
        "gaussian": gaussian,
        "median": median,
        "non_local_means": non_local_means,
        "wavelet": wavelet,
    }
)
"""Steps by name, but for `SPILLOVER`."""


def parse(pipeline: str) -> tuple[str, ...]:
    """Read a pipeline's name, ``"hot_pixels+clip_99.7"`` for instance, as the names of its steps.

    Raises
    ------
    ValueError
        If a step is unknown. `NONE` stands alone.
    """
    if pipeline == NONE:
        return ()
    names = tuple(pipeline.split("+"))
    for name in names:
        if name not in STEPS and name != SPILLOVER:
            raise ValueError(
                f"pipeline {pipeline!r}: unknown step {name!r}; expected {NONE}, or some of "
                f"{', '.join((*STEPS, SPILLOVER))}, joined by +"
            )
    return names


def preprocess(image: np.ndarray, pipeline: str, spillover: np.ndarray | None = None) -> np.ndarray:
    """Run the steps of a pipeline, from left to right.

    Parameters
    ----------
    image
        (C, H, W) array.
    pipeline
        Names of `STEPS` and `SPILLOVER`, joined by ``+``; `NONE` changes nothing.
    spillover
        (C, C) array for `compensate_spillover`.

    Returns
    -------
    numpy.ndarray
        (C, H, W) float32; never the array that was given.

    Raises
    ------
    ValueError
        If a step is unknown, the image has another shape, or the pipeline compensates spillover
        and no matrix is given.
    """
    done = _float(image)
    for name in parse(pipeline):
        if name != SPILLOVER:
            done = STEPS[name](done)
        elif spillover is None:
            raise ValueError(f"pipeline {pipeline!r}: compensation needs a spillover matrix")
        else:
            done = compensate_spillover(done, spillover)
    return done
