"""The plan of an edition: what it holds, what it refuses, and what makes which job stale."""

import shutil

import pytest
import yaml
from conftest import COHORT, forget

import plan as plans
from imc_helpers.errors import InputError
from project import Project

DATA, SCORES = f"data/{COHORT}", f"scores/tiny/{COHORT}"
ONE, TWO, BOOK = "pages/tiny/part/one", "pages/tiny/part/two", "book/tiny"
EDITION = {"title": "Tiny edition.", "description": "Two squares.", "cohorts": [COHORT]}


def write_edition(planner, **changed):
    path = planner.book.root / "editions/tiny.yml"
    path.write_text(yaml.safe_dump({**EDITION, **changed}))


def add_header(planner, name, text):
    source = planner.book.source(name)
    source.write_text(f"# ---\n# jupyter:\n#   {text}\n# ---\n\n{source.read_text()}")


def test_the_plan_of_the_tiny_book(planner):
    plan = planner()
    assert [page.name for page in plan.pages] == ["part/one", "part/two"]
    assert plan.page("part/one").parameters == {"edition": "tiny"}
    assert plan.page("part/one").imports == tuple(
        f"imc_helpers{name}" for name in ("", ".figures", ".figures.one")
    )
    assert [task.cohort for task in plan.data] == [COHORT]
    assert [(task.cohort, task.chunks, task.models) for task in plan.scorings] == [(COHORT, 1, ())]
    assert plan.left_out == {}
    digests = [path for task in (*plan.data, *plan.scorings, *plan.pages) for path in task.digest]
    assert digests == [f".digests/{name}" for name in (DATA, SCORES, ONE, TWO)]
    assert all((planner.book.root / path).is_file() for path in [*digests, plan.book_digest])


def test_a_plan_is_handed_on_as_it_is(planner):
    plan, project = planner(), Project(planner.book.root)
    plans.write(project, plan)
    assert plans.read(project, "tiny") == plan


def test_a_chapter_can_ask_for_a_kernel_and_a_device(planner):
    source = planner.book.source("one")
    source.write_text(
        "# ---\n# jupyter:\n#   imc_book:\n#     device: cuda\n#   kernelspec:\n"
        "#     display_name: Segmenter\n#     language: python\n#     name: segmenter\n# ---\n\n"
        + source.read_text()
    )
    plan = planner()
    found = {page.name: (page.kernel, page.device) for page in plan.pages}
    assert found == {"part/one": ("segmenter", "cuda"), "part/two": ("python3", "cpu")}


def test_an_edition_gives_values_to_one_chapter(planner):
    write_edition(planner, parameters={"part/one": {"size": 7}})
    assert planner.changed() == {ONE}
    plan = planner()
    assert plan.page("part/one").parameters == {"edition": "tiny", "size": 7}
    assert plan.page("part/two").parameters == {"edition": "tiny"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"parameters": {"part/won": {"size": 7}}}, "`parameters` names part/won, and the book"),
        ({"parameters": {"part/one": {"edition": "open"}}}, "`part/one` must not set `edition`"),
        (
            {"parameters": {"part/one": {"sise": 7}}},
            "chapters/part/one.py: unknown parameter `sise`; the chapter has edition, size",
        ),
        ({"parameters": {"part/one": {"size": "7"}}}, "parameter `size`: expected int, found '7'"),
        ({"parts": ["port"]}, r"editions/tiny.yml: `parts` names port, and the book has part"),
        ({"pages": ["one"]}, "`pages` names one, and the book has part/one, part/two"),
        ({"cohorts": ["none"]}, "cohort 'none'"),
        ({"models": ["none"]}, "model 'none'"),
        ({"sweeps": ["none"]}, "no file sweeps/none.yml"),
        ({"sweeps": ["two words"]}, "its name may hold letters"),
    ],
)
def test_what_is_not_there_is_refused_by_name(planner, changed, message):
    write_edition(planner, **changed)
    with pytest.raises(InputError, match=message):
        planner()


def test_an_unknown_edition_is_named_with_those_that_are_there(planner):
    with pytest.raises(InputError, match="edition 'huge': .*there are tiny"):
        planner("huge")


def test_a_chapter_that_reads_what_nobody_makes_is_refused(planner):
    add_header(planner, "one", "imc_book: {reads: [predictoins]}")
    with pytest.raises(InputError, match="chapters/part/one.py: it reads 'predictoins'"):
        planner()


