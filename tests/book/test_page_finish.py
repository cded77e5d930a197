"""What the book's own Sphinx extension does to pages, on pages made by hand."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from pybtex.database import parse_string

import page_finish


def text(string):
    return nodes.paragraph("", string)


def glossary(**terms):
    """Return the page of a glossary: terms by their anchors, each with its meaning."""
    page = new_document("glossary")
    for anchor, (term, meaning) in terms.items():
        heading = nodes.term("", term, ids=[f"term-{anchor}"])
        definition = nodes.definition("", text(meaning))
        page += nodes.definition_list("", nodes.definition_list_item("", heading, definition))
    return page


TERMS = glossary(
    mask=("Mask", "See\n  label image ."),
    iou=("IoU", "Shared over covered."),
    random=("Random cells", "A control."),
    tp=("True positive (TP)", "A matched pair."),
    map=("map", "Mean AP."),
)


def link(page, name="chapters/one"):
    """Link the terms of a page, and return its links: text, address, meaning."""
    app = SimpleNamespace(
        env=SimpleNamespace(all_docs={"glossary": 0}, get_doctree=lambda _: TERMS),
        builder=SimpleNamespace(get_relative_uri=lambda *_: "../glossary.html"),
    )
    page_finish.link_terms(app, page, name)
    links = page.findall(nodes.reference)
    return [(one.astext(), one["refuri"].partition("#")[2], one.get("reftitle")) for one in links]


def test_a_term_is_linked_where_it_is_first_used():
    page = new_document("one")
    page += text("Two masks, and a mask more; their IoU.")
    page += text("One mask.")
    assert link(page) == [
        ("masks", "term-mask", "See label image."),
        ("IoU", "term-iou", "Shared over covered."),
    ]
    assert page.astext() == "Two masks, and a mask more; their IoU.\n\nOne mask."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("moved by -0.125 (-0.212 to +0.038)", "moved by −0.125 (−0.212 to +0.038)"),
        ("-.5, then -1", "−.5, then −1"),
        (
            "on 2026-11-21, CD-45, p = 1e-05, 1-2, 10.1/x-1",
            "on 2026-11-21, CD-45, p = 1e-05, 1-2, 10.1/x-1",
        ),
    ],
)
def test_negative_numbers_have_a_minus_sign(written, shown):
    page = new_document("one")
    page += text(written)
    page += nodes.literal_block("", "make -1")
    page_finish.write_minus_signs(None, page, "one")
    assert page.astext() == f"{shown}\n\nmake -1"


@pytest.mark.parametrize(
    ("string", "found"),
    [
        ("unmasked mask-like masking", []),
        ("Random cells of a random cell", ["Random cells"]),
        ("an iou is no term, an IoU is", ["IoU"]),
        ("Maps and a Map, no score", []),
        ("a true positive", ["true positive"]),
    ],
)
def test_what_is_a_use_of_a_term(string, found):
    page = new_document("one")
    page += text(string)
    assert [word for word, *_ in link(page)] == found


def test_headings_code_tables_references_and_badges_are_left_alone():
    page = new_document("one")
    page += nodes.title("", "The mask")
    page += nodes.paragraph("", "", nodes.literal("", "mask"), nodes.math("", "IoU"))
    page += nodes.table("", text("mask"))
    page += nodes.citation("", text("A mask of 1995."))
    page += nodes.paragraph("", "", nodes.raw("", "<b>"), nodes.Text("map"), nodes.raw("", "</b>"))
    page += nodes.paragraph("", "", nodes.reference("", "mask", refuri="elsewhere.html"))
    assert link(page) == [("mask", "", None)]


def test_a_link_by_hand_gets_the_meaning_and_is_the_only_one():
    page = new_document("one")
    by_hand = nodes.reference("", "this score", refuri="../glossary.html#term-map")
    page += text("The map.")
    page += nodes.paragraph("", "", by_hand)
    assert link(page) == [("this score", "term-map", "Mean AP.")]
    assert by_hand["classes"] == ["term"]


def test_the_glossary_does_not_link_to_itself():
    page = new_document("glossary")
    page += text("A mask.")
    assert link(page, "glossary") == []


def test_scripts_that_nothing_uses_are_gone_and_others_are_there_once():
    def script(name, body=None):
        class Script(str):
            attributes = {"body": body}  # noqa: RUF012  (a stand-in for Sphinx's own class)

        return Script(name)

    scripts = [
        script("book.js"),
        script("", "const THEBE_JS_URL = 1"),
        script("", "let a = 1"),
        script("sphinx-thebe.js"),
        script("", "let a = 1"),
        script("", "let b = 1"),
    ]
    config = SimpleNamespace(html_title='The "book"', html_baseurl="https://x.org/demo/")
    builder = SimpleNamespace(get_target_uri=lambda name: f"{name}.html")
    context = {"script_files": scripts, "title": "<em>One</em>", "metatags": ""}
    app = SimpleNamespace(config=config, builder=builder)
    page_finish.tidy_head(app, "part/one", "page.html", context, None)
    assert [(str(s), s.attributes["body"]) for s in context["script_files"]] == [
        ("book.js", None),
        ("", "let a = 1"),
        ("", "let b = 1"),
    ]
    tags = context["metatags"]
    assert '<meta property="og:title" content="One – The &quot;book&quot;" />' in tags
    assert 'content="https://x.org/demo/part/one.html"' in tags
    assert 'content="https://x.org/demo/_static/card.png"' in tags


def test_references_are_labelled_as_the_text_cites_them():
    entries = parse_string(
        """
        @article{a, author = {van de Loo, A. and Li, B. and Wu, C.}, title = {T}, year = {2025}}
        @article{b, author = {{M\\"uller}, A. and Li, B.}, title = {T}, year = {2024}}
        @article{c, author = {Li, B.}, title = {T}, year = {2024}}
        @article{d, author = {Li, C.}, title = {U}, year = {2024}}
        """,
        "bibtex",
    )
    labels = page_finish.NameYearLabels().format_labels(list(entries.entries.values()))
    assert list(labels) == [
        "van de Loo et al., 2025",
        'M\\"uller and Li, 2024',
        "Li, 2024a",
        "Li, 2024b",
    ]
