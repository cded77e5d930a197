"""The manifest and the editions: complete, consistent, and clear when they are not."""

import pytest

from imc_helpers.data import manifest
from imc_helpers.data.manifest import (
    Edition,
    PublishedTable,
    cohort_record,
    load_edition,
    model_record,
    published_studies,
    published_table,
)
from imc_helpers.data.paths import shipped
from imc_helpers.data.readers.published import _PAIRS, _READERS, cohort_panel
from imc_helpers.errors import InputError

EDITIONS = sorted(
    path.stem for path in shipped("editions").glob("*.yml") if not load_edition(path.stem).own
)
"""Those of the book; a user's own stand beside them."""


@pytest.mark.parametrize("name", EDITIONS)
def test_every_edition_names_cohorts_that_can_be_made(name):
    for key in load_edition(name).made:
        record = cohort_record(key)
        assert record.reader in {*_READERS, *_PAIRS}
        panel = cohort_panel(record)
        assert panel.compartment("nucleus")
        assert panel.compartment("membrane")
        assert panel.index(record.dna_channel) >= 0


@pytest.mark.parametrize("name", EDITIONS)
def test_every_cohort_is_in_the_bibliography(name):
    bibliography = (shipped("data_manifest").parent / "references.bib").read_text()
    for key in load_edition(name).made:
        assert f"{{{cohort_record(key).citation}," in bibliography


def test_an_edition_makes_its_cohorts_and_the_planted_ones():
    edition = Edition(title="", description="", cohorts=["a"], planted={"b": ["m"]}, models=["m"])
    assert edition.made == ("a", "b")


@pytest.mark.parametrize(
    ("planted", "message"),
    [({"a": []}, "a is among `cohorts` already"), ({"b": ["n"]}, "b names n, not among `models`")],
)
def test_planted_cohorts_that_cannot_be(planted, message):
    with pytest.raises(ValueError, match=message):
        Edition(title="", description="", cohorts=["a"], planted=planted, models=["m"])


def test_an_unknown_edition():
    with pytest.raises(InputError, match="edition 'nope'.*there are .*open"):
        load_edition("nope")


def test_an_unknown_cohort():
    with pytest.raises(InputError, match="cohort 'nope'.*spleen_imc"):
        cohort_record("nope")


def test_a_published_table_stays_as_published():
    published_table("schuiki25_table3")["value"] = 0
    assert published_table("schuiki25_table3")["value"].min() > 0


def test_every_published_table_names_what_the_manifest_has():
    bibliography = (shipped("data_manifest").parent / "references.bib").read_text()
    for study in published_studies().values():
        assert f"{{{study.citation}," in bibliography
        for table in study.tables.values():
            for model in table.models:
                assert model_record(model).source == "library"
            for key in table.stand_ins:
                assert cohort_record(key).synthetic


def test_a_published_table_that_does_not_hang_together():
    good = {"place": "Table 1", "title": "x", "data": "y", "names": ["m"], "not_measured": "no"}
    rows = [{"m": "map", "value": 0.3}]
    PublishedTable(**good, rows=rows)
    for wrong, message in (
        ({"rows": [*rows, {"m": "map"}]}, "columns of the first"),
        ({"rows": rows, "tolerance": {"height": 1.0}}, "no column"),
        ({"rows": rows, "not_measured": ""}, "measured_by"),
        ({"rows": rows, "measured_by": "sizes"}, "because"),
        ({"rows": rows, "measured_by": "sizes", "because": "x"}, "tolerance"),
        ({"rows": rows, "stand_ins": {"phantom_ali20": "ali20"}}, "not among"),
    ):
        with pytest.raises(ValueError, match=message):
            PublishedTable(**{**good, **wrong})


def test_an_unknown_published_table():
    with pytest.raises(InputError, match="'nope'.*schuiki25_table1"):
        published_table("nope")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: x\ndescription: y\ncohorts: []\n", "cohorts"),
        ("title: x\ndescription: y\ncohorts: [spleen_imc]\nsize: 3\n", "size"),
        ("title: x\ndescription: y\ncohorts: [nope]\n", "cohort 'nope'"),
        ("- a list\n", "expected a mapping"),
    ],
)
def test_a_malformed_edition(tmp_path, monkeypatch, content, message):
    (tmp_path / "bad.yml").write_text(content)
    monkeypatch.setattr(manifest, "shipped", lambda _: tmp_path)
    monkeypatch.setattr(manifest, "_cohorts", lambda: {})
    with pytest.raises(InputError, match=message):
        load_edition("bad")


def test_published_figures_carry_their_source():
    table = published_table("schuiki25_table3")
    assert set(table["source"]) == {"Schuiki et al. 2025, Table 3"}
    assert table.set_index(["metric", "mode"]).loc[("ap50", "whole"), "value"] == 0.708
