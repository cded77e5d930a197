"""What this book adds to Sphinx: glossary links, true minus signs, references by name and year.

A Sphinx extension, named in ``_config.yml``. It changes pages as they are written, so a page says
what its text says; nothing is linked by hand that can be linked by rule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any
from urllib.parse import urljoin

from docutils import nodes
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle
from sphinx import addnodes
from sphinx.application import Sphinx

GLOSSARY = "glossary"
"""Page whose terms are linked."""
STYLE = "name_year"
"""Style of the list of references: the labels are what the text cites."""
CARD = "_static/card.png"
"""Picture that a link to a page shows elsewhere."""
_LEFT_ALONE = (
    nodes.reference,
    nodes.literal,
    nodes.math,
    nodes.raw,
    nodes.footnote_reference,
    addnodes.pending_xref,
)
_NOT_TYPESET = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)
_MINUS = re.compile(r"(?<![\w.)\]/-])-(?=\.?\d)")
"""A hyphen that stands before a number, and neither joins two nor belongs to a word."""
_NO_PROSE = (nodes.table, nodes.caption, nodes.citation, nodes.footnote)


@dataclass(frozen=True)
class Term:
    """A term of the glossary."""

    pattern: re.Pattern[str]
    """Finds the term in a text, in the plural as well."""
    target: str
    """Its anchor on the page of the glossary."""
    meaning: str
    """Its definition, as plain text."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    register_plugin("pybtex.style.formatting", STYLE, NameYearStyle)
    app.connect("doctree-resolved", write_minus_signs)
    app.connect("doctree-resolved", link_terms)
    app.connect("html-page-context", tidy_head, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_minus_signs(app: Sphinx, page: nodes.document, name: str) -> None:
    """Give negative numbers a minus sign in place of the hyphen that Python writes.

    A hyphen is so short that a reader misses it, and lines break behind it.
    """
    for text in list(page.findall(nodes.Text)):
        if "-" in text and not _within(text, _NOT_TYPESET):
            text.parent.replace(text, nodes.Text(_MINUS.sub("−", text)))


def link_terms(app: Sphinx, page: nodes.document, name: str) -> None:
    """Link each term of the glossary where a page first uses it, and give all links hover text."""
    if name == GLOSSARY or GLOSSARY not in app.env.all_docs:
        return
    found = terms(app.env.get_doctree(GLOSSARY))
    address = app.builder.get_relative_uri(name, GLOSSARY)
    by_address = {f"{address}#{term.target}": term for term in found}
    unused = dict(by_address)
    for link in page.findall(nodes.reference):
        if term := by_address.get(link.get("refuri", "")):
            link["reftitle"] = term.meaning
            link["classes"].append("term")
            unused.pop(link["refuri"], None)
    for text in list(_prose(page)):
        _link_in(text, unused)


def _prose(page: nodes.document) -> Iterator[nodes.Text]:
    """Yield the pieces of running text, in which terms may be linked."""
    for paragraph in page.findall(nodes.paragraph):
        if not _within(paragraph, _NO_PROSE):
            for text in paragraph.findall(nodes.Text):
                # What stands between tags of HTML is a badge.
                at = text.parent.index(text)
                badge = at > 0 and isinstance(text.parent[at - 1], nodes.raw)
                if not badge and not _within(text, _LEFT_ALONE):
                    yield text


def _within(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    parent = node.parent
    while parent is not None:
        if isinstance(parent, kinds):
            return True
        parent = parent.parent
    return False


def _link_in(text: nodes.Text, unused: dict[str, Term]) -> None:
    """Replace a text by pieces, of which some are links, and take those off the unused terms."""
    rest, pieces = str(text), list[nodes.Node]()
    while rest:
        hits = [(term.pattern.search(rest), address) for address, term in unused.items()]
        # The first; of two at one place the longer, "patch" after "patch score".
        best = min(
            ((hit.start(), -len(hit[0]), hit, address) for hit, address in hits if hit),
            default=None,
            key=lambda one: one[:2],
        )
        if best is None:
            break
        *_, hit, address = best
        term = unused.pop(address)
        link = nodes.reference(
            "", hit[0], internal=True, refuri=address, reftitle=term.meaning, classes=["term"]
        )
        pieces += [nodes.Text(rest[: hit.start()]), link]
        rest = rest[hit.end() :]
    if pieces:
        text.parent.replace(text, [*pieces, nodes.Text(rest)])


def terms(glossary: nodes.document) -> list[Term]:
    """Return the terms of a glossary; of several words for one thing, parted by commas, none."""
    found = []
    for item in glossary.findall(nodes.definition_list_item):
        meaning = _plain(next(item.findall(nodes.definition)))
        for term in item.findall(nodes.term):
            if ids := term["ids"]:
                found += [Term(_pattern(term.astext()), ids[0], meaning)]
    return found


def _plain(definition: nodes.definition) -> str:
    """Return a definition as text, citations left out."""
    copy = definition.deepcopy()
    for link in list(copy.findall(addnodes.pending_xref)):
        if link.get("refdomain") == "cite":
            link.parent.remove(link)
    return re.sub(r"\s+([.,;:)])", r"\1", re.sub(r"\s+", " ", copy.astext()))


@cache
def _pattern(term: str) -> re.Pattern[str]:
    """Return what finds a term; one with capitals or digits inside is an abbreviation, kept so."""
    word = re.sub(r"\s*\(.*\)$", "", term)
    exact = word.islower() or (not word[1:].islower() and " " not in word)
    plural = "" if exact or word.endswith("s") else "(?:s|es)?"
    flags = 0 if exact else re.IGNORECASE
    return re.compile(rf"(?<![\w-]){re.escape(word)}{plural}(?![\w-])", flags)


def tidy_head(
    app: Sphinx, name: str, template: str, context: dict[str, Any], page: nodes.document | None
) -> None:
    """Take out scripts that nothing uses or that are there twice; say what links to a page show.

    Jupyter Book loads a script that starts live code. The book has no live code, and the script is
    loaded twice, which browsers report as an error on every page.
    """
    kept: dict[tuple[str, str], Any] = {}
    for script in context["script_files"]:
        body = str(getattr(script, "attributes", {}).get("body") or "")
        if "thebe" not in str(script).lower() + body.lower():
            kept.setdefault((str(script), body), script)
    context["script_files"] = list(kept.values())
    title = re.sub("<[^>]*>", "", context.get("title") or "")
    about = {
        "og:type": "article",
        "og:title": f"{title} – {app.config.html_title}",
        "og:site_name": app.config.html_title,
    }
    if base := app.config.html_baseurl:
        about["og:url"] = urljoin(base, app.builder.get_target_uri(name))
        about["og:image"] = urljoin(base, CARD)
    context["metatags"] = context.get("metatags", "") + "".join(
        f'<meta property="{key}" content="{escape(value, quote=True)}" />'
        for key, value in about.items()
    )


class NameYearLabels(BaseLabelStyle):
    """Labels as the text cites: ``Chen and Murphy, 2023``."""

    def format_labels(self, sorted_entries: list[Any]) -> Iterator[str]:
        """Yield the label of each entry; of several by the same in a year, with a letter."""
        labels = [self._label(entry) for entry in sorted_entries]
        for n, label in enumerate(labels):
            repeated = labels.count(label) > 1
            yield label + (chr(ord("a") + labels[:n].count(label)) if repeated else "")

    @staticmethod
    def _label(entry: Any) -> str:
        names = [" ".join(p.prelast_names + p.last_names) for p in entry.persons["author"]]
        names = [re.sub(r"[{}]", "", name) for name in names]
        who = " and ".join(names) if len(names) < 3 else f"{names[0]} et al."
        return f"{who}, {entry.fields['year']}"


class NameYearStyle(PlainStyle):
    """The plain style, with labels of name and year."""

    default_label_style = NameYearLabels
