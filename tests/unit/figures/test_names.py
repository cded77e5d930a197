"""Names that readers see in place of keys."""

import pandas as pd
import yaml

from imc_helpers.data.manifest import cohort_record, model_record
from imc_helpers.data.panels import Channel
from imc_helpers.data.paths import shipped
from imc_helpers.figures.names import (
    LONGEST,
    channel_name,
    choice_name,
    cohort_name,
    counted,
    model_name,
    rater_name,
    sample_name,
    source_note,
    with_names,
)


def keys(file):
    return list(yaml.safe_load((shipped("data_manifest") / file).read_text(encoding="utf-8")))


def test_every_model_and_cohort_has_a_name_that_fits_and_is_its_own():
    models = {model_name(key) for key in keys("models.yml")}
    cohorts = {cohort_name(key) for key in keys("cohorts.yml")}
    assert len(models) == len(keys("models.yml"))
    assert len(cohorts) == len(keys("cohorts.yml"))
    assert not any("_" in name or len(name) > LONGEST for name in models | cohorts)


def test_the_long_name_of_a_model_is_the_manifests():
    assert model_name("instanseg_phantom") == "InstanSeg (phantom)"
    title = model_record("instanseg_phantom").title
    assert model_name("instanseg_phantom", short=False) == title


def test_raters_channels_and_samples():
    assert [rater_name(key) for key in ("annotator2", "expert1", "pixel_forest", "nothing")] == [
        "Annotator 2",
        "Expert 1",
        "Pixel forest",
        "Nothing",
    ]
    assert channel_name(Channel("Ir191", "DNA1")) == "DNA1 (Ir191)"
    assert channel_name(Channel("CD8a", "CD8a")) == "CD8a"
    assert sample_name("phantom_ali20_003", "phantom_ali20") == "003"
    assert sample_name("HBM1", "spleen_imc") == "HBM1"


def test_choices_of_sweeps_have_names_that_stay_as_they_are():
    keys = ["hot_pixels+spillover, clip_99.7+clahe (planes)", "rgb, nuclei by mean", "only CD8a"]
    names = [
        "hot pixels + spillover, clip 99.7 + CLAHE (planes)",
        "random colours (RGB), nuclei by mean",
        "only CD8a",
    ]
    assert [choice_name(key) for key in keys] == names
    assert [choice_name(name) for name in names] == names


def test_a_number_with_its_noun():
    assert [counted(n, "image") for n in (0, 1, 4)] == ["no images", "1 image", "4 images"]


def test_what_nobody_named_keeps_its_key():
    assert rater_name("anna_m") == model_name("anna_m") == cohort_name("anna_m") == "anna_m"


def test_a_table_for_readers_has_names_and_the_given_one_keeps_its_keys():
    table = pd.DataFrame(
        {"cohort": ["spleen_imc"], "model": ["cyto3"], "best": [None], "file": ["cyto3"], "n": [3]}
    )
    shown = with_names(table)
    assert shown.iloc[0].tolist() == ["Spleen (IMC)", "Cellpose 3 (cyto3)", None, "cyto3", 3]
    assert table["cohort"].tolist() == ["spleen_imc"]
    numbers = pd.DataFrame({"best": [0.5], "spleen_imc": [1]})
    assert with_names(numbers).to_dict("list") == {"best": [0.5], "Spleen (IMC)": [1]}


def test_the_badge_calls_synthetic_synthetic_and_names_what_is_real():
    note = source_note(["phantom_lymphoid", "phantom_ali20"])
    assert note == (
        '<span class="source synthetic" title="Lymphoid phantom, Ali20 phantom">synthetic</span>'
    )
    both = source_note(["spleen_imc", "phantom_ali20", "pancreas_imc"])
    assert ">synthetic</span>" in both
    assert ">real: Spleen (IMC)</span>" in both
    assert ">real: Pancreas (IMC)</span>" in both
    assert cohort_record("spleen_imc").tissue in both
    assert source_note([]) == ""


def test_what_imitates_a_record_is_synthetic_whatever_the_record_is(monkeypatch):
    imitation = cohort_record("ali20").model_copy(update={"imitation": True})
    monkeypatch.setattr("imc_helpers.figures.names.cohort_record", lambda _: imitation)
    assert cohort_name("ali20") == imitation.title
    assert ">synthetic</span>" in source_note(["ali20"])
    assert "real" not in source_note(["ali20"])
