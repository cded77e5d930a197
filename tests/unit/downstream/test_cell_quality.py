"""The fourteen metrics by hand, and against plain loops over scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from imc_helpers.downstream.cell_quality import (
    QUALITY_METRICS,
    cell_quality,
    image_foreground,
    match_nuclei,
    quality_score,
    standardised_planes,
)
from imc_helpers.errors import InputError
from imc_helpers.models.adapters.cellprofiler import find_nuclei
from imc_helpers.phantom.recipes import find_recipe, make_sample


def squares(side=60, edge=10, gap=2):
    y, x = np.mgrid[:side, :side]
    inside = (y % edge >= gap) & (x % edge >= gap)
    return np.where(inside, 1 + (y // edge) * (side // edge) + x // edge, 0)


def counts(labels, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    level = rng.uniform(1, 9, (channels, labels.max() + 1))
    level[:, 0] = 0.5
    return rng.poisson(level[:, labels]).astype(np.float32)


def cores(labels):
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    core = (np.abs(y % 10 - 5.5) < 2) & (np.abs(x % 10 - 5.5) < 2)
    return np.where(core, labels, 0)


def test_coverage_and_matching_by_hand():
    labels = squares()
    nuclei = np.where(np.isin(labels % 2, [1]), labels, 0)
    image = counts(labels)
    tissue = np.zeros(labels.shape, bool)
    tissue[:30] = True
    found = cell_quality(image, labels, nuclei, 0.5, foreground=tissue)
    # 18 of 36 cells of 64 px have a nucleus: the others are left out of all but the match.
    assert found["FMCN"] == pytest.approx(18 / (36 + 18 - 18))
    assert found["NC"] == pytest.approx(100 * 18 / (3600 * 0.25))
    covered = np.isin(labels, np.unique(nuclei[nuclei > 0]))
    assert found["FFC"] == pytest.approx(covered[:30].mean())
    assert found["1-FBC"] == pytest.approx(1 - covered[30:].mean())
    assert found["FCF"] == pytest.approx(covered[:30].sum() / covered.sum())
    assert np.isnan(found["1/(ln(CSSD)+1)"]), "all of one size: the formula has a pole there"


def test_a_nucleus_goes_to_the_cell_that_holds_most_of_it():
    labels = np.zeros((9, 20), int)
    labels[:, :10], labels[:, 10:] = 5, 9
    nuclei = np.zeros_like(labels)
    nuclei[3:6, 4:9] = 1  # in 5, one column in its border
    nuclei[3:6, 11:14] = 2
    nuclei[7, 13:18] = 3  # a second one in 9, fully inside as well, but later
    nuclear, rest = match_nuclei(labels, nuclei)
    border = (nuclei == 1) & (np.arange(20) == 9)
    assert not border.any()
    assert ((nuclear == 5) == ((nuclei == 1) & (np.arange(20) < 9))).all()
    assert (nuclear == 9).sum() == 9
    assert ((nuclear > 0) & (rest > 0)).sum() == 0
    assert ((nuclear + rest) == labels).all()


def test_uniformity_against_plain_loops():
    labels = squares()
    image = counts(labels)
    nuclei = cores(labels)
    tissue = np.ones(labels.shape, bool)
    found = cell_quality(image, labels, nuclei, 1.0, foreground=tissue)
    planes = standardised_planes(image)
    outside = labels == 0
    spread = [plane[outside].std() / plane.mean() for plane in image]
    assert found["1/(ACVF+1)"] == pytest.approx(1 / (np.mean(spread) + 1), rel=1e-5)
    first = PCA(1).fit(planes[:, outside].T).explained_variance_ratio_[0]
    assert found["FPCF"] == pytest.approx(first)
    assert all(np.isfinite(found[name]) for name in QUALITY_METRICS if "CSSD" not in name)


def test_columns_are_standardised_as_their_program_does():
    image = np.random.default_rng(0).uniform(size=(2, 8, 6))
    own = np.stack([StandardScaler().fit_transform(plane) for plane in image])
    assert standardised_planes(image, per_column=True) == pytest.approx(own)
    whole = standardised_planes(image)
    assert whole.mean(axis=(1, 2)) == pytest.approx(0)
    assert whole.std(axis=(1, 2)) == pytest.approx(1)
    assert (standardised_planes(np.ones((1, 3, 3))) == 0).all()


def test_cells_on_the_tissue_score_better_than_cells_beside_it():
    sample = make_sample(find_recipe("phantom_lymphoid"), (100, 100), 3, "tissue")
    true = sample.masks["truth"]
    nuclei = find_nuclei(sample.image[:2].mean(axis=0), 4.0)
    beside = np.roll(true, 3, axis=(0, 1))
    right, wrong = (cell_quality(sample.image, labels, nuclei, 1.0) for labels in (true, beside))
    for name in ("1/(ACVC+1), nuclei", "AS, rest", "FPCC, rest"):
        assert right[name] > wrong[name], name
    again = cell_quality(sample.image, true, nuclei, 1.0)
    assert again == pytest.approx(right, nan_ok=True)
    assert cell_quality(sample.image, true, nuclei, 1.0, per_column=True) != right


def test_tissue_is_found_where_there_are_counts():
    image = np.random.default_rng(0).poisson(1, (5, 120, 120)).astype(np.float32)
    image[:, 30:90, 30:90] += 10
    found = image_foreground(image)
    assert found[35:85, 35:85].all()
    assert not found[:20].any()


def test_no_cell_few_cells_and_cells_of_one_pixel():
    labels = squares()
    image, none = counts(labels), np.zeros_like(labels)
    tissue = np.ones(labels.shape, bool)
    assert np.isnan([*cell_quality(image, none, none, 1.0, foreground=tissue).values()]).all()
    few = np.where(labels <= 6, labels, 0)
    found = cell_quality(image, few, cores(few), 1.0, foreground=tissue)
    assert found["NC"] > 0
    assert np.isnan(found["AS, nuclei"])
    dots = np.zeros_like(labels)
    dots[::6, ::6] = np.arange(1, 101).reshape(10, 10)
    assert np.isnan(cell_quality(image, dots, dots, 1.0, foreground=tissue)["NC"])
    with pytest.raises(InputError, match=r"nuclei: expected the image's shape \(60, 60\)"):
        cell_quality(image, labels, none[:5], 1.0)


@pytest.mark.parametrize(
    ("values", "theirs"),
    [(np.full(14, 0.5), 2.821843479541162), (np.arange(1, 15) / 15, 2.7929047475479525)],
)
def test_the_overall_score_is_that_of_the_authors_program(values, theirs):
    """`get_quality_score` of CellSegmentationEvaluator 1.5.19, with its model "2Dv1.5"."""
    metrics = dict(zip(QUALITY_METRICS, values, strict=True))
    assert quality_score(metrics) == pytest.approx(theirs, rel=1e-12)
    assert np.isnan(quality_score(metrics | {"NC": np.nan}))
