"""Patches and splits of a training, and what cannot be trained on."""

import numpy as np
import pytest

from imc_helpers.errors import InputError
from imc_helpers.models.training.patches import (
    Patches,
    Split,
    cut,
    join,
    make_patches,
    normalise,
    split_images,
)

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(64, 64), (70, 33), (10, 130)])
def test_join_undoes_cut(shape):
    planes = rng.random((3, *shape))
    patches = cut(planes, 32)
    assert patches.shape[1:] == (3, 32, 32)
    assert np.array_equal(join(patches, shape), planes)


def test_padding_is_not_known():
    image = rng.random((2, 40, 32))
    patches = make_patches([image], [np.ones((1, 40, 32))], 32)
    assert len(patches) == 2
    assert patches.known[0].all()
    assert patches.known[1].sum() == 8 * 32
    assert patches.targets[1].sum() == 8 * 32


def test_the_99th_percentile_becomes_one():
    image = rng.gamma(1, 5, (2, 50, 50))
    image[1] *= 30
    assert np.percentile(normalise(image, "x"), 99, axis=(1, 2)) == pytest.approx([1, 1], rel=1e-5)
    rare = np.zeros((1, 20, 20))
    rare[0, 3, 3] = 8
    assert normalise(rare, "x").max() == 1


def test_each_group_is_divided_by_the_same_shares():
    ids = [f"{k}" for k in range(100)]
    strata = {one: "ill" if int(one) < 80 else "well" for one in ids}
    split = split_images(ids, seed=3, strata=strata)
    assert [len(part) for part in vars(split).values()] == [70, 10, 20]
    for part, wanted in ((split.train, 14), (split.validation, 2), (split.test, 4)):
        assert sum(strata[one] == "well" for one in part) == wanted
    assert split == split_images(ids, seed=3, strata=strata)
    assert split != split_images(ids, seed=4, strata=strata)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Split(("a",), ("b",), ("a",)), "'a' is both for train and for test"),
        (lambda: split_images(["a", "b"], seed=0), "no image for"),
        (lambda: make_patches([], [], 32), "the split is empty"),
        (lambda: make_patches([np.ones((1, 9, 9))], [np.zeros((1, 9, 9))], 32), "no cell is lab"),
        (
            lambda: make_patches([np.ones((1, 9, 9))], [np.full((1, 9, 9), 1.5)], 32),
            "0 to 1; found",
        ),
        (lambda: normalise(np.ones((1, 4, 4)), "image 7"), "image 7: channel 0 is 1 everywhere"),
        (lambda: normalise(np.full((1, 4, 4), np.nan), "image 7"), "NaN"),
        (
            lambda: Patches(np.zeros((2, 1, 8, 8)), np.zeros((1, 1, 8, 8)), np.zeros((2, 1, 8, 8))),
            "must be the same",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
