"""Records and images for the adapters, which are tested through their real libraries."""

import numpy as np
import pytest

from imc_helpers.data.manifest import ModelRecord
from imc_helpers.phantom.recipes import find_recipe, make_sample


@pytest.fixture(scope="session")
def tissue():
    """A small piece of phantom tissue, with its truth."""
    return make_sample(find_recipe("phantom_lymphoid"), (96, 96), 4711, "tissue")


@pytest.fixture
def make_record():
    """Make a model record from what a test is about."""

    def make(**changes):
        values = {
            "title": "a model",
            "source": "library",
            "version": "any",
            "citation": "any",
            "license": "any",
            "adapter": "any",
            "inputs": ["membrane", "nucleus"],
        }
        return ModelRecord.model_validate(values | changes)

    return make


@pytest.fixture
def assert_labels():
    """Check that an adapter returned one label image for each image, and left its input alone."""

    def check(adapter, images, um_per_px=1.0):
        copies = [image.copy() for image in images]
        found = adapter.predict(images, um_per_px)
        assert len(found) == len(images)
        for labels, image, copy in zip(found, images, copies, strict=True):
            np.testing.assert_array_equal(image, copy)
            assert labels.shape == image.shape[1:]
            assert np.issubdtype(labels.dtype, np.integer)
            assert labels.min() >= 0
        return found

    return check
