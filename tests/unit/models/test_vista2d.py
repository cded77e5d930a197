"""VISTA-2D: MONAI's network with random weights, from the file to labels; and what follows it."""

import numpy as np
import pytest
from skimage.draw import disk

from imc_helpers.aggregation import scale_percentiles
from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.metrics import evaluate
from imc_helpers.models.adapters import vista2d

RECORD = model_record("vista2d")
DYNAMICS = RECORD.parameters["dynamics"]


def network():
    """The network, or a skip that says what is missing; it takes seconds to make."""
    pytest.importorskip("segment_anything", reason="segment-anything is not installed")
    pytest.importorskip("monai", reason="monai is not installed")
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not load beside this torch: {error}")
    import torch
    from monai.networks.nets.cell_sam_wrapper import CellSamWrapper

    torch.manual_seed(0)
    return CellSamWrapper(checkpoint=None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with weights as the bundle saves them, of a network that was never trained."""
    made = network()
    import torch

    folder = tmp_path_factory.mktemp("vista2d")
    torch.save({"state_dict": made.state_dict(), "config": {}}, folder / vista2d.WEIGHTS)
    return folder


def discs(shape=(96, 96)):
    labels = np.zeros(shape, np.int32)
    for i, (y, x) in enumerate([(20, 20), (20, 41), (60, 30), (70, 70)], start=1):
        labels[disk((y, x), 10)] = i
    return labels


def network_output(labels):
    """What a network that makes no error gives for some cells."""
    dynamics = pytest.importorskip("cellpose.dynamics", reason="cellpose is not installed")
    import torch

    made = dynamics.labels_to_flows([labels], device=torch.device("cpu"))[0]
    cell, flows = made[1], made[2:]
    return np.stack([np.where(cell, 6.0, -6.0), *(5 * flows)]).astype(np.float32)


def test_flows_of_cells_lead_back_to_them():
    true = discs()
    found = vista2d.flows_to_labels(network_output(true), DYNAMICS, "cpu")
    scores = evaluate(true, found)
    assert scores.n_true == scores.n_pred == 4
    assert scores.ap50 == 1
    assert scores.map > 0.95


def test_no_pixel_over_the_threshold_gives_zeros():
    output = np.zeros((3, 32, 48), np.float32)
    output[0] = DYNAMICS["cellprob_threshold"]  # not over it
    found = vista2d.flows_to_labels(output, DYNAMICS, "cpu")
    assert found.shape == (32, 48)
    assert not found.any()


def test_cells_under_15_px_are_dropped_and_holes_filled():
    true = discs()
    true[85:88, 5:8] = 5  # 9 px
    output = network_output(true)
    output[0, 20, 20] = -6  # a hole of one pixel
    found = vista2d.flows_to_labels(output, DYNAMICS, "cpu")
    assert not found[84:89, 4:9].any()
    assert found[20, 20] == found[20, 22] > 0


def test_wrong_flows_are_dropped():
    output = network_output(discs())
    inside = discs() == 4
    output[1:, inside] = output[1:, inside][::-1]  # rows for columns: they lead nowhere
    assert not vista2d.flows_to_labels(output, DYNAMICS, "cpu")[inside].any()


def test_scaling_is_the_bundles():
    transforms = pytest.importorskip("monai.transforms", reason="monai is not installed")
    rng = np.random.default_rng(0)
    image = rng.gamma(0.5, 20.0, (3, 64, 50)).astype(np.float32)
    image[0] = 0
    image[1, rng.random((64, 50)) < 0.995] = 0  # percentiles 1 and 99 are both 0
    bundle = transforms.Compose(
        [
            transforms.ScaleIntensity(minv=0, maxv=1, channel_wise=True),
            transforms.ScaleIntensityRangePercentiles(
                lower=1, upper=99, b_min=0, b_max=1, clip=True, channel_wise=True
            ),
        ]
    )
    with pytest.warns(Warning, match="Divide by zero"):
        expected = np.asarray(bundle(image))
    np.testing.assert_allclose(scale_percentiles(image), expected, atol=1e-5)
    assert image.max() > 1  # scaling changed nothing


@pytest.mark.slow
def test_the_whole_path(weights):
    """Two windows go in together, and give what each gives alone; an empty one gives labels too."""
    adapter = vista2d.load(RECORD, "cpu", weights)
    rng = np.random.default_rng(0)
    patches = [rng.random((3, 256, 256), dtype=np.float32), np.zeros((3, 256, 256), np.float32)]
    seen = []
    adapter.network.register_forward_hook(lambda net, given, out: seen.append(out.numpy().copy()))
    labels = adapter.predict(patches, um_per_px=1.0)
    assert [found.shape for found in labels] == [(256, 256)] * 2
    assert all(np.issubdtype(found.dtype, np.integer) for found in labels)
    # Windows as large as the image: blending must leave the network's output as it was.
    logits = np.concatenate(seen)
    for output, found in zip(logits, labels, strict=True):
        np.testing.assert_array_equal(vista2d.flows_to_labels(output, DYNAMICS, "cpu"), found)
    assert not np.allclose(logits[0], logits[1])
    (found,) = adapter.predict([patches[0][:, :100, :140]], um_per_px=1.0)
    assert found.shape == (100, 140)  # smaller than the window


def test_a_file_that_is_not_the_weights_is_refused(tmp_path):
    made = network()
    import torch

    without_one = dict(list(made.state_dict().items())[1:])
    torch.save({"state_dict": without_one, "config": {}}, tmp_path / vista2d.WEIGHTS)
    with pytest.raises(InputError, match="not the weights of this network"):
        vista2d.load(RECORD, "cpu", tmp_path)
    (tmp_path / vista2d.WEIGHTS).write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="not the weights"):
        vista2d.load(RECORD, "cpu", tmp_path)
