"""What the first page says of an edition, on a cohort of two tiny images."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tifffile

from imc_helpers.agreement.score_table import score_cohort
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort
from imc_helpers.figures import front

KEY = "phantom_lymphoid"  # a key of the manifest, so that the badge knows what it is


def squares(*corners, side=4):
    """Return a label image with a square at each corner."""
    labels = np.zeros((24, 24), np.uint32)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + side, x : x + side] = number
    return labels


MASKS = {
    "annotator1": squares((1, 1), (8, 8), (15, 15)),
    "annotator2": squares((1, 1), (8, 8)),
    "truth": squares((1, 1)),
}


@pytest.fixture
def cohort(tmp_path):
    folder = tmp_path / KEY
    image = np.random.default_rng(0).random((2, 24, 24)).astype(np.float32)
    for name, content in {"img": image, **{f"masks_{k}": m for k, m in MASKS.items()}}.items():
        (folder / name).mkdir(parents=True)
        tifffile.imwrite(folder / name / "one.tiff", content)
    (folder / "images.csv").write_text("image,width_px,height_px,num_channels\none.tiff,24,24,2\n")
    panel = Panel((Channel("Ir191", "DNA1", "nucleus"), Channel("Nd142", "CD19", "membrane")))
    panel.write(folder / "panel.csv")
    raters = [Rater(name, "annotator", how="simulated") for name in ("annotator1", "annotator2")]
    return Cohort(folder, raters=[*raters, Rater("truth", "truth")])


@pytest.fixture
def scores(cohort):
    table = score_cohort(cohort, [], modes=("whole",))
    # A model that found what the first annotator did: three cells, two of them the second's.
    ours = table[(table["rater_true"] == "annotator1") & (table["rater_pred"] == "annotator2")]
    model = {"rater_pred": "pixel_forest", "kind_pred": "model"}
    return pd.concat(
        [
            table,
            ours.assign(**model, ap50=1.0),
            ours.assign(**model, rater_true="annotator2", ap50=2 / 3),
        ],
        ignore_index=True,
    )


def test_the_findings_are_the_editions_own(cohort, scores):
    # Two of three cells; the one true cell among three, and among two.
    assert front.findings(scores, cohort, ["pixel_forest", "distance"]) == (
        "**Simulated annotators agree at 0.667** (ap50, 1 is perfect). "
        "**A perfect segmentation scores only 0.417** with these annotators. "
        "On images like these, none of 1 model surely scores above that agreement, and none below; "
        "the highest mean is 0.833, by Pixel forest. "
        '<span class="source synthetic" title="Lymphoid phantom">synthetic</span>'
    ), "one image says nothing about others"


def test_what_is_sure_is_counted_over_images(cohort, scores):
    several = pd.concat([scores.assign(sample=f"s{k}") for k in range(3)], ignore_index=True)
    said = front.findings(several, cohort, ["pixel_forest", "distance"])
    assert "1 of 1 model surely scores above that agreement, and none below" in said
    assert "The models above it learned from labels that this book simulates." in said


def test_without_a_model_nothing_is_said_of_models(cohort, scores):
    assert "models" not in front.findings(scores, cohort, [])


def test_the_picture_is_of_the_first_sample_with_two_masks(cohort):
    alone = Cohort(cohort.folder, raters=["annotator1"])
    assert front.with_two_masks({"alone": alone}) is None
    found, sample = front.with_two_masks({"alone": alone, KEY: cohort})
    assert (found.name, sample) == (KEY, "one")
    figure = front.tissue_with_outlines(found, sample)
    three, two = (patch.get_path() for patch in figure.axes[0].patches)
    assert len(three) == 3 * 4 * 2, "four sides of each of the first annotator's squares, by ends"
    assert len(two) == 2 * 4 * 2
    assert "two simulated annotators" in front.picture_caption(found)
    plt.close(figure)
