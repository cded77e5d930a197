"""The manifest's models as a whole: what each names is there, and why one cannot run is said."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from pybtex.database import parse_file

from imc_helpers.data.manifest import cohort_record, load_edition, model_record
from imc_helpers.errors import InputError
from imc_helpers.models.availability import CORE_KERNEL
from imc_helpers.models.registry import adapter_module, load_segmenter, version_remark

ROOT = Path(__file__).resolve().parents[3]
KEYS = sorted(yaml.safe_load((ROOT / "data_manifest/models.yml").read_text(encoding="utf-8")))
CITATIONS = parse_file(str(ROOT / "references.bib")).entries


@pytest.fixture(params=KEYS)
def key(request):
    return request.param


def test_what_a_record_names_is_there(key):
    record = model_record(key)
    assert record.citation in CITATIONS
    assert find_spec(f"imc_helpers.models.adapters.{record.adapter}")
    if record.kernel != CORE_KERNEL:
        assert (ROOT / "envs" / f"{record.kernel}.yml").is_file()
    assert all(cohort_record(mask.cohort) for mask in record.masks)


def test_a_manifest_asks_for_a_version_of_what_its_adapter_runs(key):
    record = model_record(key)
    if record.source != "files":
        libraries = adapter_module(record).LIBRARIES
        assert libraries
        for name in libraries:
            assert version_remark(record.version, f"{name} 0"), f"{record.version} lacks {name}"


@pytest.mark.parametrize(
    ("asked", "found", "remark"),
    [
        ("cellpose 3.1.1.3", "cellpose 3.1.1.3", ""),
        ("scikit-image 0.26", "scikit-image 0.26.1", ""),
        ("scikit-image 0.2", "scikit-image 0.26", "scikit-image 0.2 was asked for, and 0.26 ran"),
        ("bundle 0.3.0, MONAI 1.6.1", "monai 1.6.1", ""),
        ("bundle 0.3.0", "monai 1.6.1", ""),
        ("a 1, b 2", "a 1, b unknown", "b 2 was asked for, and unknown ran"),
    ],
)
def test_a_version_other_than_the_manifests_is_said(asked, found, remark):
    assert version_remark(asked, found) == remark


def test_a_model_with_trained_numbers_says_whose_and_how_many(key):
    record = model_record(key)
    if record.weights:
        assert record.weights_license and record.trained_on and record.size and record.dtype


def test_training_tissue_is_no_cohorts_tissue(key):
    training = model_record(key).training
    if training is not None:
        cohorts = yaml.safe_load((ROOT / "data_manifest/cohorts.yml").read_text(encoding="utf-8"))
        seeds = [cohort["phantom"]["seed"] for cohort in cohorts.values() if "phantom" in cohort]
        used = range(training.seed, training.seed + training.images)
        assert not set(seeds) & set(used)
        assert min(used) > max(seeds) + 10_000, "a cohort counts its images up from its seed"


def test_each_edition_names_every_model_that_is_not_somebodys_files():
    runnable = {key for key in KEYS if model_record(key).source != "files"}
    assert runnable == set(load_edition("demo").models)


def test_masks_that_are_files_are_not_loaded():
    with pytest.raises(InputError, match="its masks are files"):
        load_segmenter("cse_voronoi")


def test_an_unknown_model_is_named_with_those_there_are():
    with pytest.raises(
        InputError, match=r"model 'cellpose9': not in the manifest; it has distance"
    ):
        model_record("cellpose9")