def test_a_page_waits_for_another_whose_tables_it_reads(planner):
    add_header(planner, "one", "imc_book: {reads: [pages/part/two]}")
    one, _ = planner().pages
    assert one.inputs == ("executed/tiny/part/two.ipynb",)
    write_edition(planner, pages=["part/one"], because="It is late.")
    (one,) = planner().pages
    assert one.inputs == (), "the edition lacks the other page"
    add_header(planner, "one", "imc_book: {reads: [pages/part/three]}")
    with pytest.raises(InputError, match="it reads 'pages/part/three'"):
        planner()


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, ["part/one", "part/two", "second/three"]),
        ({"parts": ["second"]}, ["second/three"]),
        ({"parts": ["second", "part"]}, ["part/one", "part/two", "second/three"]),
        ({"pages": ["part/two"]}, ["part/two"]),
        ({"parts": ["second"], "pages": ["part/two"]}, ["part/two", "second/three"]),
    ],
)
def test_an_edition_chooses_its_pages_in_the_order_of_the_book(planner, changed, shown):
    root = planner.book.root
    (root / "chapters/second").mkdir()
    shutil.copyfile(planner.book.source("one"), root / "chapters/second/three.py")
    (root / "chapters/parts.yml").write_text("part: First\nsecond: Second\n")
    write_edition(planner, because="It is late.", **changed)
    plan = planner()
    assert [page.name for page in plan.pages] == shown
    others = [name for name in ("part/one", "part/two", "second/three") if name not in shown]
    assert plan.left_out == dict.fromkeys(others, "It is late.")


def test_without_a_reason_the_index_says_that_the_edition_chose(planner):
    write_edition(planner, pages=["part/one"])
    (why,) = planner().left_out.values()
    assert why == "`editions/tiny.yml` names the parts and pages that it shows"


def test_nothing_changed_rewrites_nothing(planner):
    assert planner.changed() == set()


CODE = "\nx = 1\n"
NOTE = "\n# a comment\n"


@pytest.mark.parametrize(
    ("path", "added", "stale"),
    [
        ("src/imc_helpers/figures/one.py", CODE, {ONE}),
        ("src/imc_helpers/figures/one.py", NOTE, set()),
        ("src/imc_helpers/figures/one.py", '\n"""A docstring."""\n', set()),
        ("src/imc_helpers/figures/__init__.py", CODE, {ONE, TWO}),
        ("src/imc_helpers/figures/new.py", CODE, set()),
        ("src/imc_helpers/data/readers/published.py", CODE, {DATA}),
        ("src/imc_helpers/data/readers/published.py", NOTE, set()),
        ("src/imc_helpers/data/download.py", CODE, set()),
        ("src/imc_helpers/agreement/score_table.py", CODE, {SCORES}),
        ("src/imc_helpers/metrics/__pycache__/many.pyc", "x", set()),
        ("chapters/part/one.py", "\n# %%\n1\n", {ONE}),
        ("chapters/part/parts.yml", "x", set()),
        ("envs/constraints.txt", "pandas==2\n", {ONE, TWO}),
        ("envs/constraints.txt", NOTE, set()),
        ("envs/other.yml", "x", set()),
        ("data_manifest/cohorts.yml", NOTE, set()),
        ("workflow/scripts/execute.py", CODE, {ONE, TWO}),
        ("workflow/scripts/gate.py", CODE, {ONE, TWO, BOOK}),
        ("workflow/scripts/kernels.py", CODE, {ONE, TWO}),
        ("workflow/scripts/parameters.py", CODE, {ONE, TWO, BOOK}),
        ("workflow/scripts/warm.py", CODE, {ONE, TWO}),
        ("workflow/scripts/warm.py", NOTE, set()),
        ("workflow/scripts/book.py", CODE, {BOOK}),
        ("benchmarks/results/metrics.csv", "x", set()),
        ("_static/new.css", "x", {BOOK}),
        ("index.md", "x", set()),  # itself among the inputs of the book
    ],
)
def test_what_a_change_makes_stale(planner, path, added, stale):
    file = planner.book.root / path
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as text:
        text.write(added)
    assert planner.changed() == stale


def test_the_texts_around_the_pages_are_inputs_of_the_book(planner):
    plan = planner()
    assert {"index.md", "_config.yml", "references.bib", "_static/book.css"} <= set(plan.front)


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        ({"title": "Another"}, {BOOK}),
        ({"description": "Another"}, {BOOK}),
        ({"pages": ["part/one"]}, {BOOK}),
        (
            {"cohorts": [COHORT, "pancreas_imc"]},
            {ONE, TWO, "data/pancreas_imc", "scores/tiny/pancreas_imc"},
        ),
    ],
)
def test_what_a_change_of_the_edition_makes_stale(planner, changed, stale):
    write_edition(planner, **changed)
    assert planner.changed() == stale


