"""What cohorts cost before they are there, and what the book tells of it."""

import re
from pathlib import Path

import pytest

from imc_helpers.data.manifest import (
    cohort_record,
    expected_samples,
    load_edition,
    published_size,
)
from imc_helpers.data.paths import raw_dir
from imc_helpers.data.supply import Need, converted_size, drop_downloads, need, room
from imc_helpers.errors import DownloadError, InputError

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "how_to_run.md").read_text(encoding="utf-8")


def test_the_converted_size_counts_pixels_channels_and_masks():
    """Ten images of 1000 x 1000 px, 13 channels and four masks, 4 bytes each."""
    assert converted_size(cohort_record("schuiki25")) == 10 * 1000 * 1000 * (13 + 4) * 4
    assert converted_size(cohort_record("spleen_imc")) == 0


def test_the_table_of_how_to_run_is_true():
    rows = dict(re.findall(r"^\| (\w+) \| \d+ \| ([\d.]+) GB \|", TEXT, re.MULTILINE))
    sizes = {key: converted_size(cohort_record(key)) / 1e9 for key in load_edition("paper").cohorts}
    assert {key: float(size) for key, size in rows.items()} == pytest.approx(sizes, abs=0.05)
    (total,) = re.findall(r"^\| all \| \| ([\d.]+) GB", TEXT, re.MULTILINE)
    assert float(total) == pytest.approx(sum(sizes.values()), abs=0.05)


def test_the_study_says_how_many_images_there_are():
    assert expected_samples(cohort_record("jackson20")) == 746
    assert expected_samples(cohort_record("spleen_imc")) == 1
    fewer = cohort_record("jackson20").model_copy(update={"samples": 3})
    assert expected_samples(fewer) == 3, "the manifest's own word counts first"
    other = fewer.model_copy(update={"published_as": "Jackson21", "samples": None})
    with pytest.raises(InputError, match="'Jackson21' is not in the study's Table 1.*jackson20"):
        published_size(other)


def test_files_that_are_there_are_not_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    record = cohort_record("pancreas_imc")
    first, *others = record.files
    (raw_dir("pancreas_imc") / first.path).parent.mkdir(parents=True)
    (raw_dir("pancreas_imc") / first.path).write_bytes(b"")
    left = need("pancreas_imc")
    assert (left.files, left.download) == (len(others), sum(file.size for file in others))
    (raw_dir("pancreas_imc") / first.path).write_bytes(bytes(12))
    assert drop_downloads("pancreas_imc") == 12
    assert drop_downloads("pancreas_imc") == 0, "there is nothing left"


def test_what_is_said_of_the_disk():
    needs = [Need("a", 2, 3_000_000, 1, 50_000_000), Need("b", 0, 0, 0, 0)]
    assert [one.sentence() for one in needs] == [
        "a: 2 files to download, 3.0 MB and 1 of unknown size; converted at most 50.0 MB",
        "b: nothing to download",
    ]
    assert room(needs, 60_000_000) == (
        "in all: 3.0 MB to download and 1 file of unknown size, at most 50.0 MB converted; "
        "the disk has 60.0 MB free"
    )
    assert "too little" in room(needs, 52_000_000)
    with pytest.raises(DownloadError, match="Nothing was downloaded: make room"):
        room(needs, 2_000_000)
