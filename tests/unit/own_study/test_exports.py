"""What a lab takes home, read again with the libraries that it uses."""

import anndata
import numpy as np
import pandas as pd
import pytest
import tifffile

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.own_study import exports
from imc_helpers.own_study.exports import asked, export

PANEL = Panel((Channel("Ir191", "DNA", "nucleus"), Channel("Dy161", "CD20", "membrane")))


def random_cells(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((30, 40), np.uint32)
    labels[2:8, 3:9], labels[10:20, 10:15], labels[22:28, 30:38] = 5, 900, 7
    return labels, rng.random((2, 30, 40)).astype(np.float32)


def test_consensus_cells_and_steinbocks_tables(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    labels, image = random_cells(1)
    second = np.where(labels == 7, 0, labels)
    samples = [
        Sample("s", image, PANEL, 0.5, {"anna": labels, "bo": second}),
        Sample("t", image, PANEL, 0.5, {"anna": labels}),
    ]
    write_cohort(tmp_path / "data" / "lab", samples)
    cohort = Cohort(tmp_path / "data" / "lab", raters=[Rater("anna"), Rater("bo")])
    folder = tmp_path / "out"
    export(cohort, [], folder)
    agreed = tifffile.imread(folder / "masks_consensus" / "s.tiff")
    assert ((agreed > 0) == (second > 0)).all(), "both drew two of the three cells"
    assert not (folder / "masks_consensus" / "t.tiff").exists()
    cells = anndata.read_h5ad(folder / "anna.h5ad")
    assert cells.shape == (6, 2)
    assert cells.var["channel"].tolist() == ["Ir191", "Dy161"]
    one = cells[cells.obs_names == "t_900"]
    assert one.X[0] == pytest.approx(image[:, labels == 900].mean(axis=1), rel=1e-5)
    assert one.obsm["spatial"][0] == pytest.approx([12.5 / 2, 15 / 2])
    assert one.obs["area"].iloc[0] == pytest.approx(50 / 4)
    # In "s" bo drew two of anna's three cells, just alike; in "t" nobody else did.
    shared = cells[cells.obs["image"] == "s"]
    assert shared.obs["support"].tolist() == [1, 0, 1]
    assert shared.obs["mask_iou"].fillna(-1).tolist() == [1, -1, 1]
    assert np.array_equal(shared.layers["mask_sd"][[0, 2]], np.zeros((2, 2)))
    alone = cells[cells.obs["image"] == "t"]
    assert alone.obs[["support", "mask_iou"]].isna().all(axis=None)
    assert np.isnan(alone.layers["mask_sd"]).all()
    assert cells.obs["type_entropy"].isna().all(), "five clusters take more than these cells"
    of_both = anndata.read_h5ad(folder / "consensus.h5ad")
    assert of_both.obs["support"].tolist() == [1, 1]
    for rater, ids in (("consensus", [1, 2]), ("anna", [5, 7, 900])):
        intensities = pd.read_csv(folder / f"intensities_{rater}" / "s.csv", index_col="Object")
        assert intensities.columns.tolist() == ["DNA", "CD20"]
        props = pd.read_csv(folder / f"regionprops_{rater}" / "s.csv", index_col="Object")
        assert props.index.tolist() == intensities.index.tolist() == ids
        assert {"area", "centroid-0", "centroid-1", "eccentricity"} <= set(props.columns)


@pytest.mark.parametrize(("learned_from", "typed"), [(24, True), (2, True), (1, False)])
def test_cells_bear_how_far_their_type_depends_on_the_mask(
    learned_from, typed, tmp_path, monkeypatch
):
    """Two images have cells enough for clusters, one has not; and nothing depends on the mask."""
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    monkeypatch.setattr(exports, "LEARNED_FROM", learned_from)
    labels = np.kron(np.arange(1, 7).reshape(1, 6), np.ones((6, 6), int)).astype(np.uint32)
    samples = []
    for name, kinds in (("s", [[1, 9], [9, 1], [1, 1]]), ("t", [[9, 9], [30, 1], [1, 30]])):
        levels = np.repeat(np.array(2 * kinds).T, 6, axis=1)
        image = np.broadcast_to(levels[:, None, :], (2, 6, 36)).astype(np.float32)
        samples.append(Sample(name, image, PANEL, 1.0, {"anna": labels, "bo": labels}))
    write_cohort(tmp_path / "data" / "lab", samples)
    cohort = Cohort(tmp_path / "data" / "lab", raters=[Rater("anna"), Rater("bo")])
    export(cohort, [], tmp_path / "out")
    cells = anndata.read_h5ad(tmp_path / "out" / "anna.h5ad")
    found = cells.obs["type_entropy"]
    assert found.tolist() == [0] * 12 if typed else found.isna().all(), "same masks, same types"


def test_who_is_asked(tmp_path, monkeypatch):
    """Other references; the models only where there is none; never the consensus."""
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    labels, image = random_cells(1)
    samples = [Sample("s", image, PANEL, 1.0, {"anna": labels, "bo": labels})]
    samples.append(Sample("t", image, PANEL, 1.0, {"anna": labels}))
    write_cohort(tmp_path / "data" / "lab", samples)
    cohort = Cohort(tmp_path / "data" / "lab", raters=[Rater("anna"), Rater("bo")])
    of_s, of_t = ["anna", "bo", "model", "consensus"], ["anna", "model", "consensus"]
    assert asked(cohort, of_s, "anna", "s") == ["bo"]
    assert asked(cohort, of_s, "model", "s") == asked(cohort, of_s, "consensus", "s")
    assert asked(cohort, of_s, "model", "s") == ["anna", "bo"]
    assert asked(cohort, of_t, "anna", "t") == ["model"]


def test_several_processes_write_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    samples = []
    for k, name in enumerate("abc"):
        labels, image = random_cells(k)
        samples.append(Sample(name, image, PANEL, 1.0, {"anna": labels, "bo": labels}))
    write_cohort(tmp_path / "data" / "lab", samples)
    cohort = Cohort(tmp_path / "data" / "lab", raters=[Rater("anna"), Rater("bo")])
    for jobs in (1, 2):
        export(cohort, [], tmp_path / f"out{jobs}", n_jobs=jobs)
    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "out1", tmp_path / "out2")
    )
    assert one.keys() == two.keys()
    assert all(one[path] == two[path] for path in one if path.suffix != ".h5ad")
    for path in (path for path in one if path.suffix == ".h5ad"):
        left, right = (anndata.read_h5ad(tmp_path / f"out{k}" / path) for k in (1, 2))
        assert np.array_equal(left.X, right.X) and left.obs.equals(right.obs)
