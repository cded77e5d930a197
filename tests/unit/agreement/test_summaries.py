"""Which pairs, which way round, which means: on a cohort small enough to score by hand."""

import numpy as np
import pandas as pd
import pytest

from imc_helpers.agreement.score_table import METRICS, score_cohort
from imc_helpers.agreement.summaries import (
    JUDGED_NAMES,
    PAIRWISE_NAMES,
    against,
    agreement_matrix,
    as_columns,
    best_first,
    between,
    by_unit,
    differences_from_agreement,
    in_words,
    mean_agreement,
    mean_scores,
    model_differences,
    pooled_scores,
)
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.metrics import evaluate, evaluate_many

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))
SHAPE = (8, 12)
GRID = {"window_px": 8, "stride_px": 4, "border_px": 2}  # scored: rows 2 … 5, x 2 … 5 and 6 … 9


def mask(*cells):
    labels = np.zeros(SHAPE, np.uint32)
    for i, (rows, columns) in enumerate(cells, 1):
        labels[rows, columns] = i
    return labels


LEFT, LEFT_HALF = (slice(2, 6), slice(2, 6)), (slice(2, 6), slice(2, 4))
RIGHT = (slice(2, 6), slice(8, 10))


@pytest.fixture
def cohort(tmp_path):
    image = np.zeros((1, *SHAPE), np.float32)
    samples = [
        Sample(
            "s1",
            image,
            PANEL,
            1.0,
            {
                "a": mask(LEFT, RIGHT),
                "b": mask(LEFT),
                "c": mask(LEFT_HALF),
                "truth": mask(LEFT, RIGHT),
            },
        ),
        Sample("s2", image, PANEL, 1.0, {"a": mask(LEFT), "b": mask(LEFT)}),
        Sample("s3", image, PANEL, 1.0, {"a": mask(), "b": mask()}),
    ]
    write_cohort(tmp_path / "toy", samples)
    return Cohort(tmp_path / "toy", raters=["a", "b", "c", Rater("truth", "truth")])


@pytest.fixture
def scores(cohort):
    return score_cohort(cohort, **GRID)


@pytest.fixture
def pairs(scores, cohort):
    return between(scores, {"toy": cohort})


def test_agreement_is_of_every_pair_on_every_sample_that_both_have_labelled(pairs):
    whole = pairs[pairs["mode"] == "whole"]
    names = whole[["sample", "rater_true", "rater_pred"]].apply(tuple, axis=1).tolist()
    assert names == [
        ("s1", "a", "b"), ("s1", "a", "c"), ("s1", "b", "c"), ("s2", "a", "b"), ("s3", "a", "b"),
    ]  # fmt: skip
    assert whole["ap50"].tolist() == [1 / 2, 1 / 2, 1, 1, 1]
    columns = ["cohort", "mode", "sample", "patch", "annotator_true", "annotator_pred"]
    assert list(as_columns(pairs, PAIRWISE_NAMES)) == [*columns, "n_true", "n_pred", *METRICS]


def test_tools_are_compared_only_where_there_are_no_people(scores, cohort):
    kinds = {"a": "annotator", "b": "tool", "c": "tool"}
    one = Cohort(cohort.folder, raters=[Rater(name, kind) for name, kind in kinds.items()])
    assert between(scores, {"toy": one}).empty
    none = Cohort(cohort.folder, raters=[Rater("b", "tool"), Rater("c", "tool")])
    found = between(scores, {"toy": none})
    assert set(found["rater_true"]) == {"b"}
    assert set(found["rater_pred"]) == {"c"}


def test_whoever_is_judged_stands_second_and_references_stand_both_ways(scores):
    found = against(scores, {"toy": ["a", "b"]})
    assert set(found["rater_true"]) == {"a", "b"}
    whole = found[(found["mode"] == "whole") & (found["sample"] == "s1")]
    by_name = whole.set_index(["rater_true", "rater_pred"])
    assert by_name.loc[("a", "b"), ["n_true", "n_pred"]].tolist() == [2, 1]
    assert by_name.loc[("b", "a"), ["n_true", "n_pred"]].tolist() == [1, 2]
    assert by_name.loc[("b", "c"), "ap50"] == 1
    assert ("a", "nothing") in by_name.index
    assert "truth" not in set(found["rater_pred"])
    assert against(scores, {}).empty
    columns = ["cohort", "mode", "sample", "patch", "annotator", "model"]
    assert list(as_columns(found, JUDGED_NAMES)) == [*columns, "n_true", "n_pred", *METRICS]


