"""Variance components: of planted effects, on complete and on incomplete designs."""

import itertools

import numpy as np
import pandas as pd
import pytest

from imc_helpers.decisions.generalizability import (
    COMPONENTS,
    PATCH_COMPONENTS,
    Components,
    analysis_of_variance,
    components,
    dependability,
    nested_analysis,
    patch_components,
    places,
    restricted_likelihood,
)
from imc_helpers.errors import InputError

rng = np.random.default_rng(0)
TRUE = np.array([0.010, 0.006, 0.002, 0.003, 0.001, 0.002, 0.001])


def studies(trials, sizes=(6, 4, 4), variances=TRUE):
    """Scores (trials, n_m, n_a, n_i) whose seven components are known."""
    effects = [e for r in (1, 2, 3) for e in itertools.combinations(range(3), r)]
    scores = np.full((trials, *sizes), 0.6)
    for effect, variance in zip(effects, variances, strict=True):
        shape = [sizes[k] if k in effect else 1 for k in range(3)]
        scores = scores + rng.normal(0, np.sqrt(variance), (trials, *shape))
    return scores


def table(cube):
    rows = [
        {"rater_pred": f"m{m}", "rater_true": f"a{a}", "sample": f"s{i}", "ap50": cube[m, a, i]}
        for m, a, i in np.argwhere(~np.isnan(cube))
    ]
    return pd.DataFrame(rows)


def test_what_is_planted_in_one_component_is_found_there_alone():
    for k, effect in enumerate(e for r in (1, 2) for e in itertools.combinations(range(3), r)):
        shape = [size if axis in effect else 1 for axis, size in enumerate((3, 4, 5))]
        own = rng.normal(size=shape)
        for axis in effect:  # an interaction without the facets in it
            own = own - own.mean(axis=axis, keepdims=True)
        found = analysis_of_variance(np.broadcast_to(own, (3, 4, 5)))
        degrees = np.prod([shape[axis] - 1 for axis in effect])
        assert found[k] == pytest.approx((own**2).sum() / degrees)
        inside = [e for e in range(7) if e == k or np.abs(found[e]) < 1e-12 or e < 3]
        assert len(inside) == 7, COMPONENTS[k]


def test_estimates_are_unbiased():
    found = analysis_of_variance(studies(4000))
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - TRUE) < 4 * error).all()
    assert found.min() < 0, "single ones may be negative"


def test_restricted_likelihood_is_the_analysis_of_variance_on_complete_data():
    compared = 0
    for cube in studies(6):
        expected = analysis_of_variance(cube)
        if (expected > 0).all():
            assert restricted_likelihood(cube) == pytest.approx(expected, rel=2e-3, abs=2e-6)
            compared += 1
    assert compared


def two_of_four(cube):
    kept = np.zeros(cube.shape, bool)
    for i, pair in zip(range(cube.shape[2]), itertools.cycle(itertools.combinations(range(4), 2))):
        kept[:, pair, i] = True
    return np.where(kept, cube, np.nan)


def test_with_two_of_four_annotators_per_image_it_finds_the_same():
    found = np.mean(
        [restricted_likelihood(two_of_four(cube)) for cube in studies(60, (4, 4, 12))], axis=0
    )
    # The facets have four levels each, so that even the mean of 60 is uncertain by a tenth or two.
    assert found[0] == pytest.approx(TRUE[0], rel=0.35)
    assert found[1] == pytest.approx(TRUE[1], rel=0.45)
    assert found[[3, 4, 6]] == pytest.approx(TRUE[[3, 4, 6]], rel=0.3)


def test_the_table_says_what_came_out_and_how():
    cube = studies(1)[0]
    complete = components(table(cube), "ap50")
    assert (complete.method, complete.levels) == ("ANOVA", (6, 4, 4))
    assert complete.table["component"].tolist() == list(COMPONENTS)
    assert complete.table["estimate"].to_numpy() == pytest.approx(analysis_of_variance(cube))
    assert complete.table["share"].sum() == pytest.approx(1)
    assert (complete.table["variance"] == complete.table["estimate"].clip(lower=0)).all()
    assert components(table(two_of_four(studies(1, (3, 4, 6))[0])), "ap50").method == "REML"


def test_patches_are_averaged():
    cube = studies(1)[0]
    patches = pd.concat([table(cube - 0.1), table(cube + 0.1)])
    assert components(patches, "ap50").table["estimate"].to_numpy() == pytest.approx(
        analysis_of_variance(cube)
    )


