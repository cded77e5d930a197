"""Origins: each cell imaged alone, and the sum is the image."""

from dataclasses import replace

import numpy as np
import pytest

from imc_helpers.errors import InputError
from imc_helpers.phantom.imaging import spread
from imc_helpers.phantom.origins import light_of, split_counts
from imc_helpers.phantom.recipes import COHORTS, make_sample, phantom_cohort, sample_light
from imc_helpers.phantom.tissue import make_tissue
from imc_helpers.phantom.true_cells import describe_cells

LYMPHOID = COHORTS["phantom_lymphoid"]
CHANNELS = ("CD20", "CD68", "DNA1")


@pytest.fixture(scope="module")
def tissue():
    return make_tissue((60, 50), LYMPHOID.tissue, seed=8)


@pytest.fixture(scope="module")
def light(tissue):
    return light_of(tissue, LYMPHOID.panel, replace(LYMPHOID.imaging, sensitivity=0.8), seed=8)


@pytest.fixture(scope="module")
def alone(light):
    """By channel, what arrives from each cell when no other emits: (N + 1, H, W)."""
    seen = {}
    for name in CHANNELS:
        k = light.panel.index(name)
        emitted = light.levels[k][light.cells] * np.tensordot(light.where[k], light.places, 1)
        seen[name] = np.stack(
            [
                spread(np.where(light.cells == i, emitted, 0), light.imaging, light.um_per_px)
                for i in range(light.cells.max() + 1)
            ]
        )
    return seen


def by_hand(mask, light, alone):
    """Split the counts of each cell of a mask, pixel by pixel."""
    rows = {}
    for label in np.unique(mask[mask > 0]):
        inside = mask == label
        shares = np.bincount(light.cells[inside], minlength=light.cells.max() + 1)
        shares[0] = 0
        owner = int(shares.argmax()) if shares.any() else 0
        home = inside & (light.cells == owner) & (owner > 0)
        for name in CHANNELS:
            own = alone[name][owner] if owner else np.zeros(mask.shape)
            others = alone[name].sum(axis=0) - own
            parts = own[inside].sum(), others[home].sum(), others[inside & ~home].sum()
            rows[int(label), name] = owner, *parts
    return rows


def shifted(cells):
    return np.roll(cells, (3, -2), axis=(0, 1))


def squares(cells):
    rows, columns = np.indices(cells.shape) // 9
    return (5 + 2 * rows * columns.max() + 2 * columns).astype(np.uint32)  # no background, gaps


@pytest.mark.parametrize("change", [lambda cells: cells, shifted, squares])
def test_counts_split_as_when_each_cell_is_imaged_alone(change, light, alone):
    mask = change(light.cells)
    wanted = by_hand(mask, light, alone)
    found = split_counts(mask, light)
    found = found[found["channel"].isin(CHANNELS)].set_index(["Object", "channel"])
    assert set(found.index) == set(wanted)
    for key, (owner, *parts) in wanted.items():
        row = found.loc[key]
        assert row["owner"] == owner
        assert row[["own", "blur", "mask_error"]].tolist() == pytest.approx(parts, abs=1e-6)
    assert (found["area"].groupby("channel").sum() == (mask > 0).sum()).all()


def test_a_true_mask_has_no_error(light):
    found = split_counts(light.cells, light)
    assert (found["mask_error"] == 0).all()
    assert (found["Object"] == found["owner"]).all()
    assert (found.loc[found["channel"] == "CD20", "blur"] > 0).any()


def test_the_light_is_what_the_image_expects():
    # Poisson and nothing else on top: the mean of an image is the light and the background.
    quiet = replace(
        LYMPHOID.imaging, flicker=0, drift=0, hot_rate=0, spill_plus_one=0, spill_minus_one=0,
        spill_oxide=0,
    )  # fmt: skip
    sample = make_sample(replace(LYMPHOID, imaging=quiet), (150, 150), 4, "s")
    area = np.bincount(sample.masks["truth"].ravel())[1:]
    for name, background in (("CD20", 0.6), ("DNA1", 2.5), ("CD68", 2.6)):
        expected = (sample.truth[f"mean_{name}"] + background) * area
        counted = np.bincount(sample.masks["truth"].ravel(), sample.channel(name).ravel())[1:]
        # The grain of a stain adds to Poisson noise: a lognormal of standard deviation .35 or less.
        spread_of = np.sqrt(expected + 0.15 * expected**2 / area)
        scores = (counted - expected) / spread_of
        assert abs(scores.mean()) < 4 / np.sqrt(len(area))
        assert (np.abs(scores) < 4).mean() > 0.99


def test_masks_of_another_shape_or_empty(light):
    assert split_counts(np.zeros_like(light.cells), light).empty
    with pytest.raises(InputError, match=r"expected the image's shape \(60, 50\), found \(3, 3\)"):
        split_counts(np.zeros((3, 3), int), light)


def test_the_table_of_cells(tissue, light, alone):
    table = describe_cells(tissue, light)
    assert table.index.tolist() == list(range(1, len(tissue.types) + 1))
    assert set(table["type"]) <= set(tissue.type_names)
    assert set(table["niche"]) <= {"medulla", "T zone", "follicle"}
    b_cells = table[table["type"] == "B"]
    assert b_cells["positive"].str.split(";").map(lambda names: "CD20" in names).all()
    assert not table.loc[table["type"] == "CD4 T", "positive"].str.contains("CD20").any()
    for label in (1, 7, len(table)):
        inside = tissue.cells == label
        assert table.loc[label, "nucleus_in_plane"] == (tissue.nuclei[inside] == label).any()
        for name in CHANNELS:
            everything = alone[name][:, inside].sum(axis=0)
            mine = alone[name][label, inside]
            assert table.loc[label, f"mean_{name}"] == pytest.approx(everything.mean(), abs=1e-6)
            others = table.loc[label, f"others_{name}"]
            assert others == pytest.approx((everything - mine).mean(), abs=1e-6)
    dark = table.filter(regex="_(ArAr80|Ce140)$")
    assert dark.shape[1] == 4
    assert (dark == 0).all(axis=None)


def test_light_of_a_sample_is_that_of_its_table():
    sample = next(phantom_cohort("phantom_spleen", seed=3))
    light = sample_light("phantom_spleen", sample.id, scale=0.0, seed=3)
    assert np.array_equal(light.cells, sample.masks["truth"])
    counts = split_counts(light.cells, light).query("channel == 'CD20'")
    mean = (counts["own"] + counts["blur"]) / counts["area"]
    assert mean.to_numpy() == pytest.approx(sample.truth["mean_CD20"].to_numpy())
    with pytest.raises(InputError, match="phantom_spleen has phantom_spleen_001"):
        sample_light("phantom_spleen", "elsewhere", scale=0.0, seed=3)