def test_the_truth_judges_everybody_and_is_judged_when_asked(scores):
    found = against(scores, {"toy": ["truth"]})
    whole = found[found["mode"] == "whole"].set_index("rater_pred")["ap50"]
    assert whole.to_dict() == {"a": 1, "b": 1 / 2, "c": 1 / 2}
    judged = against(scores, {"toy": ["b"]}, ["truth"])
    assert judged[judged["mode"] == "whole"]["ap50"].tolist() == [1 / 2]


def test_the_matrix_holds_means_over_samples_and_is_symmetric(pairs):
    matrix = agreement_matrix(pairs, "ap50", "whole")
    assert list(matrix.index) == list(matrix.columns) == ["a", "b", "c"]
    assert matrix.loc["a", "b"] == matrix.loc["b", "a"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert np.isnan(np.diag(matrix)).all()


def test_the_overall_mean_counts_every_pair_once(pairs):
    means = mean_agreement(pairs).set_index("mode").loc["whole"]
    per_pair = [(1 / 2 + 1 + 1) / 3, 1 / 2, 1]
    assert means["ap50"] == pytest.approx(np.mean(per_pair))
    assert (means["pairs"], means["scored"], means["both_empty"]) == (3, 5, 1)


def test_means_of_several_cohorts_and_modes_stay_apart(pairs):
    means = mean_agreement(pd.concat([pairs, pairs.assign(cohort="other")]))
    assert means[["cohort", "mode"]].apply(tuple, axis=1).tolist() == [
        ("toy", "whole"), ("toy", "patch"), ("other", "whole"), ("other", "patch"),
    ]  # fmt: skip


def test_nobody_agrees_with_nobody(scores, cohort):
    alone = between(scores, {"toy": Cohort(cohort.folder, raters=["a"])})
    assert alone.empty
    assert mean_agreement(alone).empty
    assert list(mean_agreement(alone)) == [
        "cohort", "mode", "pairs", "scored", "both_empty", *METRICS,
    ]  # fmt: skip
    assert agreement_matrix(alone, "ap50", "whole").empty
    assert mean_scores(alone).empty
    assert "ap50_low" in mean_scores(alone)


def test_by_unit_has_a_row_per_sample_and_patch(scores):
    judged = against(scores, {"toy": ["a", "b"]}, ["a", "b"])
    patches = judged[(judged["mode"] == "patch") & (judged["sample"] == "s1")]
    wide = by_unit(patches, "ap50", ["rater_pred", "rater_true"])
    assert list(wide.index) == [("s1", 0), ("s1", 1)]
    assert wide["b", "a"].tolist() == [1, 0]
    whole = by_unit(judged[judged["mode"] == "whole"], "ap50", ["rater_pred", "rater_true"])
    assert list(whole.index) == [("s1", -1), ("s2", -1), ("s3", -1)]


def test_pooling_adds_up_matches_without_a_look_at_masks():
    rng = np.random.default_rng(3)
    images = [tuple(rng.integers(0, 5, (2, 6, 7)).repeat(2, axis=1)) for _ in range(5)]
    rows = evaluate_many(images, matches=True).assign(who=["m", "m", "m", "n", "n"])
    found = pooled_scores(rows, ["who"]).set_index("who")
    for who, chosen in (("m", images[:3]), ("n", images[3:])):
        pooled = evaluate_many(chosen, pool="sum").iloc[0]
        assert found.loc[who, "n_true"] == pooled["n_true"]
        assert found.loc[who, ["ap50", "map"]].tolist() == pytest.approx(
            [pooled["ap50"], pooled["map"]]
        )
    nothing = np.zeros((3, 3), int)
    empty = pooled_scores(evaluate_many([(nothing, nothing)], matches=True), ["strict"])
    assert empty.loc[0, ["ap50", "map"]].tolist() == [1, 1]
    alone = evaluate(*images[0])
    assert pooled_scores(rows.head(1), ["who"])["map"].tolist() == pytest.approx([alone.map])


def row(sample, annotator, model, value, mode="whole", patch=pd.NA):
    return {
        "cohort": "toy", "mode": mode, "sample": sample, "patch": patch, "rater_true": annotator,
        "rater_pred": model, "ap50": value, "map": value / 2, "sap": value / 4,
    }  # fmt: skip


@pytest.fixture
def judged():
    rows = [
        row("s1", "a", "m", 0.2), row("s1", "b", "m", 0.4), row("s2", "a", "m", 0.9),
        row("s1", "a", "n", 0.3), row("s1", "b", "n", 0.5), row("s2", "a", "n", 0.6),
    ]  # fmt: skip
    rows += [row("s1", "a", "m", v, "patch", k) for k, v in enumerate([0.1, 0.2, 0.3])]
    rows += [row("s2", "a", "m", 0.6, "patch", 0)]
    return pd.DataFrame(rows).astype({"patch": "Int64"})


def test_means_are_over_references_and_then_over_images(judged):
    found = mean_scores(judged).set_index(["mode", "model"])
    assert found.loc[("whole", "m"), "ap50"] == pytest.approx(((0.2 + 0.4) / 2 + 0.9) / 2)
    assert found.loc[("whole", "m"), "sap"] == pytest.approx(0.15)
    assert found.loc[("patch", "m"), "ap50"] == pytest.approx(0.3), "every patch the same"
    assert found["images"].tolist() == [2, 2, 2]
    assert (found["ap50_low"] < found["ap50"]).all()
    assert (found["ap50"] < found["ap50_high"]).all()


def test_models_are_compared_image_by_image_the_higher_one_first(judged):
    found = model_differences(judged, ["m", "n"])
    assert len(found) == 1, "on patches there is one model only"
    assert found.loc[0, ["mode", "one", "two", "images"]].tolist() == ["whole", "m", "n", 2]
    assert found.loc[0, "difference"] == pytest.approx(((0.3 - 0.4) + (0.9 - 0.6)) / 2)
    assert model_differences(judged, ["m"]).empty
    assert "difference" in model_differences(judged, [])


def test_a_model_is_set_beside_the_agreement_on_the_same_images(judged):
    pairs = judged[judged["rater_pred"] == "m"].assign(rater_pred="b")
    pairs["ap50"] = [0.5 if sample == "s1" else 0.7 for sample in pairs["sample"]]
    found = differences_from_agreement(judged, pairs, ["m", "n"]).set_index(["mode", "model"])
    assert found.loc[("whole", "m"), "difference"] == pytest.approx(((0.3 - 0.5) + (0.9 - 0.7)) / 2)
    # On patches every image counts the same, however many patches it has.
    assert found.loc[("patch", "m"), "difference"] == pytest.approx(((0.2 - 0.5) + (0.6 - 0.7)) / 2)
    assert differences_from_agreement(judged, pairs, []).empty
    assert differences_from_agreement(judged, pairs.iloc[:0], ["m"]).empty


def test_models_are_ordered_by_whole_images_where_there_are_any(judged):
    means = mean_scores(judged)
    assert best_first(means, ["n", "m", "absent"]) == ["m", "n"]
    worse = means.assign(ap50=[0.1, 0.2, 0.9])  # whole: m, n; patch: m
    assert best_first(worse, ["m", "n"]) == ["n", "m"]
    assert best_first(means[means["mode"] == "patch"], ["m"]) == ["m"]
    assert best_first(means, []) == []


def test_intervals_in_words_stay_between_nothing_and_one():
    means = pd.DataFrame({"ap50_low": [-0.2, 0.5, np.nan], "ap50_high": [0.25, 1.5, np.nan]})
    assert in_words(means) == ["0.000 to 0.250", "0.500 to 1.000", "–"]
