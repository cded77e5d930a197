"""Segmentation models: one protocol for all, and one file per model in `adapters`.

>>> from imc_helpers.models.registry import load_segmenter
>>> labels = load_segmenter("watershed").segment(sample)  # doctest: +SKIP
"""
