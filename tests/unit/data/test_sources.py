"""Licences: what may be handed on, and what the book says of it."""

import pytest

from imc_helpers.data.manifest import cohort_record
from imc_helpers.data.sources import SITE, describe_sources, in_a_site


@pytest.mark.parametrize(
    ("license", "said"),
    [
        ("MIT", "yes"),
        ("CC BY 4.0", "yes"),
        ("GPL (>= 2)", "yes"),
        ("CC BY-NC 4.0", "no: non-commercial"),
        ("CC-BY-NC-SA-4.0", "no: non-commercial"),
        ("Modified Apache-2.0, non-commercial", "no: non-commercial"),
        ("NCSA", "yes"),  # a licence of its own, and a free one
        ("unknown", "no: licence not known"),
    ],
)
def test_what_a_licence_allows(license, said):
    record = cohort_record("ali20").model_copy(update={"license": license})
    assert in_a_site(record) == said
    assert record.redistributable == (said == "yes")


def test_a_lab_decides_about_its_own_folder():
    record = cohort_record("ali20").model_copy(update={"folder": "mine", "license": "unknown"})
    assert in_a_site(record) == "as you decide"
    assert record.redistributable


def test_the_one_that_is_known_to_be_non_commercial_is_called_so():
    keys = ("schuiki25", "ali20", "rendeiro21", "jackson20", "hoch22", "phantom_ali20")
    table = describe_sources({key: cohort_record(key) for key in keys}).set_index("cohort")
    assert table.index[table[SITE] == "no: non-commercial"].tolist() == ["rendeiro21"]
    assert table.loc["phantom_ali20", SITE] == "yes"
    assert table.loc["phantom_ali20", "reference"].startswith("made by this book, after ")
