"""The U-Net of Bird et al. 2024: five steps down and up, with more dropout the deeper it is."""

from typing import Any

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import Tensor, nn

STEPS = 5
"""Halvings of the image; its sides must be multiples of 2 to this power."""
DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.3, 0.4)
"""Of the five levels from the top, and of the bottleneck (section II-C)."""
BASE = 32
"""Filters of the first level in the paper; each level has twice as many as the one above, and the
bottleneck as many as the last level."""


class DropoutUNet(nn.Module):
    """Planes of logits from an image.

    Parameters
    ----------
    channels
        Of the image.
    planes
        Of logits: one for a mask of all cells.
    base
        Filters of the first level.

    Notes
    -----
    The paper names no normalisation. Batch normalisation is our choice: its batches of 64 allow it,
    and a learning rate as high as its .01 is usually trained with one.
    """

    def __init__(self, channels: int, planes: int = 1, base: int = BASE) -> None:
        super().__init__()
        filters = [base * 2**level for level in range(STEPS)]
        filters.append(filters[-1])
        same: Any = {"act": "relu", "norm": "batch", "bias": True}
        self.first = TwoConv(2, channels, filters[0], dropout=DROPOUT[0], **same)
        self.down = nn.ModuleList(
            Down(2, filters[i], filters[i + 1], dropout=DROPOUT[i + 1], **same)
            for i in range(STEPS)
        )
        self.up = nn.ModuleList(
            UpCat(
                2, filters[i + 1], filters[i], filters[i], dropout=DROPOUT[i], halves=False, **same
            )
            for i in reversed(range(STEPS))
        )
        self.last = nn.Conv2d(filters[0], planes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, planes, H, W) of images (B, channels, H, W)."""
        levels = [self.first(image)]
        for step in self.down:
            levels.append(step(levels[-1]))
        found = levels.pop()
        for step in self.up:
            found = step(found, levels.pop())
        return self.last(found)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers of a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def predict(network: nn.Module, patches: Tensor, batch: int = 64) -> Tensor:
    """Return the probabilities (N, K, P, P) of patches (N, C, P, P), on the CPU."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        found = [network(part.to(device)).sigmoid().float().cpu() for part in patches.split(batch)]
    return torch.cat(found)
