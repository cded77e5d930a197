"""Dice-XMBD: planes in, patches, network, maps; teacher and student learn from the same tissue."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from imc_helpers.data.manifest import model_record
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.errors import InputError
from imc_helpers.images.pipeline_cells import PipelineSettings
from imc_helpers.models.adapters import dice_student, dice_teacher
from imc_helpers.models.dice_xmbd import (
    CellsOfMaps,
    distil,
    make_network,
    merged_planes,
    student_maps,
    student_patches,
)
from imc_helpers.models.dropout_unet import count_parameters
from imc_helpers.models.protocol import model_input
from imc_helpers.models.training import active
from imc_helpers.models.training.loop import FitSettings
from imc_helpers.models.training.patches import Split
from imc_helpers.phantom.recipes import find_recipe, make_sample

TEACHER, STUDENT = model_record("dice_teacher"), model_record("dice_student")
QUICK = FitSettings("cross-entropy", epochs=2, batch=2, augmentation="varied", chosen_by="loss")


@pytest.fixture(scope="module")
def samples():
    recipe = find_recipe("phantom_lymphoid")
    return [make_sample(recipe, (64, 64), 40 + k, f"tissue{k}") for k in range(8)]


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    planes = {name: rng.random((2, 32, 64)) * 255 for name in "abc"}
    maps = {name: rng.dirichlet(np.ones(3), (32, 64)).transpose(2, 0, 1) for name in "abc"}
    return planes, maps


def test_dice_planes_reach_the_model_as_the_paper_has_them(samples):
    assert np.array_equal(model_input(samples[0], STUDENT.inputs), merged_planes(samples[0]))
    assert not np.array_equal(merged_planes(samples[0]), merged_planes(samples[0], "program"))


@pytest.mark.parametrize("lacks", ["nucleus", "membrane"])
def test_dice_panel_without_a_compartment_is_refused(samples, lacks):
    panel = Panel(
        tuple(
            Channel(c.channel, c.name, "" if c.compartment == lacks else c.compartment)
            for c in samples[0].panel.channels
        )
    )
    with pytest.raises(InputError, match=f"no channel has compartment '{lacks}'"):
        merged_planes(replace(samples[0], panel=panel))


def test_dice_padding_is_labelled_background():
    rng = np.random.default_rng(1)
    maps = rng.dirichlet(np.ones(3), (20, 30)).transpose(2, 0, 1)
    patches = student_patches([rng.random((2, 20, 30)) * 255], [maps], 16)
    assert patches.targets.shape == (4, 3, 16, 16)
    assert patches.known.all()
    assert np.allclose(patches.targets.sum(axis=1), 1)
    below = patches.targets[2][:, 4:]  # rows 20 to 31 of the second row of patches
    assert (below[2] == 1).all() and not below[:2].any()
    assert not patches.images[2][:, 4:].any()


def test_dice_bad_input_is_refused(pairs, tmp_path):
    planes, maps = pairs
    flat = {**planes, "a": np.stack([planes["a"][0], np.full((32, 64), 9.0)])}
    beyond = {**maps, "a": maps["a"] * 2}
    split = Split(("a",), ("b",), ("c",))
    with pytest.raises(InputError, match="its cell plane is 9 everywhere"):
        distil(flat, maps, split, QUICK, tmp_path, base=2, patch_px=16)
    with pytest.raises(InputError, match="targets are probabilities, 0 to 1"):
        distil(planes, beyond, split, QUICK, tmp_path, base=2, patch_px=16)
    with pytest.raises(InputError, match="image 'a' is both for train and for test"):
        Split(("a",), ("b",), ("a",))
    with pytest.raises(InputError, match="split is empty"):
        student_patches([], [], 16)


def test_dice_program_rounds_the_teacher(pairs, tmp_path):
    planes, maps = pairs
    tenths = {name: one.round(1) for name, one in maps.items()}

    def loss(seen, variant, folder):
        split, settings = Split(("a",), ("b",), ("c",)), replace(QUICK, epochs=1)
        _, curve = distil(
            planes, seen, split, settings, tmp_path / folder, base=2, patch_px=32, variant=variant
        )
        return curve["validation_loss"].item()

    rounded = loss(maps, "program", "program")
    assert rounded == loss(tenths, "paper", "tenths")
    assert rounded != loss(maps, "paper", "paper")


def test_dice_network_of_the_program():
    """Its own network has 31.0 million parameters; upsampling differs in the last level alone."""
    network = make_network()
    assert count_parameters(network) == pytest.approx(31.0e6, rel=0.02)
    small = make_network(2).eval()
    assert small(torch.zeros(1, 2, 48, 32)).shape == (1, 3, 48, 32)


def test_dice_maps_have_the_shape_of_any_image():
    network = make_network(2)
    for shape in ((30, 47), (16, 16), (520, 12)):
        found = student_maps(network, np.random.default_rng(0).random((2, *shape)) * 255)
        assert found.shape == (3, *shape)
        assert found.min() >= 0 and found.max() <= 1


def test_dice_images_of_other_pixels_are_scaled():
    """A network that copies its planes: cells come back in the pixels that were given."""
    seen = []
    model = CellsOfMaps(
        lambda image: (seen.append(image.shape), np.stack([image[0], image[1], image[0]]))[1],
        PipelineSettings(keep_border=True),
        1.0,
    )
    y, x = np.mgrid[:40, :60]
    disc = np.hypot(y - 20, x - 30) < 6
    (cells,) = model.predict([np.stack([disc, disc]).astype(float)], 0.5)
    assert cells.shape == (40, 60) and seen == [(2, 20, 30)]
    assert cells.max() == cells[20, 30] == 1
    # Halved, the disc has a quarter of its pixels, and its cell grows back to their number.
    assert 0.6 * disc.sum() < (cells == 1).sum() < 2 * disc.sum()


@pytest.fixture(scope="module")
def trained(samples, tmp_path_factory):
    """Both models, on little tissue."""
    root = tmp_path_factory.mktemp("dice")
    options = {"base": 2, "patch_px": 32, "batch": 4, "rate": 0.01}
    training = STUDENT.training.model_copy(update={"epochs": 1, "parameters": options})
    student = STUDENT.model_copy(update={"training": training})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(active, "MOST_ROUNDS", 2)
        dice_teacher.train(samples, TEACHER, "cpu", root / "teacher")
        dice_student.train(samples, student, "cpu", root / "student")
    return student, root


def test_dice_teacher_and_student_learn_from_the_same_tissue(trained, samples, monkeypatch):
    monkeypatch.setattr(active, "MOST_ROUNDS", 2)
    fields = ("recipe", "images", "side_px", "seed")
    assert [getattr(TEACHER.training, f) for f in fields] == [
        getattr(STUDENT.training, f) for f in fields
    ]
    _, root = trained
    split = json.loads((root / "student" / dice_student.SPLIT).read_text())
    assert sorted(name for names in split.values() for name in names) == [
        sample.id for sample in samples
    ]
    again = dice_teacher.label_tissue(
        samples, dice_teacher.split_tissue(samples, TEACHER.training.seed), TEACHER.training.seed
    )
    with np.load(root / "teacher" / "labelled_pixels.npz") as kept:
        assert np.array_equal(kept["pixels"], again.pixels)


def test_dice_teacher_writes_how_it_came_along(trained):
    curve = pd.read_csv(trained[1] / "teacher" / dice_teacher.CURVE)
    assert list(curve) == ["round", "labelled_pixels", "images", "uncertainty", "ap50"]
    assert curve["ap50"].between(0, 1).all() and curve["uncertainty"].between(0, 1).all()


def test_dice_models_segment(trained, samples):
    student, root = trained
    for record, module in ((TEACHER, dice_teacher), (student, dice_student)):
        model = module.load(record, "cpu", root / module.__name__.rpartition("_")[2])
        (cells,) = model.predict([model_input(samples[0], record.inputs)], 1.0)
        assert cells.shape == samples[0].shape and cells.dtype == np.uint32
        nothing = np.zeros((len(record.inputs), 20, 20), np.float32)
        assert not model.predict([nothing], 1.0)[0].any()


def test_dice_weights_of_something_else_are_refused(trained, tmp_path):
    _, root = trained
    with pytest.raises(InputError, match="not the weights of this network"):
        dice_student.load(STUDENT, "cpu", root / "student")  # base 8, not 2
    with pytest.raises(InputError, match="no weights here"):
        dice_student.load(STUDENT, "cpu", tmp_path)
    (tmp_path / "labelled_pixels.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no labelled pixels of a forest"):
        dice_teacher.load(TEACHER, "cpu", tmp_path)