def test_a_page_depends_on_the_tables_that_it_names(planner):
    planner.book.edit("chapters/part/one.py", "# %%\nimport", '# %%\n"benchmarks/results"\nimport')
    assert planner.changed() == {ONE}
    (planner.book.root / "benchmarks/results/metrics.csv").write_text("another\n")
    assert planner.changed() == {ONE}


def test_a_cohort_depends_on_its_own_record(planner):
    manifest = planner.book.root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    manifest.write_text(yaml.safe_dump({**records, "another": records[COHORT]}))
    assert planner.changed() == set()
    records[COHORT]["license"] = "Another licence"
    manifest.write_text(yaml.safe_dump(records))
    assert planner.changed() == {ONE, TWO}
    records[COHORT]["um_per_px"] = 0.5
    manifest.write_text(yaml.safe_dump(records))
    assert planner.changed() == {DATA, SCORES, ONE, TWO}


def test_the_data_of_an_edition_can_be_planned_alone(planner):
    """Digests of other things stay as they were: `make data` must not make a page stale."""
    planner()
    planner.book.edit("chapters/part/one.py", "# %%\nimport", "# %%\nx = 1\nimport")
    manifest = planner.book.root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    records[COHORT]["um_per_px"] = 0.5
    manifest.write_text(yaml.safe_dump(records))
    before = planner._times()
    forget()
    (data,) = plans.resolve_data(Project(planner.book.root), "tiny")
    assert data.cohort == COHORT
    after = planner._times()
    assert {name for name in after if after[name] != before[name]} == {DATA}
    assert planner.changed() == {SCORES, ONE, TWO}


def test_a_cohort_depends_on_its_panel(planner):
    record = yaml.safe_load((planner.book.root / "data_manifest/cohorts.yml").read_text())[COHORT]
    panel = planner.book.root / "data_manifest" / record["panel"]
    panel.write_text(f"{panel.read_text()}\n")
    assert planner.changed() == {DATA}


@pytest.mark.parametrize(
    ("path", "stale"),
    [
        ("data/readers/published.py", {COHORT, "phantom_lymphoid"}),
        ("phantom/recipes.py", {"phantom_lymphoid"}),
        ("phantom/experts.py", {"phantom_lymphoid"}),
        ("data/conversion.py", {"ali20"}),
        ("figures/tissue_images.py", set()),
        ("data/manifest.py", set()),
    ],
)
def test_a_cohort_depends_on_the_code_that_makes_it(planner, path, stale):
    write_edition(planner, cohorts=[COHORT, "phantom_lymphoid", "ali20"])
    planner()
    with (planner.book.root / "src/imc_helpers" / path).open("a") as file:
        file.write(CODE)
    found = {name for name in planner.changed() if name.startswith("data/")}
    assert found == {f"data/{cohort}" for cohort in stale}


@pytest.mark.parametrize(("samples", "chunks"), [(None, 1), (1, 1), (50, 1), (51, 2), (250, 5)])
def test_a_large_cohort_is_scored_by_several_jobs(planner, samples, chunks):
    manifest = planner.book.root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    records[COHORT]["samples"] = samples
    manifest.write_text(yaml.safe_dump(records))
    (scoring,) = planner().scorings
    assert scoring.chunks == chunks


def test_the_viewer_is_made_where_a_page_shows_it(planner):
    assert planner().viewings == ()
    add_header(planner, "one", "imc_book: {reads: [viewer]}")
    plan = planner()
    assert [(one.cohort, one.chunks) for one in plan.viewings] == [(COHORT, 1)]
    assert plan.page("part/one").inputs == (f"results/tiny/viewer/{COHORT}.csv",)
    assert plan.page("part/two").inputs == ()


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("site/page.html", {f"viewer/tiny/{COHORT}"}),
        ("packing.py", {f"viewer/tiny/{COHORT}"}),
        ("site/viewer.js", {BOOK}),
        ("site/viewer.css", {BOOK}),
        ("library.py", {BOOK, f"viewer/tiny/{COHORT}"}),
        ("links.py", {BOOK, f"viewer/tiny/{COHORT}"}),
        ("gallery.py", set()),
    ],
)
def test_what_a_change_of_the_viewer_makes_stale(planner, file, stale):
    add_header(planner, "one", "imc_book: {reads: [viewer]}")
    planner()
    with (planner.book.root / "src/imc_helpers/figures/viewer" / file).open("a") as text:
        text.write(CODE)
    assert planner.changed() == stale


