"""Teachers who err in a known way, what a student is given of it, and comparisons by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.errors import InputError
from imc_helpers.experiments import teachers
from imc_helpers.experiments.imperfect_labels import Trained, Training, changes
from imc_helpers.experiments.teachers import (
    PIECES,
    SCATTERED,
    TEACHER,
    WHOLE,
    School,
    border_shift,
    gains,
    images_to_teach_on,
    learn_part,
    score_student,
    score_with_colleagues,
    shares_reached,
    taught,
)
from imc_helpers.images.imperfect_masks import interior
from imc_helpers.metrics import contingency_table, evaluate
from imc_helpers.phantom.drawing import TRUTH, ExpertGroup

MARKERS = ("DNA1", "DNA2", "CD45RA")
TINY = Training(base=2, patch_px=64, epochs=1, batch=2)


@pytest.fixture(scope="module")
def samples():
    return images_to_teach_on("phantom_lymphoid", 8, 64, 9)


@pytest.fixture(scope="module")
def tissue(samples):
    return taught(samples, School(teachers=2).group, 0, MARKERS, teachers=2)


class Known(Trained):
    """Finds what is known of the image: its maps are looked up by the image."""

    def maps(self, image):
        return self.network[image.tobytes()]


def student_of(tissue, who):
    maps = {
        tissue.image(name).tobytes(): np.stack([mask > 0, interior(mask)]).astype(float)
        for name in tissue.split.test
        for mask in [tissue.samples[name].masks[who]]
    }
    return Known(maps, pd.DataFrame(), 64, 0, 0, 0.0)


def test_a_student_meets_every_image_with_the_labels_of_each_teacher(samples, tissue):
    for side in ("train", "validation"):
        names = getattr(tissue.split, side)
        assert len(names) == 2 * len({name.partition(",")[0] for name in names})
        for first, second in zip(names[::2], names[1::2], strict=True):
            assert np.array_equal(tissue.samples[first].image, tissue.samples[second].image)
            assert not np.array_equal(tissue.labels(first), tissue.labels(second))
            assert set(tissue.samples[first].masks) == {TEACHER}, "the truth is out of reach"
    assert {"truth", "annotator1", "annotator2"} == set(tissue.samples[tissue.split.test[0]].masks)
    taken = {name.partition(",")[0] for name in (*tissue.split.train, *tissue.split.validation)}
    assert taken | set(tissue.split.test) == set(samples)
    assert not taken & set(tissue.split.test)


def test_slips_and_habits_are_as_asked_for(samples):
    def drawn(**habits):
        found = taught(samples, School(**habits).group, 0, MARKERS)
        kept = [found.samples[name].masks for name in found.split.test]
        return [contingency_table(masks[TRUTH], masks["annotator1"]) for masks in kept]

    none, many = (
        np.mean([abs(table.n_pred / table.n_true - 1) for table in drawn(slips=slips)])
        for slips in (0, 4)
    )
    assert none < 0.02 < many
    within = [border_shift(table, 1.0) for table in drawn(slips=0, border_um=-1)]
    assert np.mean(within) == pytest.approx(-1, abs=0.25)


def test_the_shift_of_borders_by_hand():
    """Squares of 10 and of 8 pixels a side, at half a micrometre."""
    true = np.zeros((20, 40), int)
    true[5:15, 5:15], true[5:15, 25:35] = 1, 2
    pred = np.zeros_like(true)
    pred[6:14, 6:14], pred[6:14, 26:34] = 1, 2
    found = border_shift(contingency_table(true, pred), 0.5)
    assert found == pytest.approx(0.5 * (8 - 10) / np.sqrt(np.pi))
    assert np.isnan(border_shift(contingency_table(true, np.zeros_like(true)), 0.5))


def test_who_repeats_the_teacher_is_faithful_and_as_wrong(tissue):
    found = score_student(student_of(tissue, "annotator1"), tissue)
    assert set(found["sample"]) == set(tissue.split.test)
    assert (found["fidelity"] > 0.9).all()
    assert (found["student"] - found["teacher"]).abs().max() < 0.1
    truthful = score_student(student_of(tissue, TRUTH), tissue)
    assert (truthful["student"] > 0.9).all()
    assert (truthful["student"] > truthful["fidelity"]).all()


def test_several_teachers_count_alike(tissue):
    student = student_of(tissue, TRUTH)
    one = score_student(student, tissue)
    both = score_student(student, tissue, 2)
    assert both["student"].equals(one["student"])
    name, drawn = tissue.split.test[0], tissue.samples[tissue.split.test[0]].masks
    second = evaluate(drawn[TRUTH], drawn["annotator2"]).ap50
    by_name = both.set_index("sample")["teacher"]
    assert by_name[name] == pytest.approx((one["teacher"].iloc[0] + second) / 2)


def test_colleagues_judge_student_and_teacher_alike(samples):
    tissue = taught(samples, ExpertGroup(n_experts=3), 0, MARKERS)
    found = score_with_colleagues(student_of(tissue, "annotator1"), tissue)
    assert (found["student"] - found["teacher"]).abs().max() < 0.1


@pytest.mark.parametrize("how", [WHOLE, PIECES, SCATTERED])
def test_a_part_of_the_labels(tissue, how, monkeypatch):
    seen = []

    def train(part, labels, training):
        seen.append((part, labels))
        whole = [len(np.unique(part.labels(name))) - 1 for name in part.split.train]
        kept = round(sum(whole) * (1 - labels.missing))
        return Trained(None, pd.DataFrame(), 64, kept, 0, 0.0)

    monkeypatch.setattr(teachers, "train", train)
    _, all_cells = learn_part(tissue, 1.0, how, TINY)
    _, labelled = learn_part(tissue, 0.25, how, TINY)
    assert 0.1 < labelled / all_cells < 0.45  # a piece cuts cells, and images differ
    (before, _), (after, labels) = seen
    assert len(after.split.train) == len(before.split.train), "as many steps"
    assert after.split.test == tissue.split.test
    assert labels.unknown == (how == SCATTERED)
    if how == PIECES:
        assert after.samples[after.split.train[0]].shape == (32, 32)


def test_impossible_parts_are_refused(tissue):
    with pytest.raises(InputError, match="none of them"):
        learn_part(tissue, 0.01, WHOLE, TINY)
    with pytest.raises(InputError, match="expected 'few images whole'"):
        learn_part(tissue, 0.5, "half", TINY)


ROWS = pd.DataFrame(
    {
        "trial": np.repeat(["x", "y"], 4),
        "replicate": [0, 0, 1, 1] * 2,
        "sample": list("abcd") * 2,
        "student": [0.6, 0.8, 0.5, 0.7, 0.7, 0.9, 0.6, 0.8],
        "teacher": [0.5, 0.7, 0.4, 0.6] * 2,
    }
)


def test_comparisons_by_hand():
    found = gains(ROWS, "student", "teacher", ["trial"]).set_index("trial")
    assert found["mean"].to_dict() == pytest.approx({"x": 0.1, "y": 0.2})
    assert (found["images"] == 2).all()
    (row,) = changes(ROWS, "trial", "x", "student", replicates="replicate").to_dict("records")
    assert (row["trial"], row["mean"], row["low"]) == ("y", pytest.approx(0.1), pytest.approx(0.1))
    shares = shares_reached(ROWS, ["trial"]).set_index("trial")
    assert shares["mean"].to_dict() == pytest.approx({"x": 2.6 / 2.2, "y": 3.0 / 2.2})
    assert (shares["low"] < shares["mean"]).all()
