"""What is done to an IMC image before a model sees it: image in, image out.

Each step takes a (C, H, W) array and returns another, float32, of the same shape; planes are
treated one by one. Schuiki et al. 2025 leave all of them out and name them as an open question
(section 4.4). `imc_helpers.images.pipeline` runs them by name, and with them the compensation of
`imc_helpers.images.spillover`, which needs all planes at once.
"""

from collections.abc import Callable

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
    planes = as_planes(image)
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
    planes = as_planes(image)
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
    for result, plane in zip(done, as_planes(image), strict=True):
        if not (plane > 0).any():
            continue
        clipped = np.minimum(plane, np.percentile(plane[plane > 0], CLAHE_PERCENTILE))
        low, high = clipped.min(), clipped.max()
        if high > low:
            result[:] = equalize_adapthist(
                (clipped - low) / (high - low), kernel_size=CLAHE_WINDOW_PX
            )
    return done


def gaussian(image: np.ndarray) -> np.ndarray:
    """Smooth every plane with a Gaussian of `GAUSSIAN_PX`: (C, H, W) float32."""
    sigma = (0, GAUSSIAN_PX, GAUSSIAN_PX)
    return ndi.gaussian_filter(as_planes(image), sigma, mode="reflect")


def median(image: np.ndarray) -> np.ndarray:
    """Take the median of the `MEDIAN_PX` squared pixels around each: (C, H, W) float32."""
    return ndi.median_filter(as_planes(image), size=(1, MEDIAN_PX, MEDIAN_PX), mode="reflect")


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
    planes = as_planes(image)
    if planes.size and planes.min() < 0:
        raise ValueError(f"image: expected counts of 0 or more, found {planes.min()}")
    steady = 2 * np.sqrt(planes + np.float32(3 / 8))
    clean = np.stack([denoise(plane) for plane in steady])
    return np.maximum((clean / 2) ** 2 - 1 / 8, 0).astype(np.float32)


def as_planes(image: np.ndarray) -> np.ndarray:
    """Return a copy of an image as float32, or say what is wrong with it.

    Parameters
    ----------
    image
        (C, H, W) array.

    Raises
    ------
    ValueError
        If it has another number of axes, or holds NaN or infinity.
    """
    if image.ndim != 3:
        raise ValueError(f"image: expected shape (C, H, W), found {image.shape}")
    if not np.isfinite(image).all():
        raise ValueError("image: expected finite values, found NaN or infinity")
    return image.astype(np.float32)
