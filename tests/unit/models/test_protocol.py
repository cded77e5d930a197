"""From a sample to labels: what reaches an adapter, and what may come back."""

import numpy as np
import pytest

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.models.protocol import Segmenter, model_input

PANEL = Panel(
    (
        Channel("Ir191", "DNA1", "nucleus"),
        Channel("Ir193", "DNA2", "nucleus"),
        Channel("Dy161", "CD20", "membrane"),
        Channel("Yb173", "CD45"),
    )
)


def sample(side=8, um_per_px=1.0):
    image = np.stack([np.full((side, side), value, np.float32) for value in (1, 3, 5, 7)])
    return Sample("a", image, PANEL, um_per_px)


def record(**changes):
    values = {
        "title": "Toy",
        "source": "classical",
        "version": "1",
        "citation": "c",
        "license": "MIT",
        "adapter": "toy",
        "inputs": ["membrane", "nucleus"],
    }
    return ModelRecord.model_validate({**values, **changes})


class Toy:
    """Notes what it gets, and gives back one cell in the middle of each image."""

    def __init__(self, answer=None):
        self.calls, self.answer = [], answer

    def predict(self, images, um_per_px):
        self.calls.append((len(images), um_per_px, [image.shape for image in images]))
        if self.answer is not None:
            return [self.answer for _ in images]
        labels = []
        for image in images:
            one = np.zeros(image.shape[1:], np.int64)
            one[2:4, 2:4] = 9
            labels.append(one)
        return labels


def test_planes_come_in_the_models_own_order():
    planes = model_input(sample(), ("zeros", "membrane", "nucleus"))
    assert planes.dtype == np.float32
    assert planes[:, 0, 0].tolist() == [0, 5, 2]
    assert model_input(sample(), ("all",))[:, 0, 0].tolist() == [1, 3, 5, 7]


def test_labels_are_uint32_and_the_sample_is_not_changed():
    segmenter = Segmenter("toy", record(), Toy(), "cpu")
    one = sample()
    before = one.image.copy()
    labels = segmenter.segment(one)
    assert labels.dtype == np.uint32 and labels[2, 2] == 9
    assert np.array_equal(before, one.image)


def test_patches_reach_the_model_together():
    toy = Toy()
    found = Segmenter("toy", record(), toy, "cpu").run([sample(um_per_px=0.5)] * 3)
    assert toy.calls == [(3, 0.5, [(2, 8, 8)] * 3)]
    assert len(found.labels) == 3
    assert 0 <= found.library_seconds <= found.seconds


def test_no_sample_is_no_work():
    toy = Toy()
    assert Segmenter("toy", record(), toy, "cpu").run([]).labels == []
    assert toy.calls == []


def test_an_image_beyond_the_models_window_is_tiled():
    toy = Toy()
    labels = Segmenter("toy", record(window_px=200), toy, "cpu").segment(sample(side=300))
    assert labels.shape == (300, 300)
    assert all(max(shape[1:]) <= 200 for _, _, shapes in toy.calls for shape in shapes)


def test_samples_of_two_pixel_sizes_are_refused():
    with pytest.raises(InputError, match=r"one pixel size, found \[0.5, 1.0\]"):
        Segmenter("toy", record(), Toy(), "cpu").run([sample(), sample(um_per_px=0.5)])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((4, 4), int), r"labels of shape \(4, 4\) for an image of \(8, 8\)"),
        (np.full((8, 8), 0.5), "whole numbers"),
        (np.full((8, 8), -1), "0 or more"),
    ],
)
def test_what_is_no_label_image_is_refused(answer, message):
    with pytest.raises(InputError, match=message):
        Segmenter("toy", record(), Toy(answer), "cpu").segment(sample())


def test_a_panel_without_what_the_model_takes_is_refused():
    bare = Sample("a", np.ones((1, 8, 8), np.float32), Panel((Channel("Ir191", "DNA1"),)), 1.0)
    with pytest.raises(InputError, match="no channel has compartment 'membrane'"):
        Segmenter("toy", record(), Toy(), "cpu").segment(bare)
