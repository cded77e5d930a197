"""Losses by hand, and where nothing is known."""

import numpy as np
import pytest
import torch

from imc_helpers.models.training.losses import LOSSES, Q

P = np.array([0.9, 0.2, 0.6, 0.5])
TARGET = np.array([1.0, 0.0, 0.0, 1.0])
EXPECTED = {
    "soft Dice": 1 - 2 * (0.9 + 0.5) / (P.sum() + 2),
    "cross-entropy": -np.log([0.9, 0.8, 0.4, 0.5]).mean(),
    "generalised cross-entropy": ((1 - np.array([0.9, 0.8, 0.4, 0.5]) ** Q) / Q).mean(),
}


def as_batch(values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 2)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_by_hand(name):
    found = LOSSES[name](as_batch(P).logit(), as_batch(TARGET), as_batch(np.ones(4)))
    assert float(found) == pytest.approx(EXPECTED[name], abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_not_known_does_not_count(name):
    logits = as_batch(P).logit().requires_grad_()
    known = as_batch([1.0, 1.0, 0.0, 1.0])
    one, other = (
        LOSSES[name](logits, as_batch(target), known) for target in (TARGET, [1.0, 0.0, 1.0, 1.0])
    )
    assert one.item() == pytest.approx(other.item())
    one.backward()
    assert logits.grad[0, 0, 1, 0] == 0


@pytest.mark.parametrize("name", LOSSES)
def test_patches_without_cells_have_a_finite_loss_and_gradient(name):
    logits = torch.randn(2, 2, 8, 8, requires_grad=True)
    loss = LOSSES[name](logits, torch.zeros(2, 2, 8, 8), torch.ones(2, 1, 8, 8))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_an_empty_patch_beside_a_full_one_does_not_spoil_dice():
    """Patch by patch one false pixel in the empty one would cost half of the score."""
    target = torch.zeros(2, 1, 8, 8)
    target[0] = 1
    logits = torch.where(target > 0, 20.0, -20.0)
    logits[1, 0, 0, 0] = 20.0
    known = torch.ones(2, 1, 8, 8)
    assert float(LOSSES["soft Dice"](logits, target, known)) < 0.01
