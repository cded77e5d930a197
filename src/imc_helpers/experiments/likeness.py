"""Likeness: the figures by which a phantom image is held against a real one, channel by channel."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from imc_helpers.data.samples import Sample


def neighbour_correlation(plane: np.ndarray) -> float:
    """Return Pearson's correlation between each pixel and its neighbours below and to the right.

    Counts are winsorised at their 99.9th percentile, so that one hot pixel does not decide.

    Parameters
    ----------
    plane
        (H, W) counts, at least 2 x 2.

    Returns
    -------
    float
        Mean of the correlations along rows and along columns; NaN for a constant plane.
    """
    plane = np.minimum(plane, np.percentile(plane, 99.9)).astype(np.float64)
    pairs = ((plane[:, :-1], plane[:, 1:]), (plane[:-1], plane[1:]))
    if any(side.std() == 0 for pair in pairs for side in pair):
        return float("nan")
    return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))


def channel_statistics(samples: Iterable[Sample]) -> pd.DataFrame:
    """Describe every channel of every sample.

    Parameters
    ----------
    samples
        Real or made; read one at a time.

    Returns
    -------
    pandas.DataFrame
        One row a sample and channel: ``sample``, ``channel``, ``name``, ``median`` and ``p99``
        (counts), ``zero`` (share of pixels without an ion), ``neighbour`` (correlation).
    """
    rows = []
    for sample in samples:
        for channel, plane in zip(sample.panel.channels, sample.image, strict=True):
            rows.append(
                {
                    "sample": sample.id,
                    "channel": channel.channel,
                    "name": channel.name,
                    "median": float(np.median(plane)),
                    "p99": float(np.percentile(plane, 99)),
                    "zero": float(np.mean(plane == 0)),
                    "neighbour": neighbour_correlation(plane),
                }
            )
    return pd.DataFrame(rows)


STATISTICS = ("median", "p99", "zero", "neighbour")
"""The columns that are compared."""


def likeness(made: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Put phantom and real side by side.

    Channels are matched by metal tag, since laboratories name one target in many ways.

    Parameters
    ----------
    made, real
        What `channel_statistics` returns, of the phantom and of real samples.

    Returns
    -------
    pandas.DataFrame
        One row a channel that both have, indexed by metal tag: ``name`` as in the phantom, then for
        each statistic its mean over the phantom's samples and the least and largest value among the
        real samples (columns ``median_phantom``, ``median_real_min``, ``median_real_max``, ...).
    """
    table = made.groupby("channel", sort=False).agg(
        name=("name", "first"), **{f"{s}_phantom": (s, "mean") for s in STATISTICS}
    )
    spread = real.groupby("channel").agg(
        **{f"{s}_real_{end}": (s, end) for s in STATISTICS for end in ("min", "max")}
    )
    table = table.join(spread, how="inner")
    order = [f"{s}_{part}" for s in STATISTICS for part in ("phantom", "real_min", "real_max")]
    return table[["name", *order]]
