"""Science of the IMC agreement book: samples, metrics, agreement.

Import the part you need (``from imc_helpers.metrics import evaluate``). The package itself imports
nothing, so that someone who wants the metrics alone pays for nothing else.
"""
