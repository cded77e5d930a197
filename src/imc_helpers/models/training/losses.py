"""Losses, with and without expecting wrong labels, on what is known of a patch.

Each takes logits and targets (B, K, H, W) and what is known (B, 1, H, W), and returns a scalar.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from monai.losses import MaskedDiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

Q = 0.7
"""Exponent of the generalised cross-entropy, as its authors chose it."""
_LEAST = 1e-7
# Pooled over a batch: a patch without cells would otherwise be all wrong at its first false pixel.
_dice = MaskedDiceLoss(batch=True)


def soft_dice(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return 1 less the Dice coefficient of probabilities, pooled over the batch."""
    return _dice(logits.sigmoid(), target, known)


def cross_entropy(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return the mean binary cross-entropy, nats, over what is known."""
    return _mean(binary_cross_entropy_with_logits(logits, target, reduction="none"), known)


def generalised_cross_entropy(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Return the mean of (1 − p^q) / q, where p is the probability of the label.

    Between the cross-entropy (q to 0) and the mean absolute error (q = 1), which wrong labels move
    less (Zhang & Sabuncu 2018, equation 6). For a soft label, p is the agreement with it.
    """
    p = logits.sigmoid()
    right = (target * p + (1 - target) * (1 - p)).clamp_min(_LEAST)
    return _mean((1 - right**Q) / Q, known)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    weights = known.expand_as(values)
    return (values * weights).sum() / weights.sum().clamp_min(1)


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "soft Dice": soft_dice,
        "cross-entropy": cross_entropy,
        "generalised cross-entropy": generalised_cross_entropy,
    }
)
"""Losses by name."""


def is_finite(value: Tensor) -> bool:
    """Say whether a loss is a number."""
    return bool(torch.isfinite(value).item())