def test_what_cannot_be_taken_apart_is_refused():
    cube = studies(1)[0]
    with pytest.raises(InputError, match="found 1 image"):
        components(table(cube[:, :, :1]), "ap50")
    apart = cube.copy()
    apart[:, :2, 2:] = apart[:, 2:, :2] = np.nan
    with pytest.raises(InputError, match="a0 and a1 drew no image in common with a2 and a3"):
        components(table(apart), "ap50")
    many = np.full((10, 10, 40), 0.5)
    many[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="too many"):
        restricted_likelihood(many)


def test_dependability_is_the_share_of_the_models():
    variance = [0.04, 0.02, 0.0, 0.01, 0.004, 0.0, 0.012]
    known = Components(pd.DataFrame({"component": COMPONENTS, "variance": variance}), (5, 4, 4), "")
    noise = 0.03 / 2 + 0.004 / 4 + 0.012 / 8
    assert dependability(known, annotators=2, images=4) == pytest.approx(0.04 / (0.04 + noise))
    assert dependability(known, annotators=10**6, images=10**6) == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="one annotator and one image or more"):
        dependability(known, annotators=0, images=1)


IMAGES = np.repeat(range(5), (1, 2, 3, 4, 6))
"""Of each patch, the image; not as many in each."""


def test_with_one_component_planted_in_patches_the_others_stay_at_0():
    """Of scores that differ in one way only, the mean over studies is that component alone."""
    shapes = {
        "image": (1, 1, 5),
        "model × image": (3, 1, 5),
        "annotator × image": (1, 4, 5),
        "model × annotator × image": (3, 4, 5),
        "model": (3, 1, 1),
        "annotator": (1, 4, 1),
        "model × annotator": (3, 4, 1),
        "patch": (1, 1, 16),
        "model × patch": (3, 1, 16),
        "annotator × patch": (1, 4, 16),
        "rest": (3, 4, 16),
    }
    for name, shape in shapes.items():
        own = np.random.default_rng(1).normal(size=(4000, *shape))
        own = own[..., IMAGES] if shape[-1] == 5 else own
        found = nested_analysis(np.broadcast_to(own, (4000, 3, 4, 16)), IMAGES)
        expected = np.array([float(component == name) for component in PATCH_COMPONENTS])
        error = found.std(axis=0) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - expected) <= 4 * error + 1e-12).all(), name


def in_patches(cube, images, *, empty=()):
    rows = [
        {
            "rater_pred": f"m{m}",
            "rater_true": f"a{a}",
            "sample": f"s{images[p]}",
            "patch": p,
            "ap50": cube[m, a, p],
            "n_true": 0 if p in empty else 9,
            "n_pred": 0 if p in empty else 8,
        }
        for m, a, p in np.ndindex(cube.shape)
    ]
    return pd.DataFrame(rows)


def test_with_as_many_patches_everywhere_the_means_of_images_have_their_components():
    images = np.repeat(range(4), 3)
    cube = rng.normal(size=(3, 4, 12))
    nested = nested_analysis(cube, images)
    averaged = analysis_of_variance(cube.reshape(3, 4, 4, 3).mean(axis=-1))
    assert nested[[0, 1, 3]] == pytest.approx(averaged[[0, 1, 3]])
    between, within = nested[[2, 4, 5, 6]], nested[7:]
    assert between + within / 3 == pytest.approx(averaged[[2, 4, 5, 6]])


def test_only_patches_that_were_asked_for_and_hold_cells_count():
    images = np.array([0, 0, 0, 1, 1, 1])
    cube = rng.normal(size=(3, 4, 6))
    scores = in_patches(cube, images, empty=(2,)).sample(frac=1, random_state=0)
    found = patch_components(scores, "ap50", {"s0": [0, 1, 2], "s1": [3, 5]})
    kept = [0, 1, 3, 5]
    assert found.levels == (3, 4, 2, 4)
    assert found.table["component"].tolist() == list(PATCH_COMPONENTS)
    expected = nested_analysis(cube[..., kept], images[kept])
    assert found.table["estimate"].to_numpy() == pytest.approx(expected)
    assert found.table["share"].sum() == pytest.approx(1)
    shares = found.table["share"]
    assert places(found).to_numpy() == pytest.approx(
        [shares[0], shares[[1, 3]].sum(), shares[[2, 4, 5, 6]].sum(), shares[7:].sum()]
    )
    with pytest.raises(InputError, match="found one patch in each image"):
        patch_components(scores, "ap50", {"s0": [0], "s1": [3]})
    with pytest.raises(InputError, match="found 1 image"):
        patch_components(scores, "ap50", {"s0": [0, 1]})
    alone = scores["rater_pred"] + scores["rater_true"] != "m0a1"
    with pytest.raises(InputError, match="found 0 image"):
        patch_components(scores[alone], "ap50", {"s0": [0, 1], "s1": [3, 5]})
    with pytest.raises(InputError, match="found 0 model, 0 annotator, 0 image"):
        patch_components(scores, "ap50", {})
