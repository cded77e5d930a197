"""Human equivalence on scores made up so that the answer is known."""

from itertools import combinations, permutations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.equivalence import (
    MEAN,
    Decision,
    compare_before,
    decide,
    equivalence_of_cohorts,
    human_equivalence,
)
from imc_helpers.errors import InputError

PEOPLE = ["a", "b", "c"]


def row(sample, annotator, model, value, mode="whole", patch=pd.NA, cohort="toy"):
    return {
        "cohort": cohort, "mode": mode, "sample": sample, "patch": patch, "rater_true": annotator,
        "rater_pred": model, "ap50": value, "map": value / 2, "sap": value,
    }  # fmt: skip


def table(rows):
    return pd.DataFrame(rows).astype({"patch": "Int64"})


def made_up(model, pairs, samples=4, noise=0.0):
    """Scores of one model and of pairs of annotators, with a shift for each sample."""
    shifts = noise * np.linspace(-1, 1, samples)
    rows = []
    for k, shift in enumerate(shifts):
        rows += [row(f"s{k}", a, "m", value + shift) for a, value in model.items()]
        for (a, b), value in pairs.items():
            rows += [row(f"s{k}", a, b, value), row(f"s{k}", b, a, value)]
    return table(rows)


PAIRS = {("a", "b"): 0.8, ("a", "c"): 0.6, ("b", "c"): 0.7}


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [
        (-0.2, -0.1, "below"),
        (-0.1, -0.05, "undecided"),  # a limit inside or at the end is no decision
        (-0.1, 0.0, "undecided"),
        (-0.04, 0.04, "within"),
        (-0.04, -0.01, "within"),  # less than the annotators, and it does not matter
        (0.02, 0.06, "undecided"),
        (0.06, 0.2, "above"),
        (-0.2, 0.2, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_the_decision_is_where_the_interval_lies(low, high, decision):
    assert decide(low, high, 0.05) == decision


@pytest.mark.parametrize("margin", [0, -0.1, np.nan])
def test_a_margin_is_above_nothing(margin):
    with pytest.raises(InputError, match="margin: expected a difference of scores above 0"):
        decide(0, 0, margin)


def test_each_annotator_is_left_out_for_model_and_person_alike():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    found = human_equivalence(scores, ["m"], PEOPLE, metrics=["ap50"]).set_index("left_out")
    assert list(found.index) == [*PEOPLE, MEAN]
    # Without a: the model before b and c, (.7 + .9) / 2; a before b and c, (.8 + .6) / 2.
    assert found["model_score"].tolist() == pytest.approx([0.8, 0.7, 0.6, 0.7])
    assert found["annotator_score"].tolist() == pytest.approx([0.7, 0.75, 0.65, 0.7])
    assert found["difference"].tolist() == pytest.approx([0.1, -0.05, -0.05, 0.0])
    assert found["low"].tolist() == pytest.approx(found["difference"].tolist())
    assert found.loc[["a", MEAN], "decision"].tolist() == ["above", "within"]
    assert found.loc[MEAN, "not_inferior"]


def test_the_interval_of_whole_images_is_the_paired_t_interval():
    scores = made_up(dict.fromkeys(PEOPLE, 0.7), PAIRS, samples=6, noise=0.1)
    found = human_equivalence(scores, ["m"], PEOPLE, metrics=["ap50"], draws=50_000)
    mean = found.set_index("left_out").loc[MEAN]
    shifts = 0.1 * np.linspace(-1, 1, 6)
    low, high = stats.t.interval(0.95, 5, loc=0, scale=stats.sem(shifts))
    assert (mean["low"], mean["high"]) == pytest.approx((low, high), abs=0.003)
    assert mean["decision"] == Decision.UNDECIDED


def test_what_is_hard_for_all_drops_out():
    rows = []
    for k, shift in enumerate([-0.3, -0.1, 0.1, 0.3]):
        for a, b in permutations(PEOPLE, 2):
            rows.append(row(f"s{k}", a, b, 0.5 + shift))
        rows += [row(f"s{k}", a, "m", 0.48 + shift) for a in PEOPLE]
    found = human_equivalence(table(rows), ["m"], PEOPLE).query("left_out == @MEAN")
    assert found.loc[found["metric"] == "ap50", "difference"].tolist() == pytest.approx([-0.02])
    assert (found["decision"] == Decision.WITHIN).all()


def test_two_annotators_are_each_judged_by_the_other():
    rows = [row(f"s{k}", a, b, 0.6) for k in range(3) for a, b in permutations("ab", 2)]
    rows += [row(f"s{k}", a, "m", v) for k in range(3) for a, v in (("a", 0.5), ("b", 0.9))]
    found = human_equivalence(table(rows), ["m"], ["a", "b"], metrics=["ap50"])
    assert found["difference"].tolist() == pytest.approx([0.3, -0.1, 0.1])
    assert found["decision"].tolist() == ["above", "below", "above"]


def test_one_image_decides_nothing_however_many_its_patches():
    rows = []
    for patch in range(36):
        rows += [row("s", a, b, 0.7, "patch", patch) for a, b in permutations("ab", 2)]
        rows += [row("s", a, "m", 0.1, "patch", patch) for a in "ab"]
    found = human_equivalence(table(rows), ["m"], ["a", "b"], metrics=["ap50"])
    assert found["low"].isna().all()
    assert (found["decision"] == Decision.UNDECIDED).all()
    assert not found["not_inferior"].any()


def test_a_judge_who_has_not_seen_both_judges_neither():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS, samples=3)
    # c has not labelled s0: there, without a, only b judges.
    kept = scores[
        ~(
            (scores["sample"] == "s0")
            & ((scores["rater_true"] == "c") | (scores["rater_pred"] == "c"))
        )
    ]
    found = human_equivalence(kept, ["m"], PEOPLE, metrics=["ap50"]).set_index("left_out")
    assert found.loc["a", "model_score"] == pytest.approx((0.7 + 0.8 + 0.8) / 3)
    assert found.loc["a", "annotator_score"] == pytest.approx((0.8 + 0.7 + 0.7) / 3)
    assert found.loc["c", "images"] == 2


def test_a_copy_of_a_person_is_that_person_when_it_is_left_out():
    copied = {"a": 1.0, "b": 0.8, "c": 0.6}
    found = human_equivalence(made_up(copied, PAIRS), ["m"], PEOPLE, metrics=["ap50"])
    found = found.set_index("left_out")
    assert found.loc["a", "difference"] == pytest.approx(0)
    assert found.loc[MEAN, "decision"] == Decision.ABOVE


def test_modes_metrics_and_models_stay_apart_and_absent_models_are_left_out():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    patches = scores.assign(mode="patch", patch=0, ap50=scores["ap50"] / 2)
    found = human_equivalence(pd.concat([scores, patches]), ["m", "absent"], PEOPLE)
    assert len(found) == 2 * 3 * 4
    means = found[found["left_out"] == MEAN].set_index(["mode", "metric"])
    assert means.loc[("patch", "ap50"), "model_score"] == pytest.approx(0.35)
    assert means.loc[("whole", "map"), "model_score"] == pytest.approx(0.35)
    assert human_equivalence(scores, ["absent"], PEOPLE).empty
    assert human_equivalence(scores, [], PEOPLE).empty


def test_what_cannot_be_compared_is_refused():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    with pytest.raises(InputError, match="two or more have labelled the same images; found a"):
        human_equivalence(scores, ["m"], ["a"])
    with pytest.raises(InputError, match="a: candidate and annotator at once"):
        human_equivalence(scores, ["a"], PEOPLE)
    with pytest.raises(InputError, match="expected one cohort, found toy, other"):
        human_equivalence(pd.concat([scores, scores.assign(cohort="other")]), ["m"], PEOPLE)


def test_before_one_reference_the_difference_is_from_the_annotators_mean():
    rows = []
    for k, shift in enumerate([-0.01, 0.01]):
        rows += [row(f"s{k}", "truth", a, v + shift) for a, v in (("a", 0.5), ("b", 0.7))]
        rows.append(row(f"s{k}", "truth", "m", 0.9 + shift))
        rows.append(row(f"s{k}", "a", "m", 0.0))
    found = compare_before(table(rows), "truth", ["m"], ["a", "b"], metrics=["ap50"]).iloc[0]
    assert found["model_score"] == pytest.approx(0.9)
    assert found["annotator_score"] == pytest.approx(0.6)
    assert found["difference"] == pytest.approx(0.3)
    assert found["decision"] == "above"


def test_false_equivalence_is_rare():
    # A model that is worse by exactly the margin must not pass in more than 2.5 % of studies.
    rng = np.random.default_rng(3)
    passed = 0
    for _ in range(100):
        rows = []
        for k in range(5):
            hard = rng.normal(0, 0.1)
            rows += [row(f"s{k}", a, b, 0.6 + hard) for a, b in permutations("ab", 2)]
            off = rng.normal(-0.05, 0.02)
            rows += [row(f"s{k}", a, "m", 0.6 + hard + off) for a in "ab"]
        found = human_equivalence(table(rows), ["m"], ["a", "b"], metrics=["ap50"], draws=300)
        passed += found["decision"].iloc[-1] == Decision.WITHIN
    assert passed <= 8, "2.5 % of 100; more than 8 happen once in 1000 such runs"


def test_each_cohort_is_compared_with_its_own_and_one_without_two_masks_is_left_out():
    def rows(cohort, people, value):
        pairs = [row(f"s{k}", a, b, 0.7) for k in range(3) for a, b in combinations(people, 2)]
        model = [row(f"s{k}", a, "m", value) for k in range(3) for a in people]
        kinds = {"kind_true": "annotator", "kind_pred": "annotator", "n_true": 1, "n_pred": 1}
        return table(pairs + model).assign(cohort=cohort, **kinds)

    people = {"many": PEOPLE, "two": ["a", "b"], "one": ["a"], "none": []}
    cohorts = {key: SimpleNamespace(references=names) for key, names in people.items()}
    scores = pd.concat([rows("many", PEOPLE, 0.9), rows("two", "ab", 0.3), rows("one", "a", 0.5)])
    found = equivalence_of_cohorts(scores, cohorts, ["m", "absent"], draws=50)
    means = found[(found["left_out"] == MEAN) & (found["metric"] == "ap50")]
    assert means.groupby("cohort", sort=False)["model"].agg(list).to_dict() == {
        "many": ["m", "a", "b", "c"],
        "two": ["m"],
    }
    assert means["difference"].tolist() == pytest.approx([0.2, 0, 0, 0, -0.4])
    nothing = equivalence_of_cohorts(scores, {"one": cohorts["one"]}, ["m"])
    assert nothing.empty
    assert list(nothing) == list(found)
