"""The open cohorts' masks, and how far they agree about profiles: to three digits."""

import pytest

from imc_helpers.data.readers.published import open_cohort
from imc_helpers.downstream.mask_study import pair_table, reference_profiles
from imc_helpers.downstream.profiles import profile_agreement

pytestmark = pytest.mark.mirror

CELLS = {
    "spleen_imc": ([3992, 5222, 5021, 3564], [2749, 4204, 4199, 1684]),
    "codex_two_experts": ([3431], [2094]),
}
AP50 = {"spleen_imc": [0.278, 0.275, 0.283, 0.214], "codex_two_experts": [0.219]}
"""A pair of cells matches when IoU >= .5."""
ICC = {
    "spleen_imc": {"CD8a": 0.943, "CD20": 0.994},
    "codex_two_experts": {"CH_24": 0.954, "CH_19": 0.985},
}
"""The least and the greatest of the markers: neither DNA, nor channels without a target."""
NO_MARKERS = ("DNA1", "DNA3", "80ArAr", "140Ce", "nucleus")
IN_ONE_ONLY = {"spleen_imc": 0.26, "codex_two_experts": 0.32}


@pytest.fixture(scope="module", params=list(CELLS))
def cohort(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMC_BOOK_ROOT", str(tmp_path_factory.mktemp("book")))
        yield open_cohort(request.param)


def test_cells_and_ap50(cohort):
    pairs = pair_table(cohort, cohort.ids)
    first, second = CELLS[cohort.name]
    assert pairs["cells of first"].tolist() == first
    assert pairs["cells of second"].tolist() == second
    assert pairs["ap50"].to_numpy() == pytest.approx(AP50[cohort.name], abs=1e-3)
    assert pairs["in one only"].mean() == pytest.approx(IN_ONE_ONLY[cohort.name], abs=5e-3)


def test_matched_cells_agree_and_points_do_less(cohort):
    profiles = reference_profiles(cohort, cohort.ids)
    found = profile_agreement(profiles).set_index("channel")
    markers = found.drop(index=[name for name in NO_MARKERS if name in found.index])
    expected = ICC[cohort.name]
    matched = markers["matched cells"]
    assert matched[list(expected)].to_dict() == pytest.approx(expected, abs=1e-3)
    assert [matched.idxmin(), matched.idxmax()] == list(expected)
    assert (markers["points in all"] < matched).all()
    assert profiles.coverage["in some"] == pytest.approx(IN_ONE_ONLY[cohort.name], abs=0.02)