MODEL = {
    "title": "A model",
    "source": "classical",
    "version": "1",
    "citation": "schuiki2025",
    "license": "MIT",
    "adapter": "toy",
    "inputs": ["nucleus"],
}
MODELS = {
    "toy": MODEL,
    "steady": MODEL | {"adapter": "steady"},
    "trained": MODEL
    | {
        "source": "trained",
        "training": {
            "recipe": "phantom_lymphoid",
            "images": 1,
            "side_px": 32,
            "seed": 9,
            "epochs": 1,
        },
    },
    "net": MODEL
    | {
        "source": "library",
        "adapter": "steady",
        "kernel": "other",
        "weights": [{"url": "https://x.org/w", "name": "w"}],
    },
    "mine": MODEL | {"source": "files", "adapter": "files", "inputs": [], "folder": "masks"},
    "absent": MODEL | {"packages": ["no_such_library"]},
}


@pytest.fixture
def models(planner, monkeypatch):
    """The tiny book with a model of every kind; `one` reads their masks."""
    root = planner.book.root
    files = {
        "data_manifest/models.yml": yaml.safe_dump(MODELS),
        "src/imc_helpers/models/adapters/toy.py": "",
        "src/imc_helpers/models/adapters/steady.py": "",
        "chapters/study/06_segment.py": '# %% tags=["parameters"]\nmodel: str = ""  # key\n',
        "envs/other.yml": "name: other\ndependencies:\n  - python=3.11\n  # why\n",
        "weights/net/w": "weights",
        f"masks/{COHORT}/1.tiff": "cells",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr("imc_helpers.models.availability._kernel_installed", lambda _: True)
    add_header(planner, "one", "imc_book: {reads: [predictions]}")
    write_edition(planner, models=list(MODELS))
    planner()
    return planner


RUNS = {name: f"runs/{name}" for name in MODELS}


def test_models_that_can_run_are_planned(models):
    plan = models()
    able = ["toy", "steady", "trained", "net", "mine"]
    assert [task.model for task in plan.segmentations] == able
    assert [task.model for task in plan.trainings] == ["trained"]
    assert plan.scorings[0].models == tuple(able)
    records = [
        f"predictions/{COHORT}/{m}/{mode}/run.json" for m in able for mode in ("whole", "patch")
    ]
    assert plan.page("part/one").inputs == tuple(records)
    assert plan.page("part/two").inputs == ()


def test_a_planted_cohort_is_made_and_scored_and_shown_where_a_page_asks_for_it(models):
    manifest = models.book.root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    manifest.write_text(yaml.safe_dump({**records, "sown": records[COHORT]}))
    before = models()
    write_edition(models, models=list(MODELS), planted={"sown": ["toy"]})
    assert models.changed() == {"data/sown", "scores/tiny/sown"}, "no page reads it yet"
    add_header(models, "two", "imc_book: {reads: [planted]}")
    plan = models()
    assert plan.cohorts == (COHORT,)
    assert [task.cohort for task in plan.data] == [COHORT, "sown"]
    able = before.scorings[0].models
    assert {task.cohort: task.models for task in plan.scorings} == {COHORT: able, "sown": ("toy",)}
    assert {task.model for task in plan.segmentations if "sown" in task.made_from} == {"toy"}
    masks = [f"predictions/sown/toy/{mode}/run.json" for mode in ("whole", "patch")]
    assert plan.page("part/two").inputs == (
        "data/sown/images.csv", *masks, "results/tiny/scores/sown.parquet"
    )  # fmt: skip
    assert plan.page("part/one") == before.page("part/one")
    write_edition(models, models=list(MODELS), planted={"sown": ["toy", "steady"]})
    assert models.changed() == {"scores/tiny/sown", TWO}
    records["sown"] = records[COHORT] | {"title": "Another title"}
    manifest.write_text(yaml.safe_dump(records))
    assert models.changed() == {TWO}


def test_a_planted_cohort_has_no_viewer(planner):
    manifest = planner.book.root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    manifest.write_text(yaml.safe_dump({**records, "sown": records[COHORT]}))
    add_header(planner, "one", "imc_book: {reads: [viewer]}")
    write_edition(planner, planted={"sown": []})
    assert [one.cohort for one in planner().viewings] == [COHORT]


def test_a_device_goes_to_the_models_that_know_it(models):
    manifest = models.book.root / "data_manifest/models.yml"
    manifest.write_text(yaml.safe_dump(MODELS | {"toy": MODEL | {"gpu": True}}))
    found = {task.model: task.device for task in models(device="cuda").segmentations}
    assert found == {"toy": "cuda", **dict.fromkeys(("steady", "trained", "net", "mine"), "cpu")}


def test_a_model_that_becomes_available_is_run_and_told(models):
    models.book.edit("data_manifest/models.yml", "no_such_library", "yaml")
    assert models.changed() == {RUNS["absent"], SCORES, ONE, TWO}
    assert "absent" in [task.model for task in models().segmentations]


@pytest.mark.parametrize(
    ("path", "added", "stale"),
    [
        ("src/imc_helpers/models/adapters/toy.py", CODE, {"toy", "trained", "weights", "absent"}),
        ("src/imc_helpers/models/adapters/toy.py", NOTE, set()),
        ("src/imc_helpers/models/adapters/steady.py", CODE, {"steady", "net"}),
        ("src/imc_helpers/models/run.py", CODE, {"toy", "steady", "trained", "net", "mine"}),
        ("src/imc_helpers/models/training/fit.py", CODE, {"trained", "weights"}),
        ("src/imc_helpers/phantom/experts.py", CODE, {"trained", "weights"}),
        (
            "chapters/study/06_segment.py",
            "\n# %%\n1\n",
            {"toy", "steady", "trained", "net", "mine"},
        ),
        ("chapters/study/06_segment.py", "\n# %% [markdown]\n# Words.\n", set()),
        ("envs/other.yml", "  - numpy=2\n", {"net"}),
        ("envs/other.yml", "  # and why\n", set()),
        ("envs/constraints.txt", "torch==2\n", {"toy", "steady", "trained", "mine", "weights"}),
        ("weights/net/w", "!", {"net"}),
        ("weights/trained/w", "!", set()),  # what the build makes is known by what it is made from
        (f"masks/{COHORT}/1.tiff", "!", {"masks"}),
        (f"masks/{COHORT}/2.tiff", "!", {"masks"}),
        ("masks/another/1.tiff", "!", set()),
    ],
)
def test_what_a_change_makes_stale_of_models(models, path, added, stale):
    file = models.book.root / path
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as text:
        text.write(added)
    names = {**RUNS, "weights": "weights/trained", "masks": f"masks/mine/{COHORT}"}
    found = {name for name in models.changed() if name.startswith(("runs", "weights", "masks"))}
    assert found == {names[name] for name in stale if name != "absent"}


def test_a_models_record_is_its_own(models):
    manifest = models.book.root / "data_manifest/models.yml"
    manifest.write_text(yaml.safe_dump(MODELS | {"steady": MODELS["steady"] | {"version": "2"}}))
    assert models.changed() == {RUNS["steady"], ONE, TWO}


def test_masks_of_another_cohort_stay_as_they_are(models):
    """Only the cohort whose data or masks changed is to be segmented again."""
    write_edition(models, models=["toy", "mine"], cohorts=[COHORT, "pancreas_imc"])
    before = {task.model: task.made_from for task in models().segmentations}
    manifest = models.book.root / "data_manifest/cohorts.yml"
    records = yaml.safe_load(manifest.read_text())
    records["pancreas_imc"]["um_per_px"] = 0.5
    manifest.write_text(yaml.safe_dump(records))
    (models.book.root / f"masks/{COHORT}/1.tiff").write_text("other")
    after = {task.model: task.made_from for task in models().segmentations}
    changed = {(m, c) for m in after for c in after[m] if after[m][c] != before[m][c]}
    assert changed == {("toy", "pancreas_imc"), ("mine", "pancreas_imc"), ("mine", COHORT)}


@pytest.mark.parametrize("how", ["touched", "copied"])
def test_large_files_count_by_content(models, how):
    root = models.book.root
    for name in ("weights/net/w", f"masks/{COHORT}/1.tiff"):
        if how == "touched":
            (root / name).touch()
        else:
            shutil.copyfile(root / name, root / "copy")
            (root / "copy").replace(root / name)
    assert models.changed() == set()


def test_a_page_that_reads_no_masks_does_not_care_which_models_can_run(models, monkeypatch):
    monkeypatch.setattr("imc_helpers.models.availability._kernel_installed", lambda _: False)
    assert models.changed() == {ONE, SCORES}
    assert "net" not in [task.model for task in models().segmentations]
