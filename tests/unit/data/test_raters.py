"""Who made a mask, what to call them, and whom a cohort takes for its references."""

import numpy as np
import pytest

from imc_helpers.data.manifest import RaterRecord, cohort_record
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.raters import KINDS, Rater, describe_raters, noun
from imc_helpers.data.samples import Cohort, Sample
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError

PANEL = Panel((Channel("Ir191", "DNA1", "nucleus"),))


@pytest.fixture
def folder(tmp_path):
    cells = np.ones((4, 4), np.uint32)
    image = np.zeros((1, 4, 4), np.float32)
    both = {"zoe": cells, "adam": cells, "ilastik": cells, "truth": cells}
    samples = [
        Sample("s1", image, PANEL, 1.0, both),
        Sample("s2", image, PANEL, 1.0, {"ilastik": cells, "truth": cells}),
    ]
    write_cohort(tmp_path / "toy", samples)
    return tmp_path / "toy"


RATERS = [Rater("zoe"), Rater("ilastik", "tool"), Rater("adam"), Rater("truth", "truth")]


def test_a_cohort_knows_people_from_tools_and_keeps_their_order(folder):
    cohort = Cohort(folder, raters=RATERS)
    assert cohort.raters == tuple(RATERS)
    assert cohort.annotators == cohort.references == ("zoe", "adam")
    assert cohort.tools == ("ilastik",)
    assert [rater.name for rater in cohort.raters_of("s2")] == ["ilastik", "truth"]
    assert cohort.references_of("s1") == ("zoe", "adam")
    assert cohort.references_of("s2") == ()


def test_without_people_the_tools_are_the_references(folder):
    cohort = Cohort(folder, raters=[Rater("ilastik", "tool"), Rater("truth", "truth")])
    assert cohort.references == cohort.references_of("s2") == ("ilastik",)
    assert cohort.annotators == ()


def test_a_sample_holds_everybodys_masks_but_the_truth(folder):
    assert list(Cohort(folder, raters=RATERS)[0].masks) == ["zoe", "ilastik", "adam"]


def test_a_folder_of_masks_that_nobody_describes_is_an_annotators(folder):
    cohort = Cohort(folder)
    assert {rater.kind for rater in cohort.raters} == {"annotator"}
    assert cohort.annotators == ("adam", "ilastik", "truth", "zoe")
    assert Cohort(folder, raters=["zoe"]).raters == (Rater("zoe"),)


def test_a_rater_without_masks_is_refused(folder):
    with pytest.raises(InputError, match="no masks of tool 'cp'; there are adam"):
        Cohort(folder, raters=[Rater("cp", "tool")])


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(InputError, match=f"expected one of the kinds {', '.join(KINDS)}"):
        Rater("a", "expert")


@pytest.mark.parametrize(
    ("raters", "plural", "single"),
    [
        ([Rater("a")], "annotators", "an annotator"),
        ([Rater("a", "tool"), Rater("b", "tool")], "tools", "a tool"),
        ([Rater("a", how="expert"), Rater("b", how="expert")], "experts", "an expert"),
        ([Rater("a", how="simulated")], "simulated annotators", "a simulated annotator"),
        ([Rater("a", how="expert"), Rater("b")], "annotators", "an annotator"),
        ([Rater("a", "tool", how="automatic"), Rater("b")], "tools and annotators", None),
        ([], "raters", "a rater"),
    ],
)
def test_raters_are_called_by_a_word_that_is_right_for_all(raters, plural, single):
    assert noun(raters) == plural
    assert single is None or noun(raters, plural=False) == single


def test_the_manifest_calls_tools_tools_and_experts_annotators():
    kinds = {
        key: {made.kind for made in cohort_record(key).raters.values()}
        for key in ("spleen_imc", "pancreas_imc", "codex_two_experts", "phantom_lymphoid")
    }
    assert kinds == {
        "spleen_imc": {"tool"},
        "pancreas_imc": {"tool"},
        "codex_two_experts": {"annotator"},
        "phantom_lymphoid": {"annotator"},
    }


@pytest.mark.parametrize(("kind", "how"), [("tool", "expert"), ("annotator", "automatic")])
def test_the_manifest_cannot_call_a_tool_a_person(kind, how):
    with pytest.raises(ValueError, match="an annotator is an expert or simulated"):
        RaterRecord(kind=kind, how=how, description="")


def test_the_table_of_raters_lists_all_but_the_truth():
    raters = {
        "x": [Rater("a", description="Drawn.", how="expert"), Rater("truth", "truth")],
        "y": [Rater("t", "tool")],
    }
    assert describe_raters(raters).to_numpy().tolist() == [
        ["x", "a", "annotator, expert", "Drawn."],
        ["y", "t", "tool", ""],
    ]
    assert list(describe_raters({})) == ["cohort", "mask of", "kind", "how"]
