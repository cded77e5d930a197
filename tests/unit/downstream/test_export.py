"""A set of masks as AnnData, read again, and taken by squidpy where its kernel is."""

import json
import subprocess

import anndata
import numpy as np
import pandas as pd
import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from scipy import sparse

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.downstream import spatial
from imc_helpers.downstream.export import write_measurements

PANEL = Panel((Channel("Ir191", "DNA", "nucleus"), Channel("Dy161", "CD20", "membrane")))
UM_PER_PX = 0.5


def tissue(seed, side=90):
    """Some hundred cells of 7 px, one in four of them left out."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    labels = 1 + (y // 8) * (side // 8 + 1) + x // 8
    labels[(y % 8 == 0) | (x % 8 == 0) | np.isin(labels, rng.choice(labels.max(), 40))] = 0
    return rng.poisson(5.0, (2, side, side)).astype(np.float32), labels.astype(np.uint32)


@pytest.fixture
def cohort(tmp_path):
    samples = []
    for name, seed in (("s 1", 1), ("t", 2)):
        image, labels = tissue(seed)
        samples.append(Sample(name, image, PANEL, UM_PER_PX, {"anna": labels}))
    write_cohort(tmp_path / "lab", samples)
    return Cohort(tmp_path / "lab")


@pytest.fixture
def written(cohort, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    masks = {sample: cohort.read_mask(sample, "anna") for sample in cohort.ids}
    return write_measurements(folder, cohort, "anna", masks), folder / "anna.h5ad"


def test_the_file_holds_what_the_tables_hold(cohort, written):
    tables, path = written
    cells = anndata.read_h5ad(path)
    assert cells.obs_names.is_unique
    assert list(cells.var_names) == ["DNA", "CD20"]
    assert list(cells.obs) == ["image", "Object", "cell_id", "area", "region"]
    assert cells.uns["spatialdata_attrs"]["region_key"] == "region"
    assert list(cells.uns["spatialdata_attrs"]["region"]) == ["anna_s_1", "anna_t"]
    for sample, own in tables.items():
        here = cells[cells.obs["image"] == sample]
        assert here.obs["Object"].tolist() == own.intensities.index.tolist()
        assert np.array_equal(here.X, own.intensities.to_numpy(np.float32))
        assert here.layers["exprs"] == pytest.approx(np.arcsinh(own.intensities), rel=1e-6)
        props = own.regionprops
        assert here.obs["area"].to_numpy() == pytest.approx(props["area"] * UM_PER_PX**2)
        centres = (props[["centroid-1", "centroid-0"]].to_numpy() + 0.5) * UM_PER_PX
        assert here.obsm["spatial"] == pytest.approx(centres)
        rows, columns, apart = sparse.find(here.obsp["spatial_distances"])
        ids = props.index.to_numpy()
        pairs = pd.MultiIndex.from_arrays([ids[rows], ids[columns]])
        listed = own.neighbors.set_index(["Object", "Neighbor"])["Distance"]
        assert len(apart) == len(listed)
        assert apart == pytest.approx(listed[pairs] * UM_PER_PX)
        assert here.obsp["spatial_connectivities"].sum() == len(listed)
    # No cell of one image is a neighbour of one of another.
    assert cells.obsp["spatial_distances"].nnz == sum(len(own.neighbors) for own in tables.values())


def test_a_set_without_cells(cohort, tmp_path):
    write_measurements(tmp_path, cohort, "nobody", {"t": np.zeros((90, 90), np.uint32)})
    assert anndata.read_h5ad(tmp_path / "nobody.h5ad").shape == (0, 2)


def in_squidpys_kernel(code, *arguments):
    """Run code with the interpreter of the kernel `squidpy`."""
    try:
        python = KernelSpecManager().get_kernel_spec("squidpy").argv[0]
    except NoSuchKernel:
        pytest.skip("squidpy has a kernel of its own, which is not here: `make kernel-squidpy`")
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code, *map(str, arguments)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


ENRICHMENT = """
import json, sys
import anndata, squidpy
cells = anndata.read_h5ad(sys.argv[1])
cells = cells[cells.obs["image"] == "t"].copy()
cells.obs["type"] = [("a", "b", "c")[k % 7 % 3] for k in cells.obs["Object"]]
cells.obs["type"] = cells.obs["type"].astype("category")
z, counts = squidpy.gr.nhood_enrichment(
    cells, "type", n_perms=1000, seed=0, copy=True, show_progress_bar=False, n_jobs=1
)[:2]
print(json.dumps({"z": z.tolist(), "counts": counts.tolist()}))
"""


def test_squidpy_finds_the_same_enrichment(written):
    """Counts are equal; z lies within what 1000 permutations on either side leave open."""
    tables, path = written
    theirs = json.loads(in_squidpys_kernel(ENRICHMENT, path).splitlines()[-1])
    own = tables["t"]
    types = np.array([k % 7 % 3 for k in own.intensities.index])
    graph = spatial.expanded(tissue(2)[1])
    z = spatial.permutation_z(graph, types, 3, permutations=1000, seed=1)
    assert theirs["counts"] == spatial.contact_counts(graph, types, 3).tolist()
    # Standard error of a z of 1000 permutations, on either side: of its mean, and of its spread.
    error = np.sqrt(2 * (1 / 1000 + z**2 / 2000))
    assert (np.abs(np.array(theirs["z"]) - z) < 4 * error).all()


STORED = """
import json, sys
from pathlib import Path
import numpy as np
import spatialdata
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.spatialdata_store import write_spatialdata
cohort, path = Cohort(Path(sys.argv[1])), Path(sys.argv[2])
masks = {sample: cohort.read_mask(sample, "anna") for sample in cohort.ids}
write_spatialdata(path, cohort, "anna", masks)
store = spatialdata.read_zarr(path)
labels = store["anna_s_1"]
places = spatialdata.get_centroids(labels, coordinate_system="image_s_1").compute()
cells = store["anna"]
here = cells[cells.obs["region"] == "anna_s_1"]
print(json.dumps({
    "same": bool(np.array_equal(labels.values, masks["s 1"])),
    "ids": here.obs["cell_id"].tolist() == places.index.tolist(),
    "apart_um": float(np.abs(places[["x", "y"]] - here.obsm["spatial"]).to_numpy().max()),
}))
"""


def test_spatialdata_links_cells_to_their_labels(cohort, tmp_path):
    """Its own centroids lie where ours do: pixels have become micrometres, x and y are in order."""
    found = json.loads(
        in_squidpys_kernel(STORED, cohort.folder, tmp_path / "lab.zarr").splitlines()[-1]
    )
    assert found["same"] and found["ids"]
    assert found["apart_um"] < 1e-6
