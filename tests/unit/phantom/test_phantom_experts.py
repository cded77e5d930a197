"""Simulated experts: habits do what they say, and correlation runs from independent to the same."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import label
from skimage.segmentation import relabel_sequential

from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.phantom.drawing import (
    ExpertGroup,
    Habits,
    Judgement,
    draw_annotators,
    draw_region,
    expert_habits,
    find_doubts,
)
from imc_helpers.phantom.experts import (
    CROP_PX,
    N_CROPS,
    _choose_crops,
    annotate,
    correlated_annotations,
    crops_to_draw,
    draw_crops,
    pixel_features,
    train_experts,
)
from imc_helpers.phantom.recipes import COHORTS, make_sample

STEADY = ExpertGroup(
    border_sd_um=0, wobble_um=0, miss=0, merge=0, split=0, habit_sd=0, eye_sd=0, evidence=1.0
)
PLAIN = Habits(border_um=0.0, miss=0.0, merge=0.0, split=0.0, eye=1.0)


@pytest.fixture(scope="module")
def sample():
    return make_sample(COHORTS["phantom_lymphoid"], (210, 200), 11, "s")


@pytest.fixture(scope="module")
def trained(sample):
    return {
        rho: train_experts([sample], ExpertGroup(n_experts=2, correlation=rho), seed=5)
        for rho in (0.0, 1.0)
    }


def draw(sample, habits, group=STEADY, expert=0):
    return draw_region(sample, find_doubts(sample), habits, group, Judgement(0, 0, expert, 0.0))


def test_an_expert_without_habits_draws_the_truth(sample):
    cells, nuclei = draw(sample, PLAIN)
    assert np.array_equal(cells, sample.masks["truth"])
    assert np.array_equal(nuclei, sample.nuclei["truth"] > 0)


def test_borders_move_by_whole_pixels_as_told(sample):
    square = np.zeros(sample.shape, np.uint32)
    square[40:50, 60:70] = 1
    lone = replace(sample, masks={"truth": square}, nuclei={"truth": square})
    tight, _ = draw(lone, replace(PLAIN, border_um=-1.0))
    generous, _ = draw(lone, replace(PLAIN, border_um=1.0))
    assert np.argwhere(tight).min(axis=0).tolist() == [41, 61]
    assert np.argwhere(tight).max(axis=0).tolist() == [48, 68]
    assert (tight > 0).sum() == 64
    # A pixel farther on every side; the corners lie sqrt(2) away, within 1 + 1/2.
    assert (generous > 0).sum() == 144


def test_the_dimmest_cells_are_missed_first(sample):
    cells, _ = draw(sample, replace(PLAIN, miss=0.2))
    n = int(sample.masks["truth"].max())
    missed = np.setdiff1d(np.arange(1, n + 1), cells)
    assert len(missed) == pytest.approx(0.2 * n, abs=1)
    dim = find_doubts(sample).dim
    assert set(missed) == set(np.argsort(-dim)[: len(missed)] + 1)


def test_merged_cells_touch_and_split_ones_halve(sample):
    truth = sample.masks["truth"].astype(int)
    merged, _ = draw(sample, replace(PLAIN, merge=0.1))
    assert np.array_equal(merged > 0, truth > 0)
    gone = np.setdiff1d(truth, merged)
    assert len(gone) > 10
    for cell in gone:
        (owner,) = np.unique(merged[truth == cell])
        assert label(np.isin(truth, (cell, owner)), connectivity=1).max() == 1
    split, nuclei = draw(sample, replace(PLAIN, split=0.1))
    assert np.array_equal(split > 0, truth > 0)
    new = np.setdiff1d(split, truth)
    assert len(new) == pytest.approx(0.1 * truth.max(), abs=1)
    for part in new:
        (cell,) = np.unique(truth[split == part])
        assert (split == part).sum() / (truth == cell).sum() == pytest.approx(0.5, abs=0.15)
    assert not np.array_equal(nuclei, sample.nuclei["truth"] > 0), "a cut runs through the nucleus"


@pytest.mark.parametrize("rho", [0.0, 0.6, 1.0])
def test_judgements_correlate_as_told(rho):
    one, two = (Judgement(3, 0, expert, rho).normal("miss", 40_000) for expert in (0, 1))
    # Four standard errors of a correlation.
    assert np.corrcoef(one, two)[0, 1] == pytest.approx(rho, abs=0.02)
    assert one.std() == pytest.approx(1, abs=0.02)
    assert not np.array_equal(one, Judgement(3, 1, 0, rho).normal("miss", 40_000)), "another crop"


def test_habits_of_independent_experts_spread_and_of_like_ones_do_not():
    group = ExpertGroup(n_experts=4, correlation=0.0, border_sd_um=1.0)
    borders = np.sort([h.border_um for h in expert_habits(group, seed=1)])
    quartiles = np.array([-0.6745, 0.0, 0.6745])  # of the standard normal distribution
    assert np.array_equal(np.searchsorted(quartiles, borders), [0, 1, 2, 3])
    same = expert_habits(replace(group, correlation=1.0), seed=1)
    assert len(set(same)) == 1


def test_habits_without_strata_are_an_independent_sample():
    group = ExpertGroup(n_experts=4, correlation=0.0, border_sd_um=1.0, stratified=False)
    borders = np.array([[h.border_um for h in expert_habits(group, s)] for s in range(400)])
    # Means of four independent values vary by a half, those of strata far less.
    assert borders.mean(axis=1).std() == pytest.approx(0.5, rel=0.15)
    assert abs(np.corrcoef(borders[:, 0], borders[:, 1])[0, 1]) < 0.2
    spread = replace(group, stratified=True)
    even = np.array([[h.border_um for h in expert_habits(spread, s)] for s in range(400)])
    assert even.mean(axis=1).std() < 0.2


def test_people_who_draw_whole_tissues(sample):
    steady = replace(STEADY, n_experts=2)
    truth = relabel_sequential(sample.masks["truth"])[0]
    for mask in draw_annotators(sample, steady, seed=3).values():
        assert np.array_equal(mask, truth), "who never errs draws the truth"
    group = ExpertGroup(n_experts=3, miss=0.2, habit_sd=0.0, correlation=0.0)
    masks = draw_annotators(sample, group, seed=3)
    assert list(masks) == ["annotator1", "annotator2", "annotator3"]
    assert all(mask.dtype == np.uint32 and mask.shape == sample.shape for mask in masks.values())
    assert not np.array_equal(masks["annotator1"], masks["annotator2"])
    again = draw_annotators(sample, group, seed=3)
    assert all(np.array_equal(masks[name], again[name]) for name in masks)
    elsewhere = draw_annotators(replace(sample, id="another"), group, seed=3)
    assert not np.array_equal(masks["annotator1"], elsewhere["annotator1"]), "slips of its own"


def test_experts_of_correlation_one_make_the_same_masks(sample, trained):
    out = annotate(sample, trained[1.0])
    assert np.array_equal(out.masks["annotator1"], out.masks["annotator2"])
    assert np.array_equal(out.nuclei["annotator1"], out.nuclei["annotator2"])
    apart = annotate(sample, trained[0.0])
    assert not np.array_equal(apart.masks["annotator1"], apart.masks["annotator2"])


def test_one_call_for_a_given_correlation(sample, trained):
    blind = replace(sample, masks={}, nuclei={})
    group = ExpertGroup(n_experts=2)
    out = correlated_annotations(blind, 0.0, taught_on=sample, group=group, seed=5, n_jobs=2)
    expected = annotate(sample, trained[0.0])
    assert list(out.masks) == ["annotator1", "annotator2"]
    for name in out.masks:
        assert np.array_equal(out.masks[name], expected.masks[name])


def test_masks_are_label_images_and_the_sample_is_left_alone(sample, trained):
    image, truth = sample.image.copy(), sample.masks["truth"].copy()
    out = annotate(sample, trained[0.0])
    assert list(out.masks) == ["truth", "annotator1", "annotator2"]
    assert list(sample.masks) == ["truth"]
    assert np.array_equal(sample.image, image)
    assert np.array_equal(sample.masks["truth"], truth)
    for name in ("annotator1", "annotator2"):
        cells, nuclei = out.masks[name], out.nuclei[name]
        assert cells.dtype == nuclei.dtype == np.uint32
        assert np.array_equal(np.unique(cells), np.arange(cells.max() + 1))
        assert np.bincount(cells.ravel())[1:].min() >= 12
        assert np.array_equal(nuclei[nuclei > 0], cells[nuclei > 0])
        assert int(cells.max()) == pytest.approx(int(truth.max()), rel=0.35)


def test_threads_change_nothing(sample, trained):
    one = annotate(sample, trained[0.0], n_jobs=1)
    threaded = train_experts([sample], ExpertGroup(n_experts=2, correlation=0.0), seed=5, n_jobs=3)
    three = annotate(sample, threaded, n_jobs=3)
    for name in one.masks:
        assert np.array_equal(one.masks[name], three.masks[name])


def test_the_masks_depend_on_the_image_alone_once_experts_are_trained(sample, trained):
    blind = replace(sample, masks={}, nuclei={})
    seen = annotate(sample, trained[0.0]).masks["annotator1"]
    assert np.array_equal(annotate(blind, trained[0.0]).masks["annotator1"], seen)


def test_ten_crops_that_do_not_overlap():
    crops = _choose_crops([(120, 170), (100, 100), (60, 60)], np.random.default_rng(0))
    assert len(crops) == N_CROPS
    for k, shape in enumerate([(120, 170), (100, 100), (60, 60)]):
        cover = np.zeros(shape, int)
        mine = [crop.window for crop in crops if crop.sample == k]
        for window in mine:
            assert cover[window].shape == (CROP_PX, CROP_PX)
            cover[window] += 1
        assert cover.max() == 1
        assert mine, "every sample is labelled"


def test_people_without_habits_draw_crops_as_they_are(sample):
    crops = crops_to_draw([sample.shape, (300, 300)], seed=3)
    assert sum(map(len, crops)) == N_CROPS
    assert crops == crops_to_draw([sample.shape, (300, 300)], seed=3)
    drawn = draw_crops(sample, crops[0], replace(STEADY, n_experts=2), seed=5)
    assert list(drawn) == ["annotator1", "annotator2"]
    outside = np.ones(sample.shape, bool)
    for crop in crops[0]:
        assert crop.size == CROP_PX
        outside[crop.slices] = False
        truth = sample.masks["truth"][crop.slices]
        for labels in drawn.values():
            assert evaluate(truth, labels[crop.slices]).map == 1
    for labels in drawn.values():
        assert not labels[outside].any()
        ids = [set(np.unique(labels[crop.slices])) - {0} for crop in crops[0]]
        assert sum(map(len, ids)) == len(set.union(*ids)), "a cell of one crop is none of another"


def test_the_same_people_draw_crops_and_train_classifiers(sample):
    """Nobody draws a crop to train on: drawing others changes neither people nor masks."""
    group = ExpertGroup(n_experts=2, border_sd_um=1.5)
    (crops,) = crops_to_draw([sample.shape], seed=3)
    drawn = draw_crops(sample, crops, group, seed=5)
    tight, generous = sorted(drawn, key=lambda name: (drawn[name] > 0).sum())
    habits = dict(zip(drawn, expert_habits(group, 5), strict=True))
    assert habits[tight].border_um < habits[generous].border_um
    assert [e.habits for e in train_experts([sample], group, 5)] == list(habits.values())


def test_too_little_tissue_to_label(sample):
    small = replace(
        sample,
        image=sample.image[:, :80, :80],
        masks={"truth": sample.masks["truth"][:80, :80]},
        nuclei={"truth": sample.nuclei["truth"][:80, :80]},
    )
    with pytest.raises(InputError, match="hold only 1. Give more or larger"):
        train_experts([small], STEADY, seed=0)


def test_experts_need_a_truth_to_draw(sample):
    with pytest.raises(InputError, match="no masks and nuclei 'truth'"):
        train_experts([replace(sample, masks={})], STEADY, seed=0)


def test_features_of_a_flat_image_are_its_level_and_zeros(sample):
    flat = replace(sample, image=np.full_like(sample.image, 5.0))
    features = pixel_features(flat)
    assert features.shape == (*sample.shape, 32)
    levels = features[..., ::4]
    assert np.allclose(levels, np.arcsinh(5.0), atol=1e-3)
    assert np.allclose(np.delete(features, np.s_[::4], axis=-1), 0, atol=1e-3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_experts": 0},
        {"correlation": 1.2},
        {"correlation": -0.1},
        {"evidence": 2},
        {"miss": 0.5},
        {"merge": -0.1},
        {"wobble_um": -1},
        {"border_um": 4},
    ],
)
def test_groups_that_cannot_be(wrong):
    with pytest.raises(InputError, match="expected"):
        ExpertGroup(**wrong)
