"""From a lab's folder, with every kind of defect, to the lab's book: two commands."""

import hashlib
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from clones import clone, run
from PIL import Image

SHAPE = (96, 104)
ANSWER = "_build/lab/html/chapters/yours/01_answer.html"


def cells(step=12, radius=4.5, shift=0):
    """Discs on a grid."""
    labels = np.zeros(SHAPE, np.uint32)
    rows, columns = np.indices(SHAPE)
    centres = [(r, c) for r in range(8, 90, step) for c in range(8, 98, step)]
    for number, (row, column) in enumerate(centres, start=1):
        labels[np.hypot(rows - row, columns - column - shift) <= radius] = number
    return labels


@pytest.fixture
def lab(tmp_path):
    """Three images of two people and one model, and files that cannot be used."""
    folder = tmp_path / "Our spleens"
    rng = np.random.default_rng(0)
    for name in ("img", "masks_anna", "masks_bo", "masks_cellpose", "masks_carl"):
        (folder / name).mkdir(parents=True)
    (folder / "panel.csv").write_text("channel,name,keep\nIr191,DNA1,1\nDy161,CD20,1\n")
    for number in range(3):
        name, labels = f"roi_{number}", cells()
        image = rng.poisson(1 + 20 * (labels > 0), (2, *SHAPE)).astype(np.float32)
        tifffile.imwrite(folder / "img" / f"{name}.tiff", image)
        tifffile.imwrite(folder / "masks_anna" / f"{name}.tiff", labels)
        drawn = np.where(labels % 5 == number, 0, labels).astype(np.uint16)
        Image.fromarray(drawn).save(folder / "masks_bo" / f"{name}.png")
        tifffile.imwrite(folder / "masks_cellpose" / f"{name}.tiff", cells(shift=1))
    tifffile.imwrite(folder / "masks_carl" / "roi_0.tiff", cells().T)
    tifffile.imwrite(folder / "masks_carl" / "roi_1.tiff", np.zeros(SHAPE, np.uint16))
    tifffile.imwrite(folder / "masks_carl" / "roi_9.tiff", cells())
    np.save(folder / "masks_carl" / "roi_2.npy", cells() > 0)
    return folder


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.timeout(1000)
def test_two_commands_make_a_labs_book_and_leave_its_folder_alone(lab, tmp_path):
    root = tmp_path / "clone"
    clone(root)
    before = hashes(lab)
    for path in [lab, *lab.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)

    said = run(root, "-m", "imc_helpers.own_study.proposal", str(lab), "--name", "lab")
    assert "lab: 3 images, 2 channels, 1 um per pixel" in said
    for what in ("transposed mask", "empty mask", "binary mask", "mask without image"):
        assert f"- {what} of carl (roi_" in said
    edition = root / "editions" / "lab.yml"
    written = yaml.safe_load(edition.read_text())
    raters = written["cohorts"]["lab"]["raters"]
    assert {name: one["kind"] for name, one in raters.items()} == {
        "anna": "annotator",
        "bo": "annotator",
        "cellpose": "model",
    }
    # Every page bears such an edition, as other tests show; here it is about its own pages.
    edition.write_text(yaml.safe_dump({**written, "parts": ["yours"], "models": ["distance"]}))

    assert "The lab edition is ready" in run(root, "workflow/scripts/run.py", "lab")
    assert "yours/01_answer.html" in (root / "_build/lab/html/index.html").read_text()
    page = (root / ANSWER).read_text()
    assert "80% were outlined by both" in page
    assert "has the highest mean score" in page
    assert "Correct the 4 files that could not be used" in page
    odd = pd.read_csv(root / "results/lab/answer/oddities.csv")
    assert set(odd.loc[~odd["used"], "what"]) == {
        "transposed mask",
        "empty mask",
        "binary mask",
        "mask without image",
    }
    assert (root / "results/lab/report.pdf").read_bytes().startswith(b"%PDF")
    assert "80% were outlined by both" in (root / "results/lab/report.html").read_text()
    export = root / "results/lab/export/lab"
    agreed = tifffile.imread(export / "masks_consensus/roi_0.tiff")
    assert len(np.unique(agreed)) - 1 == len(np.unique(np.where(cells() % 5 == 0, 0, cells()))) - 1
    assert anndata.read_h5ad(export / "cellpose.h5ad").n_obs == 3 * cells().max()
    assert (root / "_build/lab/html/viewer/lab/roi_0.html").is_file()
    assert not (root / "predictions/lab/cellpose/whole/roi_0.tiff").exists(), "nothing is copied"
    assert "Nothing to be done" in run(root, "workflow/scripts/run.py", "lab")
    assert hashes(lab) == before
    shutil.rmtree(root)
