"""Students at any size: nobody is scored on what it learned from, and the teacher is the same."""

import numpy as np
import pytest

from imc_helpers.experiments.dice_students import learn, made_tissue, score_student, teach
from imc_helpers.experiments.distillation import augmented
from imc_helpers.metrics import evaluate
from imc_helpers.models.dice_xmbd import merged_planes
from imc_helpers.models.training import active
from imc_helpers.models.training.augmentation import Varied
from imc_helpers.models.training.loop import FitSettings


@pytest.fixture(scope="module")
def lesson():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(active, "MOST_ROUNDS", 1)
        return teach(made_tissue("phantom_lymphoid", 8, 64, 90), 1)


def test_dice_students_are_scored_on_images_kept_apart(lesson):
    assert [sample.id for sample in lesson.tests] == list(lesson.split.test)
    assert not set(lesson.split.test) & {*lesson.split.train, *lesson.split.validation}
    assert not set(lesson.split.test) & set(lesson.labelled.images)
    assert set(lesson.maps) == set(lesson.samples)
    assert all(np.allclose(one.sum(axis=0), 1, atol=0.01) for one in lesson.maps.values())


def test_dice_students_score_with_teacher_and_truth(lesson):
    settings = FitSettings("cross-entropy", epochs=1, batch=2, chosen_by="loss")
    student = learn(lesson, settings, base=2, patch_px=32)
    rows = score_student(student, lesson.forest, lesson.tests)
    assert list(rows) == ["sample", "ap50_teacher", "ap50_truth", "teacher_ap50_truth", "cells"]
    assert rows.drop(columns=["sample", "cells"]).apply(lambda s: s.between(0, 1)).all(axis=None)
    true = lesson.tests[0].masks["truth"]
    assert rows["cells"][0] == evaluate(true, true).n_true


def test_a_patch_is_shown_as_training_makes_it(lesson):
    sample = lesson.tests[0]
    cells = sample.masks["truth"]
    seen = augmented(sample, cells, 40, seed=5, number=2)
    field = slice(12, 52), slice(12, 52)
    image = merged_planes(sample)[:, *field] / 255
    assert np.allclose(seen["As it is"], image)
    assert np.array_equal(seen["Cells"], cells[field] > 0)
    # Contrast is stretched about the mean, and intensity from 0.
    stretched, brighter = seen["Contrast"], seen["Intensity"]
    assert stretched.mean() == pytest.approx(image.mean(), abs=1e-3)
    assert np.corrcoef(stretched.ravel(), image.ravel())[0, 1] == pytest.approx(1)
    factors = brighter[stretched > 0.1] / stretched[stretched > 0.1]
    assert np.allclose(factors, factors[0], atol=1e-3) and 0.5 <= factors[0] <= 1.5
    ones = np.ones((1, 40, 40), np.float32)
    patch = {"image": image.astype(np.float32), "target": ones, "known": ones}
    assert np.array_equal(seen["Noise"], np.asarray(Varied(5)(patch, 2)["image"]))
