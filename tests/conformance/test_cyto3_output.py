"""From a published network's output to masks: Cellpose 3's own dynamics on real cyto3 output."""

import json

import numpy as np
import pytest

from imc_helpers.metrics import evaluate

pytestmark = pytest.mark.mirror
dynamics = pytest.importorskip(
    "cellpose.dynamics", reason="cellpose 3 is not installed (extra `models`)"
)

FOLDER = "Modjular/webgpu-cellseg/33b26b8369ee4db0dc26b8604214adfd8e8b0f4f/tests/refdata/cellpose"


@pytest.mark.parametrize(
    ("name", "cells"), [("cellpose_img_075", 162), ("cellpose_img_075_ch23", 149)]
)
def test_masks_from_the_output_of_cyto3(mirror, name, cells):
    stem = mirror / FOLDER / name
    meta = json.loads((mirror / FOLDER / f"{name}.meta.json").read_text())
    assert meta["n_masks"] == cells
    padded = (3, meta["Hp"], meta["Wp"])
    output = np.fromfile(f"{stem}.output.bin", np.float32).reshape(padded)
    flow_y, flow_x, probability = output[:, : meta["H"], : meta["W"]]  # padded at the bottom
    expected = np.fromfile(f"{stem}.masks.bin", np.int32).reshape(meta["H"], meta["W"])
    found = dynamics.resize_and_compute_masks(
        np.stack([flow_y, flow_x]),
        probability,
        niter=meta["niter"],
        cellprob_threshold=meta["cellprob_threshold"],
        flow_threshold=meta["flow_threshold"],
        min_size=meta["min_size"],
    )
    scores = evaluate(expected, found)
    assert (scores.n_true, scores.n_pred) == (cells, cells)
    assert scores.map == 1.0  # every cell, up to an IoU of .95
