"""What CONTRIBUTING.md and how_to_run.md tell to write, built in a clone of the book."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from clones import REPOSITORY, clone, run
from skimage.measure import label

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.data.writers import write_cohort

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:yaml|python)\n# ([^\n]+)\n(.*?)```", TEXT, re.DOTALL)
PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Dy161", "CD20", "membrane")))


def test_each_recipe_has_its_file():
    places = [place.partition(",")[0] for place, _ in BLOCKS]
    assert places == [
        "editions/mine.yml",
        "src/imc_helpers/models/adapters/blobs.py",
        "data_manifest/models.yml",
        "data_manifest/cohorts.yml",
        "data_manifest/cohorts.yml",
        "chapters/beyond/04_cells.py",
        "sweeps/my_sweep.yml",
    ]


def follow(root: Path) -> None:
    """Write every block where its first line says: a file, or an entry of the manifest."""
    for place, content in BLOCKS:
        name, _, what = place.partition(", ")
        path = root / name
        if what:
            assert what == "raters of my_lab"
            records = yaml.safe_load(path.read_text(encoding="utf-8"))
            records["my_lab"]["raters"] |= yaml.safe_load(content)
            path.write_text(yaml.safe_dump(records), encoding="utf-8")
        elif name.startswith("data_manifest/"):
            path.write_text(f"{path.read_text(encoding='utf-8')}\n{content}", encoding="utf-8")
        else:
            assert not path.exists()
            path.write_text(content, encoding="utf-8")


def lab_folder(root: Path) -> None:
    """Make the lab's steinbock folder, and the masks of a second person for one image."""
    rng = np.random.default_rng(0)
    samples = []
    for name in ("one", "two"):
        nuclei = np.zeros((96, 96))
        rows, columns = np.mgrid[6:90:12, 6:90:12].reshape(2, -1)
        nuclei[rows, columns] = 1
        near = np.hypot(*np.indices((5, 5)) - 2) <= 2
        cells = label(nuclei > 0)
        for row, column, cell in zip(rows, columns, range(1, len(rows) + 1), strict=True):
            cells[row - 2 : row + 3, column - 2 : column + 3][near] = cell
        image = rng.poisson(1 + 20 * (cells > 0), (2, 96, 96)).astype(np.float32)
        samples.append(Sample(name, image, PANEL, 1.0, {"ann": cells.astype(np.uint32)}))
    write_cohort(root / "my_folder", samples)
    (root / "masks_of_bo").mkdir()
    shifted = np.roll(samples[0].masks["ann"], 1, axis=1)
    tifffile.imwrite(root / "masks_of_bo" / "one.tiff", shifted)


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_what_the_recipes_add_is_built(tmp_path):
    root = tmp_path / "clone"
    clone(root)
    follow(root)
    lab_folder(root)
    run(root, "workflow/scripts/sync.py")
    assert (root / "chapters/beyond/04_cells.ipynb").is_file()
    assert "The mine edition is ready" in run(root, "workflow/scripts/run.py", "mine")

    assert (root / "predictions/my_lab/blobs/whole/run.json").is_file()
    assert (root / "data/my_phantom/images.csv").is_file()
    scores = pd.read_parquet(root / "results/mine/scores/my_lab.parquet")
    both = scores[(scores["rater_true"] == "ann") & (scores["rater_pred"] == "bo")]
    assert both["sample"].tolist() == ["one"], "bo labelled one image"
    assert {"blobs", "distance"} <= set(scores["rater_pred"])
    table = pd.read_csv(root / "results/mine/sweeps/my_sweep.csv")
    assert set(table["model"]) == {"distance", "blobs"}
    html = root / "_build/mine/html"
    counts = [pd.read_parquet(file)["n_true"].sum() for file in scores_files(root)]
    assert f"{sum(counts):,} cells, over all pairs" in (
        html / "chapters/beyond/04_cells.html"
    ).read_text(encoding="utf-8")
    front = (html / "index.html").read_text(encoding="utf-8")
    assert "Not in this edition" in front
    assert not (html / "chapters/study/01_datasets.html").exists()


@pytest.mark.slow
@pytest.mark.mirror
@pytest.mark.timeout(1000)
def test_the_edition_that_how_to_run_prints_is_built(tmp_path):
    """Two cohorts, one of tools and one of experts; no model, no sweep, nothing synthetic."""
    root = tmp_path / "clone"
    clone(root)
    text = (REPOSITORY / "how_to_run.md").read_text(encoding="utf-8")
    (content,) = re.findall(r"```yaml\n# editions/mine\.yml\n(.*?)```", text, re.DOTALL)
    (root / "editions/mine.yml").write_text(content, encoding="utf-8")
    assert "The mine edition is ready" in run(root, "workflow/scripts/run.py", "mine")
    edition = yaml.safe_load(content)
    html = root / "_build/mine/html"
    shown = {path.parent.name for path in (html / "chapters").rglob("*.html")}
    assert shown == {*edition["parts"], *(page.partition("/")[0] for page in edition["pages"])}
    front = (html / "index.html").read_text(encoding="utf-8")
    assert edition["because"] in front
    page = (html / "chapters/study/05_annotators.html").read_text(encoding="utf-8")
    assert "border_px: int = 0" in re.sub("<[^>]+>", "", page)


def scores_files(root: Path) -> list[Path]:
    return sorted((root / "results/mine/scores").glob("*.parquet"))
