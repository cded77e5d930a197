"""Human equivalence on scores made up so that the answer is known."""

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.agreement.equivalence import (
    MEAN,
    Decision,
    compare_before,
    equivalence_of_cohorts,
    human_equivalence,
    panels,
)
from imc_helpers.agreement.score_table import score_cohort
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import Rater
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError

PEOPLE = ["a", "b", "c"]


def row(sample, annotator, model, value, mode="whole", patch=pd.NA, cohort="toy"):
    return {
        "cohort": cohort, "mode": mode, "sample": sample, "patch": patch, "rater_true": annotator,
        "rater_pred": model, "kind_true": "annotator", "ap50": value, "map": value / 2,
        "sap": value,
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


MARGIN = 0.05


def weaker(scores, margin=MARGIN):
    """What annotators score who lost so much of ap50 that it costs them the margin."""
    people = scores[scores["rater_pred"] != "m"]
    return people.assign(
        ap50=people["ap50"] - margin, map=people["map"] - margin / 2, sap=people["sap"] - margin
    )


def equivalence(scores, models, annotators, *, margin=MARGIN, **options):
    return human_equivalence(scores, weaker(scores, margin), models, annotators, **options)


def shifted(off, *, samples=4, spread=0.0, people=PEOPLE):
    """A model that is off by so much before every judge; people agree at .7."""
    wave = spread * np.resize([1, -1], samples)
    rows = []
    for k in range(samples):
        rows += [row(f"s{k}", a, b, 0.7) for a, b in permutations(people, 2)]
        rows += [row(f"s{k}", a, "m", 0.7 + off + wave[k]) for a in people]
    return table(rows)


@pytest.mark.parametrize(
    ("off", "spread", "decision", "not_inferior"),
    [
        (-0.10, 0.0, "below", False),
        (-0.06, 0.001, "below", False),
        (-0.05, 0.001, "undecided", False),  # exactly what the loss costs
        (-0.04, 0.001, "within", True),  # worse than people, and it does not matter
        (0.00, 0.001, "within", True),
        (0.05, 0.001, "undecided", True),
        (0.06, 0.001, "above", True),
        (0.00, 0.1, "undecided", False),
        (0.10, 0.1, "undecided", False),
        (0.20, 0.1, "undecided", True),
    ],
)
def test_the_decision_follows_from_both_contrasts(off, spread, decision, not_inferior):
    found = equivalence(shifted(off, spread=spread), ["m"], PEOPLE, metrics=["ap50"])
    mean = found.set_index("left_out").loc[MEAN]
    assert (mean["decision"], mean["not_inferior"]) == (decision, not_inferior)
    assert (mean["difference"], mean["margin"]) == pytest.approx((off, MARGIN))


def test_the_error_of_the_margin_counts():
    scores = shifted(-0.02, samples=6)
    weak = weaker(scores)
    unsure = weak["sample"].isin(["s0", "s2", "s4"])
    weak.loc[unsure, "ap50"] -= 0.05
    weak.loc[~unsure, "ap50"] += 0.05
    found = human_equivalence(scores, weak, ["m"], PEOPLE, metrics=["ap50"])
    mean = found.set_index("left_out").loc[MEAN]
    assert mean["margin"] == pytest.approx(MARGIN)
    assert mean["low"] == pytest.approx(mean["difference"])
    assert mean["decision"] == Decision.UNDECIDED, "though the difference itself never varies"


def test_of_several_models_each_must_be_surer():
    alone = shifted(-0.02, samples=4, spread=0.012)
    assert equivalence(alone, ["m"], PEOPLE, metrics=["ap50"])["decision"].iloc[-1] == "within"
    others = [alone[alone["rater_pred"] == "m"].assign(rater_pred=f"m{k}") for k in range(5)]
    both = equivalence(
        pd.concat([alone, *others]), ["m", *(f"m{k}" for k in range(5))], PEOPLE, metrics=["ap50"]
    )
    assert (both["decision"] == "undecided").all()


def test_with_complete_data_the_difference_is_score_less_agreement():
    rng = np.random.default_rng(5)
    rows = []
    for k in range(3):
        for a, b in combinations(PEOPLE, 2):
            value = rng.uniform()
            rows += [row(f"s{k}", a, b, value), row(f"s{k}", b, a, value)]
        rows += [row(f"s{k}", a, "m", rng.uniform()) for a in PEOPLE]
    scores = table(rows)
    found = equivalence(scores, ["m"], PEOPLE, metrics=["ap50"]).set_index("left_out").loc[MEAN]
    by = scores.groupby(scores["rater_pred"] == "m")["ap50"].mean()
    assert found["difference"] == pytest.approx(by[True] - by[False])


def test_each_annotator_is_left_out_for_model_and_person_alike():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    found = equivalence(scores, ["m"], PEOPLE, metrics=["ap50"]).set_index("left_out")
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
    found = equivalence(scores, ["m"], PEOPLE, metrics=["ap50"])
    mean = found.set_index("left_out").loc[MEAN]
    shifts = 0.1 * np.linspace(-1, 1, 6)
    low, high = stats.t.interval(0.95, 5, loc=0, scale=stats.sem(shifts))
    assert (mean["low"], mean["high"]) == pytest.approx((low, high))
    assert mean["decision"] == Decision.UNDECIDED


def test_what_is_hard_for_all_drops_out():
    rows = []
    for k, shift in enumerate([-0.3, -0.1, 0.1, 0.3]):
        for a, b in permutations(PEOPLE, 2):
            rows.append(row(f"s{k}", a, b, 0.5 + shift))
        rows += [row(f"s{k}", a, "m", 0.48 + shift) for a in PEOPLE]
    found = equivalence(table(rows), ["m"], PEOPLE).query("left_out == @MEAN")
    assert found.loc[found["metric"] == "ap50", "difference"].tolist() == pytest.approx([-0.02])
    assert (found["decision"] == Decision.WITHIN).all()


def test_two_annotators_are_each_judged_by_the_other():
    rows = [row(f"s{k}", a, b, 0.6) for k in range(3) for a, b in permutations("ab", 2)]
    rows += [row(f"s{k}", a, "m", v) for k in range(3) for a, v in (("a", 0.5), ("b", 0.9))]
    found = equivalence(table(rows), ["m"], ["a", "b"], metrics=["ap50"])
    assert found["difference"].tolist() == pytest.approx([0.3, -0.1, 0.1])
    assert found["decision"].tolist() == ["above", "below", "above"]


def test_one_image_decides_nothing_however_many_its_patches():
    rows = []
    for patch in range(36):
        rows += [row("s", a, b, 0.7, "patch", patch) for a, b in permutations("ab", 2)]
        rows += [row("s", a, "m", 0.1, "patch", patch) for a in "ab"]
    found = equivalence(table(rows), ["m"], ["a", "b"], metrics=["ap50"])
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
    found = equivalence(kept, ["m"], PEOPLE, metrics=["ap50"]).set_index("left_out")
    assert found.loc["a", "model_score"] == pytest.approx((0.7 + 0.8 + 0.8) / 3)
    assert found.loc["a", "annotator_score"] == pytest.approx((0.8 + 0.7 + 0.7) / 3)
    assert found.loc["c", "images"] == 2


def test_a_copy_of_a_person_is_that_person_when_it_is_left_out():
    copied = {"a": 1.0, "b": 0.8, "c": 0.6}
    found = equivalence(made_up(copied, PAIRS), ["m"], PEOPLE, metrics=["ap50"])
    found = found.set_index("left_out")
    assert found.loc["a", "difference"] == pytest.approx(0)
    assert found.loc[MEAN, "decision"] == Decision.ABOVE


def test_modes_metrics_and_models_stay_apart_and_absent_models_are_left_out():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    patches = scores.assign(mode="patch", patch=0, ap50=scores["ap50"] / 2)
    found = equivalence(pd.concat([scores, patches]), ["m", "absent"], PEOPLE)
    assert len(found) == 2 * 3 * 4
    means = found[found["left_out"] == MEAN].set_index(["mode", "metric"])
    assert means.loc[("patch", "ap50"), "model_score"] == pytest.approx(0.35)
    assert means.loc[("whole", "map"), "model_score"] == pytest.approx(0.35)
    assert equivalence(scores, ["absent"], PEOPLE).empty
    assert equivalence(scores, [], PEOPLE).empty


def test_what_cannot_be_compared_is_refused():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    with pytest.raises(InputError, match="two or more have labelled the same images; found a"):
        equivalence(scores, ["m"], ["a"])
    with pytest.raises(InputError, match="a: candidate and annotator at once"):
        equivalence(scores, ["a"], PEOPLE)
    with pytest.raises(InputError, match="expected one cohort, found toy, other"):
        equivalence(pd.concat([scores, scores.assign(cohort="other")]), ["m"], PEOPLE)


def test_tools_are_no_people():
    scores = made_up({"a": 0.5, "b": 0.7, "c": 0.9}, PAIRS)
    scores.loc[scores["rater_true"] == "b", "kind_true"] = "tool"
    with pytest.raises(InputError, match=r"expected people, found b \(tool\)"):
        equivalence(scores, ["m"], PEOPLE)


def test_before_one_reference_the_difference_is_from_the_annotators_mean():
    rows, weak = [], []
    for k, shift in enumerate([-0.01, 0.01]):
        rows += [row(f"s{k}", "truth", a, v + shift) for a, v in (("a", 0.5), ("b", 0.7))]
        weak += [row(f"s{k}", "truth", a, v + shift - 0.04) for a, v in (("a", 0.5), ("b", 0.7))]
        rows.append(row(f"s{k}", "truth", "m", 0.9 + shift))
        rows.append(row(f"s{k}", "a", "m", 0.0))
    found = compare_before(
        table(rows), table(weak), "truth", ["m"], ["a", "b"], metrics=["ap50"]
    ).iloc[0]
    assert found["model_score"] == pytest.approx(0.9)
    assert found["annotator_score"] == pytest.approx(0.6)
    assert found["difference"] == pytest.approx(0.3)
    assert found["margin"] == pytest.approx(0.04)
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
        found = equivalence(table(rows), ["m"], ["a", "b"], metrics=["ap50"])
        passed += found["decision"].iloc[-1] == Decision.WITHIN
    assert passed <= 8, "2.5 % of 100; more than 8 happen once in 1000 such runs"


def test_candidates_are_tried_before_all_and_people_before_the_others():
    assert panels(["m"], ["a", "b"]) == [(["m"], ["a", "b"])]
    assert panels(["m"], PEOPLE)[2] == (["b"], ["a", "c"])


def box(side, *corners):
    labels = np.zeros((20, 20), np.uint32)
    for k, (y, x) in enumerate(corners):
        labels[y : y + side, x : x + side] = k + 1
    return labels


def test_each_cohort_is_compared_with_its_own_people_and_tools_are_left_out(tmp_path):
    corners = [(y, x) for y in range(0, 20, 4) for x in range(0, 20, 4)]
    masks = {name: box(3, *corners[: 25 - k]) for k, name in enumerate("abc")}
    panel, image = Panel((Channel("Ir191", "DNA", "nucleus"),)), np.zeros((1, 20, 20), np.float32)
    cohorts = {}
    for key, names, kind in (("people", "abc", "annotator"), ("tools", "ab", "tool")):
        own = {name: masks[name] for name in names}
        write_cohort(tmp_path / key, [Sample(f"s{k}", image, panel, 1.0, own) for k in range(2)])
        cohorts[key] = Cohort(tmp_path / key, raters=[Rater(name, kind) for name in names])
    scores = pd.concat(score_cohort(cohort, modes=["whole"]) for cohort in cohorts.values())
    found = equivalence_of_cohorts(scores, cohorts, ["absent"], loss=0.2)
    means = found[(found["left_out"] == MEAN) & (found["metric"] == "ap50")]
    assert means["model"].tolist() == ["a", "b", "c"]
    assert set(means["cohort"]) == {"people"}
    # c, 23 cells, before a and b, 25 and 24: (23 / 25 + 23 / 24) / 2, who agree at 24 / 25.
    assert means["difference"].iloc[2] == pytest.approx((23 / 25 + 23 / 24) / 2 - 24 / 25)
    # A fifth of a's 25 cells, drawn five times, leaves 20, of which 19 or 20 are b's as well.
    assert 0.96 - 20 / 24 <= means["margin"].iloc[2] <= 0.2
    nothing = equivalence_of_cohorts(scores, {"tools": cohorts["tools"]}, ["m"])
    assert nothing.empty
    assert list(nothing) == list(found)


def test_of_many_images_some_are_looked_at_evenly_spread(tmp_path, monkeypatch):
    masks = {name: box(3, (0, 0), (8, 8)) for name in "abc"}
    panel, image = Panel((Channel("Ir191", "DNA", "nucleus"),)), np.zeros((1, 20, 20), np.float32)
    write_cohort(tmp_path, [Sample(f"s{k}", image, panel, 1.0, masks) for k in range(7)])
    cohort = Cohort(tmp_path, name="lab")
    scores = score_cohort(cohort, modes=["whole"])
    read: list[str] = []
    whole = Cohort.read_mask
    monkeypatch.setattr(
        Cohort,
        "read_mask",
        lambda self, sample, name: read.append(sample) or whole(self, sample, name),
    )
    found = equivalence_of_cohorts(scores, {"lab": cohort}, [], most_images=3)
    assert set(read) == {"s0", "s3", "s6"}
    assert set(found["images"]) == {3}
