"""The conclusion has every page's answer, with links that work from the root."""

from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from conclusion import ANSWERS, answer_of, from_root, question_of, with_answers


def page(answer="Mostly. See [](02_other).", question="Does it\nhold?"):
    cells = [new_markdown_cell(f"# Title\n\n**{question}**")]
    if answer:
        box = new_output(
            "display_data",
            {"text/markdown": f"**In short.** {answer}", "text/plain": answer},
            metadata={"text/markdown": {"role": "answer"}},
        )
        cells.append(new_code_cell("answer(...)", outputs=[box]))
    return new_notebook(cells=cells)


def test_a_page_says_its_question_and_its_answer():
    assert question_of(page()) == "Does it hold?"
    assert answer_of(page()) == "Mostly. See [](02_other)."
    assert answer_of(page(answer="")) == ""


@pytest.mark.parametrize(
    ("link", "moved"),
    [
        ("[](02_other)", "[](chapters/study/02_other)"),
        ("[text](../beyond/01_x)", "[text](chapters/beyond/01_x)"),
        ("[](https://doi.org/10.1/x)", "[](https://doi.org/10.1/x)"),
        ("[](#below)", "[](#below)"),
    ],
)
def test_links_lead_to_the_same_page_from_the_root(link, moved):
    assert from_root(link, "chapters/study/01_page") == moved


def test_answers_stand_by_part_and_pages_without_one_are_left_out(tmp_path):
    names = ("study/01_page", "study/02_silent", "closing/01_lab")
    for name, notebook in zip(names, (page(), page(answer=""), page()), strict=True):
        path = tmp_path / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, path)
    project = SimpleNamespace(
        parts={"study": "The study", "closing": "What to do"},
        executed=lambda edition, name: tmp_path / f"{name}.ipynb",
    )
    plan = SimpleNamespace(edition="demo", pages=[SimpleNamespace(name=n) for n in names])
    text = with_answers(f"Before.\n\n{ANSWERS}\n", project, plan)
    assert text == (
        "Before.\n\n### The study\n\n**[Does it hold?](chapters/study/01_page)**\n\n"
        "Mostly. See [](chapters/study/02_other).\n"
    )
    assert with_answers("No place for them.", project, plan) == "No place for them."
