"""Where things are, and what counts as a change."""

import pytest
import yaml
from conftest import COHORT, TinyBook, write_tiny_book

from imc_helpers.errors import InputError
from project import Project, digest, expected, read_chapter


@pytest.fixture
def book(tmp_path) -> TinyBook:
    return write_tiny_book(tmp_path / "tiny book")


def test_the_pages_stand_in_the_order_of_the_contents(book):
    project = Project(book.root)
    assert project.chapters() == ("one", "two")
    names = {path.relative_to(book.root).as_posix() for path in project.front_matter()}
    static = {path.relative_to(book.root).as_posix() for path in book.root.glob("_static/*")}
    assert "_static/book.css" in static
    assert names == {"_config.yml", "_toc.yml", "references.bib", "index.md"} | static


def test_the_same_text_gives_the_same_notebook(book):
    source = book.source("one")
    assert read_chapter(source) == read_chapter(source)
    assert read_chapter(source).metadata.kernelspec.name == "python3"


def test_a_chapter_can_ask_for_a_kernel_and_a_device(book, monkeypatch):
    header = (
        "# ---\n# jupyter:\n#   imc_book:\n#     device: cuda\n#   kernelspec:\n"
        "#     display_name: Segmenter\n#     language: python\n#     name: segmenter\n# ---\n\n"
    )
    source = book.source("one")
    source.write_text(header + source.read_text())
    monkeypatch.setattr("project.load_edition", lambda name: _edition())
    asked = expected(Project(book.root), "tiny", "one")
    assert (asked.kernel, asked.device) == ("segmenter", "cuda")
    other = expected(Project(book.root), "tiny", "two")
    assert (other.kernel, other.device) == ("python3", "cpu")


def test_an_edition_gives_values_to_one_chapter(book, monkeypatch):
    monkeypatch.setattr("project.load_edition", lambda name: _edition(one={"size": 7}))
    project = Project(book.root)
    assert expected(project, "tiny", "one").parameters == {"edition": "tiny", "size": 7}
    assert expected(project, "tiny", "two").parameters == {"edition": "tiny"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"won": {"size": 7}}, r"tiny.yml: parameters for `won`, .* it has one, two"),
        ({"one": {"edition": "open"}}, r"tiny.yml: `one` must not set `edition`"),
    ],
)
def test_parameters_that_would_be_lost_are_refused(book, monkeypatch, parameters, message):
    monkeypatch.setattr("project.load_edition", lambda name: _edition(**parameters))
    with pytest.raises(InputError, match=message):
        Project(book.root).edition("tiny")


def _edition(**parameters):
    from imc_helpers.data.manifest import Edition

    return Edition(title="Tiny", description="", cohorts=(COHORT,), parameters=parameters)


@pytest.mark.parametrize(
    "path",
    [
        "src/imc_helpers/errors.py",
        "data_manifest/cohorts.yml",
        "envs/constraints.txt",
        "benchmarks/results/metrics.csv",
        "workflow/scripts/execute.py",
        "workflow/scripts/kernels.py",
        "workflow/scripts/parameters.py",
        "workflow/scripts/stamp.py",
        "workflow/scripts/warm.py",
    ],
)
def test_what_notebooks_depend_on(book, path):
    project = Project(book.root)
    before = project.package_digest()
    with (book.root / path).open("a") as file:
        file.write("\n# a change\n")
    assert project.package_digest() != before


def test_what_notebooks_do_not_depend_on(book):
    project = Project(book.root)
    before = project.package_digest()
    cache = book.root / "src" / "imc_helpers" / "__pycache__"
    cache.mkdir()
    (cache / "errors.pyc").write_bytes(b"x")
    (book.root / "index.md").write_text("# Another title\n")
    assert project.package_digest() == before


def test_a_cohort_depends_on_its_own_record(book):
    project = Project(book.root)
    before = project.cohort_digest(COHORT)
    manifest = book.root / "data_manifest" / "cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    manifest.write_text(yaml.safe_dump({**records, "another": {"title": "Another"}}))
    assert project.cohort_digest(COHORT) == before
    records[COHORT]["title"] = "Another title"
    manifest.write_text(yaml.safe_dump(records))
    assert project.cohort_digest(COHORT) != before


@pytest.mark.parametrize(
    ("path", "real", "synthetic"),
    [
        ("src/imc_helpers/samples.py", True, True),
        ("src/imc_helpers/readers/cohorts.py", True, True),
        ("src/imc_helpers/phantom/cohorts.py", False, True),
        ("src/imc_helpers/phantom/annotators.py", False, True),
        ("src/imc_helpers/figures/tissue.py", False, False),
    ],
)
def test_a_cohort_depends_on_the_code_that_makes_it(book, path, real, synthetic):
    project = Project(book.root)
    cohorts = (COHORT, "phantom_lymphoid")
    before = [project.cohort_digest(cohort) for cohort in cohorts]
    with (book.root / path).open("a") as file:
        file.write("\n# a change\n")
    after = [project.cohort_digest(cohort) for cohort in cohorts]
    assert [a != b for a, b in zip(after, before, strict=True)] == [real, synthetic]


def test_a_digest_is_of_names_and_contents(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("same")
    two.write_text("same")
    assert digest(one) != digest(two)
    assert digest(one) == digest(one)
    assert digest(one, two) != digest(two, one)
