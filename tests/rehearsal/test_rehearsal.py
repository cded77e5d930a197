"""The paper edition from an imitation of its records: from an empty folder to the rendered book."""

import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import rehearse
from archive_server import ArchiveServer
from imitation import WEIGHTS

from imc_helpers.data.manifest import load_edition
from imc_helpers.data.samples import Cohort
from imc_helpers.metrics import evaluate
from imc_helpers.models.availability import why_not
from imc_helpers.patching import MODES

PAGES = (
    "study/01_datasets",
    "study/05_annotators",
    "study/06_models",
    "study/08_public_cohorts",
)
PAPER = load_edition("paper")
IMAGES = {"schuiki25": 2, "ali20": 3, "rendeiro21": 3, "jackson20": 3, "hoch22": 2}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A copy of the book with its smallest rehearsal made."""
    root = tmp_path_factory.mktemp("rehearsal") / "book"
    rehearse.prepare(root, pages=PAGES, models=["distance"])
    with ArchiveServer() as server:
        rehearse.publish(server)
        made = rehearse.make(
            root, server.url, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900
        )
    assert made.returncode == 0, made.stdout
    return root


def text(book, page):
    """Return what a page says, without its markup."""
    path = book / "_build/rehearsal/html/chapters" / f"{page}.html"
    return " ".join(re.sub(r"<[^>]+>", " ", path.read_text(encoding="utf-8")).split())


def test_rehearsal_every_cohort_is_downloaded_and_converted(book):
    for cohort in PAPER.cohorts:
        found = Cohort(book / "data" / cohort)
        assert len(found) == IMAGES[cohort], cohort
        assert list((book / "data" / ".downloads" / cohort).rglob("*.*")), "downloads are kept"
    assert not any((book / "data" / ".converting").glob("[!.]*"))


def test_rehearsal_what_could_not_be_matched_is_listed_and_counted(book):
    listed = pd.read_csv(book / "results/rehearsal/unmatched.csv", keep_default_na=False)
    counts = listed.groupby(["cohort", "what"]).size().to_dict()
    assert counts == {
        ("jackson20", "image without mask"): 1,
        ("rendeiro21", "image without mask"): 1,
        ("rendeiro21", "mask without image"): 1,
        ("rendeiro21", "left out by its authors"): 1,
        ("rendeiro21", "other shape"): 1,
        ("rendeiro21", "cannot be read"): 1,
    }
    page = text(book, "study/01_datasets")
    assert all(what in page for _, what in counts)


def test_rehearsal_scores_are_those_of_the_masks_that_were_published(book):
    scores = pd.read_parquet(book / "results/rehearsal/scores/schuiki25.parquet")
    cohort = Cohort(book / "data" / "schuiki25")
    first, second = (cohort.read_mask("lymph_01", f"annotator{k}") for k in (1, 2))
    columns = ["sample", "mode", "rater_true", "rater_pred"]
    pair = scores.set_index(columns).loc[[("lymph_01", "whole", "annotator1", "annotator2")]]
    np.testing.assert_allclose(pair["ap50"], evaluate(first, second).ap50)


def test_rehearsal_the_studys_models_are_listed_with_what_they_lack(book):
    page = text(book, "study/06_models")
    assert "make weights-cyto3" in page
    assert "make kernel-deepcell" in page or "make weights-mesmer" in page


def test_rehearsal_reproduces_nothing_because_its_data_are_none_of_the_studys(book):
    table = next((book / "_build/rehearsal/html").rglob("published_numbers.csv"))
    verdicts = pd.read_csv(table)["verdict"]
    assert set(verdicts) == {"other data", "not run"}
    page = text(book, "study/01_datasets")
    assert "Imitation of Ali20" in page
    assert "real: " not in page


@pytest.fixture(scope="module")
def book_with_weights(tmp_path_factory):
    """Another copy, whose models have weights of the right shape; they are random."""
    root = tmp_path_factory.mktemp("rehearsal") / "book"
    rehearse.prepare(root, pages=["study/06_models"], models=[])
    with ArchiveServer() as server:
        rehearse.publish(server)
        rehearse.fetch_weights(root, server)
        made = rehearse.make(
            root, server.url, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3000
        )
    assert made.returncode == 0, made.stdout
    return root


@pytest.mark.full
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("model", PAPER.models)
def test_rehearsal_the_studys_models_run_on_every_cohort(model, request):
    if model not in WEIGHTS:
        pytest.skip(f"{model}: its library is not in the book's environment; {why_not(model)}")
    root = request.getfixturevalue("book_with_weights")
    for cohort in PAPER.cohorts:
        for mode in MODES:
            run = root / "predictions" / cohort / model / mode / "run.json"
            samples = json.loads(run.read_text(encoding="utf-8"))["samples"]
            assert len(samples) == IMAGES[cohort]
