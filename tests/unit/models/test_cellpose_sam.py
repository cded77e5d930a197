"""Cellpose-SAM through its real library, with random weights in its own format."""

from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

from imc_helpers.errors import InputError
from imc_helpers.models.adapters import cellpose_sam
from imc_helpers.models.protocol import model_input


@pytest.fixture
def record(make_record):
    return make_record(
        kernel="cellpose-sam",
        inputs=["membrane", "nucleus", "zeros"],
        parameters={"diameter_um": 15.0, "min_size": 5, "flow_threshold": 0.0},
        weights=[{"url": "https://example.org/net", "name": "net"}],
    )


def cellpose_version():
    try:
        return int(version("cellpose").split(".")[0])
    except PackageNotFoundError:
        return 0


def test_no_weights_are_downloaded(record, tmp_path):
    with pytest.raises(InputError, match="net: no weights here"):
        cellpose_sam.load(record, "cpu", tmp_path)


@pytest.mark.skipif(cellpose_version() != 3, reason="cellpose 3 is not installed here")
def test_another_cellpose_is_refused(record, tmp_path):
    (tmp_path / "net").touch()
    with pytest.raises(InputError, match="needs version 4, found 3.*make kernel-cellpose-sam"):
        cellpose_sam.load(record, "cpu", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(
    cellpose_version() < 4,
    reason="cellpose 4 is not installed here; its kernel is `make kernel-cellpose-sam`",
)
def test_the_whole_path(record, tmp_path, assert_labels, tissue):
    import torch
    from cellpose.vit_sam import CPSAM

    torch.manual_seed(0)
    net = CPSAM(dtype=torch.float32)
    torch.save(net.state_dict(), tmp_path / "net")
    adapter = cellpose_sam.load(record, "cpu", tmp_path)
    image = model_input(tissue, record.inputs)
    batch = assert_labels(adapter, [image, 2 * image])
    np.testing.assert_array_equal(batch[0], batch[1])  # its normalisation takes the factor out
    adapter.eval_parameters["cellprob_threshold"] = 1e6
    assert not assert_labels(adapter, [np.zeros_like(image)])[0].any()
