"""Verdicts on published numbers, on tables small enough to check by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from imc_helpers.data.manifest import cohort_record, published_studies, published_table
from imc_helpers.errors import InputError
from imc_helpers.experiments import reproduction
from imc_helpers.experiments.reproduction import MEASUREMENTS, VERDICTS, compare

EXTERNAL = ("ali20", "rendeiro21", "jackson20", "hoch22")
STUDY = ("schuiki25", *EXTERNAL)
FOUR = ("cyto3", "mesmer", "cellsam", "vista2d")
PAGES = [page for one in MEASUREMENTS.values() for page in one.pages]
METRICS = ("ap50", "map", "sap")


@pytest.fixture
def edition(monkeypatch, tmp_path):
    """Return what compares an edition of given cohorts and models with the studies."""

    def write(name, rows):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pd.DataFrame(rows).to_csv(path, index=False)

    def verdicts(table, *, cohorts=STUDY, models=FOUR, pages=PAGES, study="schuiki25"):
        found = SimpleNamespace(cohorts=tuple(cohorts), models=tuple(models))
        monkeypatch.setattr(reproduction, "load_edition", lambda _: found)
        every = compare("any", tmp_path, pages)
        return [one for one in every if (one.study, one.table) == (study, table)]

    verdicts.write = write
    return verdicts


def agreement(cohort, **values):
    """Return the rows of a cohort in the table of mean agreement."""
    rows = published_table("schuiki25_table3").pivot_table("value", "mode", "metric")
    return [
        {"cohort": cohort, "mode": mode, "pairs": 6, "scored": 60, "both_empty": 0}
        | rows.loc[mode].to_dict()
        | values
        for mode in ("whole", "patch")
    ]


def test_a_number_within_its_tolerance_is_reproduced_on_the_studys_data_only(edition):
    edition.write("annotators/means.csv", agreement("schuiki25", ap50=0.7129))
    found = {tuple(one.row.values()): one for one in edition("table3")}
    assert found["ap50", "whole"].verdict == "reproduced", "0.7129 is within .005 of .708"
    assert found["ap50", "patch"].verdict == "differs", "and not of .686"
    assert found["map", "whole"].measured == found["map", "whole"].published
    assert found["map", "whole"].cohorts == ("schuiki25",)

    edition.write("annotators/means.csv", agreement("phantom_lymphoid"))
    found = edition("table3", cohorts=["phantom_lymphoid"])
    assert {one.verdict for one in found} == {"other data"}, "however equal the values are"


def test_an_imitation_of_the_studys_data_reproduces_nothing(edition, monkeypatch):
    imitation = cohort_record("schuiki25").model_copy(update={"imitation": True})
    monkeypatch.setattr(reproduction, "cohort_record", lambda _: imitation)
    edition.write("annotators/means.csv", agreement("schuiki25"))
    assert {one.verdict for one in edition("table3")} == {"other data"}
    edition.write("datasets/cohorts.csv", [{"cohort": "schuiki25", "tissue": "x", "samples": 10}])
    verdicts = {one.quantity: one.verdict for one in edition("table1") if one.measured is not None}
    assert verdicts == {"samples": "other data"}


def test_what_is_not_there_is_not_run_and_says_why(edition):
    (reason,) = {one.why for one in edition("table3")}
    assert "two raters" in reason
    (reason,) = {one.why for one in edition("table3", pages=["study/01_datasets"])}
    assert "study/05_annotators" in reason
    (reason,) = {one.why for one in edition("table2")}
    assert reason == published_studies()["schuiki25"].tables["table2"].not_measured


def test_a_table_of_a_page_that_the_edition_no_longer_has_counts_for_nothing(edition):
    edition.write("annotators/means.csv", agreement("schuiki25"))
    assert {one.verdict for one in edition("table3", pages=[])} == {"not run"}


def test_a_row_about_a_cohort_is_held_against_that_cohort_or_its_imitation(edition):
    sizes = {"height_px": 1000.0, "width_px": 999.0, "patches": 360, "annotators": 4}
    row = {"tissue": "x", "samples": 10, "cells_per_patch": None, "samples_without_patches": 0}
    edition.write("datasets/cohorts.csv", [{"cohort": "schuiki25", **row, **sizes}])
    found = [one for one in edition("table1") if one.row["cohort"] == "schuiki25"]
    by_quantity = {one.quantity: one.verdict for one in found}
    assert by_quantity["height_px"] == "reproduced"
    assert by_quantity["width_px"] == "differs"
    assert by_quantity["cells_per_patch"] == "not run", "nothing was measured"
    others = {one.verdict for one in edition("table1") if one.row["cohort"] != "schuiki25"}
    assert others == {"not run"}

    edition.write("datasets/cohorts.csv", [{"cohort": "phantom_lymphoid", **row, **sizes}])
    found = edition("table1", cohorts=["phantom_lymphoid"])
    measured = {one.row["cohort"] for one in found if one.measured is not None}
    assert measured == {"schuiki25"}
    assert {one.verdict for one in found} == {"other data", "not run"}


def judged(models, **ap50):
    """Return scores of models against two annotators of one image, and of the annotators."""
    return [
        {"cohort": "schuiki25", "mode": mode, "sample": "a", "patch": patch, "annotator": annotator}
        | {"model": model, "map": 0.1, "sap": 0.1, "ap50": ap50.get(model, 0.6)}
        for model in models
        for annotator in ("ann1", "ann2")
        for mode, patch in (("whole", None), ("patch", 0), ("patch", 1))
    ]


def test_models_that_reach_the_agreement_are_counted(edition):
    edition.write("annotators/means.csv", agreement("schuiki25", ap50=0.7))
    edition.write("models/scores.csv", judged([*FOUR, "extra", "random cells"], extra=0.9))
    found = {tuple(one.row.values()): one for one in edition("section4_2")}
    assert found["ap50", "whole"].measured == 0, "a model that the study has not does not count"
    assert found["ap50", "whole"].models == FOUR
    assert found["ap50", "whole"].verdict == "reproduced"

    edition.write("models/scores.csv", judged(FOUR, mesmer=0.7))
    found = {tuple(one.row.values()): one for one in edition("section4_2")}
    assert found["ap50", "patch"].measured == 1
    assert found["ap50", "patch"].verdict == "differs"


def test_a_claim_about_four_models_wants_all_four(edition):
    edition.write("annotators/means.csv", agreement("schuiki25"))
    edition.write("models/scores.csv", judged(FOUR[:3]))
    found = edition("section4_2")
    assert {one.verdict for one in found} == {"not run"}
    assert "1 did not run" in found[0].why


def single(**best):
    """Return means of models in four cohorts; each is best in one."""
    return [
        {"cohort": cohort, "mode": mode, "model": model, "map": 0.1, "sap": 0.1}
        | {"ap50": 0.5 if best.get(model, "hoch22") == cohort else 0.3}
        for cohort in EXTERNAL
        for mode in ("whole", "patch")
        for model in FOUR
    ]


def test_the_cohort_on_which_models_are_best(edition):
    edition.write("models/single_mask_means.csv", single())
    (found,) = edition("section4_3_best")
    assert (found.measured, found.verdict) == (4, "reproduced")
    edition.write("models/single_mask_means.csv", single(mesmer="ali20"))
    (found,) = edition("section4_3_best")
    assert (found.measured, found.verdict) == (3, "differs")
    # With one of the four cohorts missing it is another question.
    found = edition("section4_3_best", cohorts=["hoch22", "ali20"])
    assert {one.verdict for one in found} == {"other data"}


def test_models_that_reach_a_lent_agreement(edition):
    edition.write("annotators/means.csv", agreement("schuiki25", ap50=0.4))
    edition.write("models/scores.csv", judged(FOUR))
    edition.write("models/single_mask_means.csv", single())
    found = {one.row["metric"]: one for one in edition("section4_3_reach")}
    assert (found["ap50"].measured, found["ap50"].verdict) == (4, "differs")
    assert (found["map"].measured, found["map"].verdict) == (0, "reproduced")


@pytest.mark.parametrize(("p", "verdict"), [(9e-7, "reproduced"), (1e-6, "differs")])
def test_a_bound_holds_or_not(edition, p, verdict):
    edition.write("models/scores.csv", judged(FOUR))
    edition.write("models/single_mask_means.csv", single())
    rows = [{"cohort": "schuiki25", "model": "mesmer", "p": value} for value in (p, 1e-9, None)]
    edition.write("models/tests.csv", [*rows, {"cohort": "ali20", "model": "extra", "p": 0.5}])
    (found,) = edition("section4")
    assert (found.measured, found.verdict) == (p, verdict)


def test_every_number_of_the_manifest_gets_one_verdict_in_an_edition_without_results(edition):
    edition("table3")
    found = compare("any", reproduction.Path("/nowhere"), PAGES)
    numbers = [
        (key, name, column, number)
        for key, study in published_studies().items()
        for name, table in study.tables.items()
        for number, row in enumerate(table.rows)
        for column in row
        if column not in table.names and row[column] is not None
    ]
    assert len(found) == len(numbers)
    assert {one.verdict for one in found} == {"not run"} <= set(VERDICTS)
    assert all(one.why for one in found)


def test_an_unknown_measurement(edition, monkeypatch):
    table = published_studies()["schuiki25"].tables["table3"]
    wrong = table.model_copy(update={"measured_by": "nope"})
    study = published_studies()["schuiki25"].model_copy(update={"tables": {"table3": wrong}})
    monkeypatch.setattr(reproduction, "published_studies", lambda: {"schuiki25": study})
    with pytest.raises(InputError, match="no measurement 'nope'; there are sizes"):
        edition("table3")


def test_the_manifest_names_measurements_and_cohorts_that_there_are():
    for study in published_studies().values():
        for table in study.tables.values():
            if table.measured_by:
                assert table.measured_by in MEASUREMENTS
                assert set(table.cohorts) <= set(STUDY)
