"""The gate: one notebook that passes, and one for each thing that it refuses."""

import copy

import pytest
from nbformat import v4
from pydantic import ValidationError

import gate
from imc_helpers.data.manifest import token_variables

STAMP = gate.Stamp(
    made_from="m",
    edition="tiny",
    parameters={"edition": "tiny"},
    kernel="python3",
    python="3.11.7",
    device="cpu",
    seconds=1.0,
    peak_memory_mb=100.0,
    finished="2026-11-21T00:00:00+00:00",
)
FIGURE = {"alt": "A square", "caption": "A square.", "label": "fig-square"}


def figure(**changes):
    declared = {k: v for k, v in {**FIGURE, **changes}.items() if v is not None}
    return v4.new_output(
        "display_data", {"image/png": "aGVsbG8="}, metadata={"image/png": declared}
    )


def code(*outputs):
    return v4.new_code_cell("1", outputs=list(outputs))


def notebook(*cells):
    made = v4.new_notebook(cells=list(cells))
    made.metadata[gate.KEY] = STAMP.model_dump()
    return made


def problems(made, device="cpu", size=1000, page=True):
    return gate.problems(made, device=device, size=size, page=page)


GOOD = notebook(
    v4.new_markdown_cell("# Page\n\n![A map](map.png)"),
    code(v4.new_output("stream", name="stdout", text="12 of 24 cells (50%)\n")),
    code(figure()),
    code(v4.new_output("display_data", {"text/html": '<img src="a.png" alt="A map">'})),
)


def test_a_token_does_not_get_through(monkeypatch):
    variable = token_variables()[0]
    for cell in (
        code(v4.new_output("stream", text="key abc-123\n")),
        v4.new_markdown_cell("abc-123"),
    ):
        made = notebook(cell)
        monkeypatch.delenv(variable, raising=False)
        assert problems(made) == []
        monkeypatch.setenv(variable, "abc-123")
        (problem,) = problems(made)
        assert variable in problem
        assert "abc-123" not in problem


def test_a_good_notebook_passes_and_is_not_changed():
    before = copy.deepcopy(GOOD)
    assert problems(GOOD) == []
    assert before == GOOD


def test_a_papermill_exception_is_refused():
    made = notebook()
    made.metadata.papermill = {"exception": True}
    assert problems(made) == ["papermill met an exception and stopped"]


@pytest.mark.parametrize("note", [{"exception": True}, {"status": "pending"}])
def test_a_cell_that_papermill_did_not_complete_is_refused(note):
    cell = code()
    cell.metadata["papermill"] = note
    assert problems(notebook(cell)) == ["cell 1: papermill did not complete it"]


def test_an_error_output_is_refused():
    error = v4.new_output("error", ename="ValueError", evalue="no cells", traceback=[])
    assert problems(notebook(code(error))) == ["cell 1: ValueError: no cells"]


def test_a_notebook_without_stamp_is_refused():
    assert problems(v4.new_notebook()) == ["no stamp: the run did not come to its end"]


@pytest.mark.parametrize("change", [{"made_from": None}, {"colour": "red"}])
def test_a_stamp_of_another_schema_is_none(change):
    made = notebook()
    fields = {**made.metadata[gate.KEY], **change}
    made.metadata[gate.KEY] = {key: value for key, value in fields.items() if value is not None}
    with pytest.raises(ValidationError):
        gate.read_stamp(made)


def test_a_stamp_is_read_as_it_was_written():
    assert gate.read_stamp(notebook()) == STAMP


def test_a_notebook_that_ran_elsewhere_is_refused():
    assert problems(notebook(), device="cuda") == [
        "run on the device `cpu`, the chapter asks for `cuda`"
    ]
    assert problems(notebook(), device="") == [], "either will do"


