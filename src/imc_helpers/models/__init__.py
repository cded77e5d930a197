"""Segmentation models: one file a model, one protocol for all.

>>> from imc_helpers.models import load_segmenter
>>> labels = load_segmenter("watershed").segment(sample)  # doctest: +SKIP
"""

from imc_helpers.models.registry import load_segmenter, why_not
from imc_helpers.models.segmenter import Adapter, Segmented, Segmenter

__all__ = ["Adapter", "Segmented", "Segmenter", "load_segmenter", "why_not"]
