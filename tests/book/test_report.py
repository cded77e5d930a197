"""The report to mail: Markdown as Typst, figures and tables in a PDF."""

import base64
import io

import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from PIL import Image

import report

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><circle r="4"/></svg>'
BODY = "| a | b |\n| :-- | --: |\n| x\\|y | 1 |"
TABLE = f":::{{table}} Of *all* images\n:name: tab-x\n:widths: auto\n\n{BODY}\n:::\n"


def test_markdown_becomes_typst():
    text = "## A *title*\n\nSome **bold** `code` at 5 $ and # 1\nover lines.\n\n- one\n- two\n"
    assert report.as_typst(text) == (
        "== A _title_\n\nSome *bold* `code` at 5 \\$ and \\# 1 over lines.\n\n- one\n\n- two\n\n"
    )


def test_roles_and_links_become_words():
    titles = {"viewer": "Look at every cell"}
    text = (
        "{term}`Welch <Welch's t-test>`, {cite:t}`a`: [](viewer), [here](x/y.ipynb), [w](https://w)"
    )
    assert report.without_roles(text, titles) == (
        "Welch, a: *Look at every cell*, here, [w](https://w)"
    )


def figure(mime, content):
    about = {mime: {"caption": "A <b>badge</b> & more_", "alt": "a"}}
    return new_output("display_data", data={mime: content}, metadata=about)


def test_texts_tables_and_figures_are_set(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    outputs = [
        figure("image/svg+xml", SVG),
        figure("image/png", base64.b64encode(buffer.getvalue()).decode()),
        new_output("display_data", data={"text/markdown": TABLE}),
        new_output("display_data", data={"text/markdown": "**In short.** 5 % of <i>all</i>"}),
    ]
    cells = [new_markdown_cell("# Title"), new_code_cell("1 + 1", outputs=outputs)]
    report.write_pdf(cells, tmp_path / "out.pdf", head="Study", scratch=tmp_path)
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")
    source = (tmp_path / "report.typ").read_text()
    assert "1 + 1" not in source, "code is left out"
    assert "[x|y]" in source
    assert "caption: [Of _all_ images]" in source
    assert "*In short.* 5 % of all" in source
    figures = typst.query(str(tmp_path / "report.typ"), "figure", field="kind")
    assert figures.count("image") == 2
    assert figures.count("table") == 1
