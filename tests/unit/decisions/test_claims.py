"""Claims that a method is the best: the chance that they are false is the share that are."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imc_helpers.decisions.claims import (
    COLUMNS,
    Verdict,
    audit,
    chance_false,
    chance_reversed,
    claim_of,
    published_claims,
    scores_of_images,
)
from imc_helpers.errors import InputError


def test_the_formula_for_two_methods_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    scores = rng.normal([0.6, 0.55], 0.1, (12, 2))
    one, two = scores.T
    expected = stats.ttest_rel(one, two, alternative="greater").pvalue
    r = np.corrcoef(one, two)[0, 1]
    found = chance_reversed(one.mean() - two.mean(), tuple(scores.std(axis=0, ddof=1)), r, 12)
    assert found == pytest.approx(expected)
    assert [chance_reversed(lead, (0.1, 0.1), 1.0, 12) for lead in (0.1, 0.0, -0.1)] == [0, 0.5, 1]


def test_the_higher_the_correlation_the_surer():
    chances = [chance_false([0.7, 0.68], [0.1, 0.1], r, 20) for r in (0.0, 0.5, 0.9)]
    assert chances == sorted(chances, reverse=True)


def test_who_was_chosen_because_it_won_is_doubted_more_than_who_was_named_beforehand():
    for r in (0.0, 0.5):
        named = chance_reversed(0.05, (0.1, 0.1), r, 20)
        assert named + 0.02 < chance_false([0.75, 0.70], [0.1, 0.1], r, 20) < 0.5


def test_equal_methods_are_a_draw():
    assert chance_false([0.5, 0.5], [0.1, 0.1], 0.2, 9) == pytest.approx(0.5, abs=0.01)
    of_four = chance_false([0.5] * 4, [0.1] * 4, 0.2, 9)
    assert of_four == pytest.approx(0.75, abs=0.01), "any of the four may be the best"


def test_a_winner_of_many_is_doubted_more_than_one_of_two():
    two = chance_false([0.70, 0.66], [0.1, 0.1], 0.3, 15)
    many = chance_false([0.70, 0.66, 0.65, 0.65, 0.64, 0.66], [0.1] * 6, 0.3, 15)
    assert many > two + 0.1
    far = chance_false([0.9, 0.5, 0.4, 0.3], [0.05] * 4, 0.3, 15)
    assert far < 0.001


def _studies(n_methods, n_images, trials, seed):
    """Simulate studies: the stated chance that the winner is not the best, and whether it is so."""
    rng = np.random.default_rng(seed)
    stated, false = np.empty(trials), np.empty(trials, bool)
    for t in range(trials):
        r = rng.uniform(0, 0.8)
        truth = rng.normal(0, rng.uniform(0, 4) * np.sqrt((1 - r) / n_images), n_methods)
        common = rng.normal(0, np.sqrt(r), (n_images, 1))
        own = rng.normal(0, np.sqrt(1 - r), (n_images, n_methods))
        rows = claim_of(pd.DataFrame(truth + common + own), "best")
        args = rows["mean"], rows["sd"], rows["correlation"].iloc[0], n_images
        stated[t] = chance_false(*args, draws=300, seed=t)
        false[t] = rows["mean"].argmax() != truth.argmax()
    return stated, false


@pytest.mark.parametrize("n_methods", [2, 5])
def test_what_is_stated_is_what_happens(n_methods):
    stated, false = _studies(n_methods, 8, 300, seed=3)
    # In thirds of 100 studies a share has a standard error of .05; the benchmark looks closer.
    for third in np.array_split(np.argsort(stated), 3):
        assert stated[third].mean() == pytest.approx(false[third].mean(), abs=0.15)


def _table(claim, means, sd, images, correlation=np.nan):
    rows = [(claim, f"m{i}", mean, sd, correlation, images) for i, mean in enumerate(means)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_an_audit_names_what_depends_on_what_was_not_reported():
    table = pd.concat(
        [
            _table("clear", [0.5, 0.9], 0.05, 30),
            _table("blurred", [0.60, 0.61], 0.2, 5),
            _table("unreported", [0.60, 0.64], np.nan, 20),
            _table("one image", [0.1, 0.9], 0.05, 1),
        ]
    )
    found = audit(table, sds=(0.05, 0.15)).set_index("claim")
    assert found["verdict"].to_dict() == {
        "clear": Verdict.HOLDS,
        "blurred": Verdict.UNCERTAIN,
        "unreported": Verdict.DEPENDS,
        "one image": Verdict.NO_ANSWER,
    }
    row = found.loc["unreported"]
    assert (row["best"], row["next"], row["lead"]) == ("m1", "m0", pytest.approx(0.04))
    ends = [chance_false([0.60, 0.64], [s, s], r, 20) for s in (0.05, 0.15) for r in (0.0, 0.9)]
    found_ends = (row["false_low"], row["false_high"])
    assert found_ends == pytest.approx((min(ends), max(ends)), abs=0.015)  # draws differ
    formula = [chance_reversed(0.04, (s, s), r, 20) for s in (0.05, 0.15) for r in (0.0, 0.9)]
    assert (row["formula_low"], row["formula_high"]) == pytest.approx((min(formula), max(formula)))
    alone = audit(table[table["claim"] == "unreported"])
    assert alone["verdict"].item() == Verdict.NO_ANSWER, "nothing reported, nothing assumed"


def test_bad_claims_say_what_is_wrong():
    with pytest.raises(InputError, match="'lonely': expected two methods"):
        audit(_table("lonely", [0.5], 0.1, 10))
    with pytest.raises(InputError, match="on 1 images"):
        chance_false([0.5, 0.6], [0.1, 0.1], 0.0, 1)


def test_scores_of_images_average_references_and_give_f1():
    tp = {f"tp{t}": 0 for t in range(55, 100, 5)}
    rows = [
        {"sample": s, "mode": "whole", "patch": pd.NA, "rater_true": ref, "rater_pred": m,
         "n_true": 10, "n_pred": 10, "ap50": ap, "tp50": k, **tp}
        for s, ref, m, ap, k in [
            ("s1", "a", "x", 0.2, 5), ("s1", "b", "x", 0.4, 7), ("s1", "a", "y", 0.1, 1),
            ("s2", "a", "x", 0.5, 8), ("s2", "a", "y", 0.3, 2), ("s3", "a", "x", 0.9, 9),
        ]
    ]  # fmt: skip
    judged = pd.DataFrame(rows)
    found = scores_of_images(judged, ["x", "y"], "ap50")
    assert found["x"].tolist() == pytest.approx([0.3, 0.5]), "of s3 there is no y"
    assert scores_of_images(judged, ["x", "y"], "f1_50")["x"].tolist() == pytest.approx([0.6, 0.8])
    assert scores_of_images(judged, ["x"], "f1_mean")["x"].tolist()[2] == pytest.approx(0.09)
    claim = claim_of(found, "here")
    assert claim["images"].tolist() == [2, 2]
    assert claim["correlation"].tolist() == pytest.approx([1.0, 1.0])


def test_published_rankings_have_the_images_of_their_test_sets():
    table = published_claims().set_index(["claim", "method"])
    row = table.loc[("TNBC 2018, F1 at .5", "StarDist")]
    assert (row["mean"], row["images"]) == (0.896, 7)
    row = table.loc[("TissueNet cells, mean F1", "Mesmer")]
    assert (row["mean"], row["images"]) == (0.6328, 1324)
    methods = set(table.loc["CoNSeP, mean F1"].index)
    assert methods == {"StarDist", "HoVer-Net", "Cellpose", "EmbedSeg (TTA)", "InstanSeg"}
    assert "EmbedSeg (TTA)" not in table.loc["LyNSeC, mean F1"].index, (
        "the table has no score of it"
    )
    assert table["sd"].isna().all() and table["images"].notna().all()