@pytest.mark.parametrize("field", ["alt", "caption", "label"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_figure_must_declare_itself(field, value):
    found = problems(notebook(code(figure(**{field: value}))))
    assert f"cell 1: a figure without {field}: show it with its alt, caption and label" in found


def test_a_plain_image_is_refused():
    found = problems(notebook(code(v4.new_output("display_data", {"image/svg+xml": "<svg/>"}))))
    assert [problem.split(":")[1] for problem in found] == [
        " a figure without alt",
        " a figure without caption",
        " a figure without label",
    ]


def test_two_figures_of_one_cell_are_refused():
    (found,) = problems(notebook(code(figure(), figure(label="fig-other"))))
    assert found.startswith("cell 1: 2 figures")


def test_a_figure_and_another_output_of_one_cell_are_refused():
    text = v4.new_output("display_data", {"text/markdown": "More."})
    (found,) = problems(notebook(code(figure(), text)))
    assert found.startswith("cell 1: a figure and something else")


def test_a_label_used_twice_is_refused():
    found = problems(notebook(code(figure()), code(figure())))
    assert found == ["label `fig-square` is used 2 times"]


def test_a_label_of_another_kind_is_refused():
    (found,) = problems(notebook(code(figure(label="square"))))
    assert "does not start with `fig-`" in found


@pytest.mark.parametrize("tag", ['<img src="a.png">', '<IMG alt="" src="a.png">', "<img alt=' '>"])
def test_html_images_need_alt_text(tag):
    output = v4.new_output("display_data", {"text/html": f"<p>{tag}</p>"})
    assert problems(notebook(code(output))) == ["cell 1: an <img> without alt text"]
    assert problems(notebook(v4.new_markdown_cell(tag))) == ["cell 1: an <img> without alt text"]


def test_markdown_images_need_alt_text():
    found = problems(notebook(v4.new_markdown_cell("![ ](map.png)")))
    assert found == ["cell 1: an image without alt text"]


def test_a_widget_is_refused():
    output = v4.new_output("display_data", {gate.WIDGET: {"model_id": "1"}})
    (found,) = problems(notebook(code(output)))
    assert found.startswith("cell 1: a widget")


def test_widget_state_is_refused():
    made = notebook()
    made.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    (found,) = problems(made)
    assert found.startswith("widget state")


@pytest.mark.parametrize(
    "text",
    [
        "\r 50%|█████     | 5/10 [00:01<00:01,  4.2it/s]",
        " 50%|█████     | 5/10 [00:01<00:01]",
        "120it [00:02, 55it/s]",
        "reading 1\rreading 2",
    ],
)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_progress_bar_is_refused(text, stream):
    found = problems(notebook(code(v4.new_output("stream", name=stream, text=text))))
    assert found == ["cell 1: a progress bar was left in the page"]


def test_a_warning_is_refused():
    output = v4.new_output("stream", name="stderr", text="UserWarning: low contrast image\n")
    (found,) = problems(notebook(code(output)))
    assert found.endswith("UserWarning: low contrast image")


def test_a_large_page_is_refused():
    assert problems(GOOD, size=gate.MAX_BYTES) == []
    (found,) = problems(GOOD, size=gate.MAX_BYTES + 1)
    assert found.startswith("the page has 5.0 MB")


@pytest.mark.parametrize(
    "caption",
    [
        "Cells of {key}.",
        "Mean {table['ap50'].mean():.2f}.",
        "In {len(cohorts)} cohorts {cohort}",
    ],
)
def test_a_caption_that_prints_a_name_is_refused(caption):
    (problem,) = problems(notebook(code(figure(caption=caption))))
    assert "an f missing before the string" in problem


@pytest.mark.parametrize(
    "caption",
    [
        "See {numref}`tab-a` and {cite:t}`b`.",
        r"$\mathrm{IoU} = \frac{a}{b}$, $x_{i}$, $\{a, b\}$, the set {1, 2}.",
    ],
)
def test_roles_and_formulas_in_a_caption_pass(caption):
    assert problems(notebook(code(figure(caption=caption)))) == []


def test_a_directive_in_a_table_passes_and_a_left_name_in_it_does_not():
    def table(caption):
        text = f":::{{table}} {caption}\n:name: tab-a\n\n| a |\n|---|\n| 1 |\n:::\n"
        return notebook(code(v4.new_output("display_data", {"text/markdown": text})))

    assert problems(table("Cells.")) == []
    assert "{data}" in problems(table("Cells. {data}"))[0]


def test_stderr_is_allowed_where_no_page_comes_of_it():
    made = notebook(code(v4.new_output("stream", name="stderr", text="a library says hello")))
    assert problems(made)
    assert problems(made, page=False) == []
