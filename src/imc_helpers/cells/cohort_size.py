"""How large a cohort is: samples, pixels, patches, cells."""

import numpy as np

from imc_helpers.cells.counts import count_cells
from imc_helpers.data.samples import Cohort
from imc_helpers.patching import STRIDE_PX, WINDOW_PX, windows


def cohort_size(
    cohort: Cohort, *, window_px: int = WINDOW_PX, stride_px: int = STRIDE_PX
) -> dict[str, float]:
    """Measure a cohort as the study's Table 1 does.

    Parameters
    ----------
    cohort
        Samples, with masks or without.
    window_px, stride_px
        Edge of a window and step between windows, pixels.

    Returns
    -------
    dict
        ``samples``; ``height_px`` and ``width_px``, means over samples; ``patches``, the windows of
        all samples; ``samples_without_patches``; ``annotators`` and ``tools`` whose masks there
        are; ``cells``, the mean per mask of the cohort's references; ``cells_per_patch``, the mean
        over masks and windows of the cells with a pixel in the window, border included. The last
        two are missing without masks.
    """
    shapes = [cohort.shape(sample) for sample in cohort.ids]
    placed = [windows(shape, size=window_px, stride=stride_px) for shape in shapes]
    per_mask, per_patch = [], []
    for sample, where in zip(cohort.ids, placed, strict=True):
        for rater in cohort.references_of(sample):
            mask = cohort.read_mask(sample, rater)
            per_mask.append(count_cells(mask))
            per_patch += [count_cells(mask[window.slices]) for window in where]
    return {
        "samples": len(cohort),
        "height_px": float(np.mean([height for height, _ in shapes])),
        "width_px": float(np.mean([width for _, width in shapes])),
        "patches": sum(map(len, placed)),
        "samples_without_patches": sum(not where for where in placed),
        "annotators": len(cohort.annotators),
        "tools": len(cohort.tools),
        "cells": float(np.mean(per_mask)) if per_mask else np.nan,
        "cells_per_patch": float(np.mean(per_patch)) if per_patch else np.nan,
    }
