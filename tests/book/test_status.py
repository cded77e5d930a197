"""The status page: what it says comes from the manifest, from results, and from stamps."""

import pandas as pd
import pytest

import status
from imc_helpers.data import manifest
from imc_helpers.data.manifest import published_studies
from imc_helpers.experiments.reproduction import compare
from status import Ran

EDITION = "demo"
PAGES = [
    Ran(
        name,
        f"[](chapters/{name}.ipynb)",
        12.3,
        456.7,
        "cpu",
        "python3",
        "3.11.7",
        "2026-11-21T00:00:00+00:00",
        "a" * 64,
        "b" * 64,
    )
    for name in ("study/01_datasets", "study/05_annotators")
]
RUN = PAGES[0]._replace(
    notebook="mesmer, whole",
    title="Mesmer, whole",
    seconds=99.9,
    kernel="own",
    version="deepcell 0.12.10",
    weights="c" * 64,
)


@pytest.fixture
def page(tmp_path):
    """Return what writes the page for results with one cohort that two simulated people drew."""

    def write(ap50=0.7):
        means = tmp_path / "annotators" / "means.csv"
        means.parent.mkdir(exist_ok=True)
        row = {"cohort": "phantom_lymphoid", "mode": "whole", "pairs": 1, "scored": 4}
        pd.DataFrame([row | {"ap50": ap50, "map": 0.3, "sap": 0.5}]).to_csv(means, index=False)
        found = compare(EDITION, tmp_path, [one.notebook for one in PAGES])
        return status.status_page(EDITION, found, PAGES, [RUN])

    return write


def rows(text, *cells):
    """Return the lines of the page's tables that hold some cells."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [line for line in lines if set(cells) <= set(line)]


def test_a_published_value_that_changes_changes_the_page(page, monkeypatch):
    before = page()
    assert rows(before, "ap50", "whole", "0.708", "0.7", "other data")
    studies = published_studies()
    table = studies["schuiki25"].tables["table3"]
    changed = [dict(row, value=0.123) if row["value"] == 0.708 else row for row in table.rows]
    tables = {
        **studies["schuiki25"].tables,
        "table3": table.model_copy(update={"rows": tuple(changed)}),
    }
    study = studies["schuiki25"].model_copy(update={"tables": tables})
    monkeypatch.setattr(manifest, "_published", lambda: {**studies, "schuiki25": study})
    after = page()
    assert rows(after, "ap50", "whole", "0.123", "0.7", "other data")
    assert "0.708" not in after


def test_a_measured_value_that_changes_changes_the_page(page):
    assert rows(page(ap50=0.7), "ap50", "whole", "0.708", "0.7")
    assert rows(page(ap50=0.65432), "ap50", "whole", "0.708", "0.6543")


def test_every_published_number_is_on_the_page(page):
    text = page()
    for study in published_studies().values():
        assert f"## {study.study}" in text
        for table in study.tables.values():
            assert table.title in text
            assert all(remark in text for remark in table.remarks)
            for row in table.rows:
                values = [v for c, v in row.items() if c not in table.names and v is not None]
                for value in values:
                    assert rows(text, status._published(value))


def test_what_was_not_measured_says_why(page):
    text = page()
    assert f"*Not run:* {published_studies()['bird24'].tables['table2'].not_measured}" in text
    # Page 07 is not among the pages of this book.
    assert "This edition lacks a page that measures it: study/07_models_vs_annotators." in text


def test_the_counts_add_up(page):
    (total,) = rows(page(), "Greenwald et al. 2022")
    numbers, *verdicts = map(int, total[1:])
    assert numbers == sum(verdicts)


def test_every_notebook_is_listed_with_what_it_took(page):
    text = page()
    for one in PAGES:
        (line,) = rows(text, one.title)
        assert line[1:] == [
            "12.3", "457", "cpu", "python3", "3.11.7", one.finished, "`aaaaaaaaaa`", "`bbbbbbbbbb`",
        ]  # fmt: skip
    assert rows(text, "Mesmer, whole", "99.9", "own", "deepcell 0.12.10", "`cccccccccc`")
    assert "Its pages together ran for 25 s" in text, "a model's run is not a page"


def test_measured_numbers_say_by_which_page_and_when(page):
    said = "*Measured by* [](chapters/study/05_annotators.ipynb) (2026-11-21T00:00:00+00:00"
    assert said in page()
