"""Make pages of executed notebooks: stage them for Jupyter Book, render, show one by itself."""

import base64
import filecmp
import hashlib
import html
import os
import posixpath
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

import digests
import gate
import page_finish
import parameters
import repository
from conclusion import with_answers
from gate import Stamp, read_stamp
from imc_helpers.figures.viewer.library import install_library
from imc_helpers.figures.viewer.links import FOLDER, read_samples, samples_file
from plan import Page, Plan
from project import BACK, CHAPTERS, FRONT, STATUS, Project
from status import write_status
from sync import GUARD_MARK

ABOUT = "about"
"""Name of the book's own front page where a lab's answer stands first."""
ANSWERS = "yours/01_answer"
"""Page with which a lab's own book begins."""
LINK = re.compile(r"\[([^\]\n]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
REFERENCE = re.compile(r"\{(?:numref|ref)\}`([^`]*?<)?((?:fig|tab)-[\w-]+)>?`")
LABEL = re.compile(r"""(?:label["']?\s*[=:]\s*["']|:name: )((?:fig|tab)-[\w-]+)""")
FINDINGS = "<!-- what this edition found -->"
"""Stands in the first page where the edition's picture and numbers go."""
PICTURE = "front.png"
FIRST = """\
:::{{div}} answer
{said}
:::

:::{{figure}} front.png
:alt: Tissue in colour, each cell outlined twice, by two raters; the outlines often differ.
:figclass: front

{caption}
:::"""
TABLE_HEAD = re.compile(r"^:::\{table\} (?P<caption>.*)\n:name: (?P<label>.*)$", re.MULTILINE)
CSV_LINK = r":::{table} \g<caption> {download}`CSV <\g<label>.csv>`\n:name: \g<label>"
CSV_OF_FIGURE = " {{download}}`CSV <{label}.csv>`"
MARKDOWN, CSV, SVG = "text/markdown", "text/csv", "image/svg+xml"
INJECTED = "injected-parameters"
DRAWER = """\
:::::{{dropdown}} Reproduce: parameters, run time and code
:class-container: reproduce

{took}

{code}
:::::
"""
TABLE = re.compile(r":::\{table\} (.*?)\n:name: [^\n]*\n(?::[^\n]*\n)*\n(.*?)\n:::", re.DOTALL)
MENDED = {
    # Icons are drawn without these fonts, and from a folder a browser refuses them with an error.
    r'<link rel="preload" as="font"[^>]*>\n?': "",
    # The parts of the sidebar are opened by an arrow, which says nothing to those who hear a page.
    r'<summary>(?=<span class="toctree-toggle")': '<summary aria-label="Pages of this section">',
    # Docutils calls this a list, and its members something else.
    r'<div role="list" class="citation-list">': '<div class="citation-list">',
}
"""What is mended in rendered pages: patterns in the theme's HTML, and what they become."""
PHONE_WINDOW = "(max-width: 719px)"
"""Windows in which figures for telephones are shown: the others just fit a wider one."""
FOR_PHONES = """\
```{{raw}} html
<style>@media {window} {{ #{label} img {{ content: url("{address}"); }} }}</style>
```
"""
"""Puts a figure that is narrow enough into the place of one that is not, in a narrow window."""
NARROW = "_static/figures/{}.svg"
ON_PAPER = ' style="background: white"'
"""What a drawing has in a notebook, and not on a page: there it lies on the page's own ground."""


def build(project: Project, plan: Plan) -> None:
    """Render an edition; its pages appear when all of them were rendered without a warning.

    What Sphinx has read is kept, so that the next time only the pages that changed are read. It
    says nothing of references in the others, so everything is read again when a page, a label or a
    setting came, went or changed, and after every warning.

    Raises
    ------
    SystemExit
        If rendering gave a warning; Sphinx has said which.
    """
    folder = project.root / "_build" / plan.edition
    with project.drafts() as drafts:
        draft = drafts / "src"
        draft.mkdir()
        stage(project, plan, draft)
        bring_in_step(draft, folder / "src")
        rendered = render(folder / "src", folder / "render")
        copy = shutil.copytree(rendered, drafts / "html")
        mend(copy)
        place_viewer(plan, copy)
        final = project.html(plan.edition)
        if final.exists():
            shutil.rmtree(final)
        copy.replace(final)


def place_viewer(plan: Plan, folder: Path) -> None:
    """Put the viewer beside the book's pages: its own, their thumbnails, and what they share.

    The files are linked where the file system can: those of a large study take gigabytes.
    """
    for viewing in plan.viewings:
        source = samples_file(plan.edition, viewing.cohort).with_suffix("")
        target = folder / FOLDER / viewing.cohort
        target.mkdir(parents=True)
        for sample in read_samples(plan.edition, viewing.cohort)["sample"]:
            for name in (f"{sample}.html", f"{sample}.webp"):
                try:
                    os.link(source / name, target / name)
                except OSError:
                    shutil.copyfile(source / name, target / name)
    if plan.viewings:
        install_library(folder)


def render(source: Path, folder: Path) -> Path:
    """Render a folder of sources below another one and return the folder of the pages.

    Raises
    ------
    SystemExit
        If rendering gave a warning; Sphinx has said which.
    """
    from jupyter_book.cli.main import main as jupyter_book  # noqa: PLC0415  (slow to load)

    made_of, note = _frame(source), folder / ".made_of"
    if not note.is_file() or note.read_text(encoding="utf-8") != made_of:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    # -n: a reference without a target is a warning; -W: a warning is an error.
    jupyter_book.main(
        ["build", "-n", "-W", "--keep-going", "--path-output", str(folder), str(source)],
        standalone_mode=False,
    )
    note.write_text(made_of, encoding="utf-8")
    return folder / "_build" / "html"


def mend(folder: Path) -> None:
    """Change all pages of a folder where the theme's HTML fails readers; see `MENDED`."""
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for pattern, replacement in MENDED.items():
            text = re.sub(pattern, replacement, text)
        page.write_text(text, encoding="utf-8")


def stage(project: Project, plan: Plan, folder: Path) -> None:
    """Write the sources of an edition's pages into an empty folder."""
    size = data_mb(project, [task.cohort for task in plan.data])
    without = _Without(project, plan)
    for page in plan.pages:
        executed = project.executed(plan.edition, page.name)
        notebook = nbformat.read(executed, as_version=4)
        shown = with_drawer(for_myst(notebook), read_stamp(notebook), size)
        place = f"{CHAPTERS}/{page.name}"
        each_text(shown, partial(without, place=place))
        target = folder / f"{place}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        for name, rows in tables(notebook):
            (target.parent / f"{name}.csv").write_text(rows, encoding="utf-8")
        for name, figure in narrow_figures(notebook):
            drawn = folder / NARROW.format(name)
            drawn.parent.mkdir(parents=True, exist_ok=True)
            drawn.write_text(figure, encoding="utf-8")
        nbformat.write(shown, target)
    answers = _answers(plan)
    for name in plan.front:
        target = folder / (f"{ABOUT}.md" if answers and name == "index.md" else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            text = (project.root / name).read_text(encoding="utf-8")
            text = without(with_answers(text, project, plan), name)
            if name == "index.md":
                text = _with_findings(text, project, plan, folder) + without.section
            target.write_text(text, encoding="utf-8")
        else:
            shutil.copyfile(project.root / name, target)
    _write_yaml(configuration(project, plan), folder / "_config.yml")
    _write_yaml(contents(project, plan), folder / "_toc.yml")
    write_status(project, plan, folder)


def _with_findings(text: str, project: Project, plan: Plan, folder: Path) -> str:
    """Put what an edition shows first of itself into its first page, where that has a place for it.

    The picture and the numbers are made from the edition's own images and scores; where it has no
    image with two masks, or was made without scores, its description stands there.
    """
    if FINDINGS not in text:
        return text
    from imc_helpers.agreement.score_table import read_scores, scores_file  # noqa: PLC0415
    from imc_helpers.data.manifest import load_edition  # noqa: PLC0415
    from imc_helpers.data.readers.published import open_cohort  # noqa: PLC0415
    from imc_helpers.figures import front  # noqa: PLC0415  (slow to load)

    scored = [key for key in plan.cohorts if scores_file(plan.edition, key).is_file()]
    found = front.with_two_masks({key: open_cohort(key) for key in scored})
    if found is None:
        return text.replace(FINDINGS, plan.description)
    cohort, sample = found
    picture = front.tissue_with_outlines(cohort, sample)
    picture.savefig(folder / PICTURE, dpi=144, metadata={"Software": None})
    models = load_edition(plan.edition).models
    said = front.findings(read_scores(plan.edition, [cohort.name]), cohort, models)
    return text.replace(FINDINGS, FIRST.format(said=said, caption=front.picture_caption(cohort)))


def contents(project: Project, plan: Plan) -> dict[str, Any]:
    """Return the table of contents: the parts of the book with the pages of the edition."""
    parts: list[dict[str, Any]] = []
    answers = _answers(plan)
    front = [{"file": n} for n in FRONT if f"{n}.md" in plan.front]
    front = [{"file": ABOUT}, *front] if answers else front
    for part, title in project.parts.items():
        pages = [
            page for page in plan.pages if page.name.startswith(f"{part}/") and page.name != answers
        ]
        if pages:
            parts.append({"caption": title, "chapters": list(_nested(pages))})
    if front:
        texts: dict[str, Any] = {"chapters": front}
        if answers:
            parts.insert(1, {"caption": "This book", **texts})
        else:
            parts.insert(0, texts)
    back = [{"file": n} for n in BACK if n == STATUS or f"{n}.md" in plan.front]
    parts.append({"caption": "Conclusion and reference", "chapters": back})
    root = f"{CHAPTERS}/{answers}" if answers else "index"
    return {"format": "jb-book", "root": root, "parts": parts}


def _answers(plan: Plan) -> str:
    """Return the page with which a lab's own book begins; empty where the edition has none."""
    return next((page.name for page in plan.pages if page.name == ANSWERS), "")


def _nested(pages: list[Page]) -> Iterable[dict[str, Any]]:
    shown = {page.name for page in pages}
    for page in pages:
        if page.under in shown:
            continue
        entry: dict[str, Any] = {"file": f"{CHAPTERS}/{page.name}"}
        below = [{"file": f"{CHAPTERS}/{p.name}"} for p in pages if p.under == page.name]
        yield entry | ({"sections": below} if below else {})


class _Without:
    """Takes links to pages that an edition leaves out from its texts, and lists those pages."""

    def __init__(self, project: Project, plan: Plan) -> None:
        self.titles, self.labels = {}, set[str]()
        for chapter in plan.left_out:
            text = project.source(chapter).read_text(encoding="utf-8")
            self.titles[f"{CHAPTERS}/{chapter}"] = text.partition("\n# # ")[2].partition("\n")[0]
            self.labels |= set(LABEL.findall(text))
        rows = [
            f"- *{self.titles[f'{CHAPTERS}/{chapter}']}* (`{chapter}`): {why}"
            for chapter, why in plan.left_out.items()
        ]
        self.section = "\n".join(["", "## Not in this edition", "", *rows, ""]) if rows else ""

    def __call__(self, text: str, place: str) -> str:
        """Return a text without such links; ``place`` is the path of its page."""
        if not self.titles:
            return text

        def link(match: re.Match[str]) -> str:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(place), match[2]))
            title = self.titles.get(path.removesuffix(".ipynb").removesuffix(".md"))
            return match[0] if title is None else f"*{match[1] or title}* (not in this edition)"

        def reference(match: re.Match[str]) -> str:
            kind = "a table" if match[2].startswith("tab-") else "a figure"
            return f"{kind} that this edition lacks" if match[2] in self.labels else match[0]

        return REFERENCE.sub(reference, LINK.sub(link, text))


def each_text(notebook: NotebookNode, change: Callable[[str], str]) -> None:
    """Change every text of a notebook that is rendered as Markdown, in place."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = change(cell.source)
        for output in cell.get("outputs", []):
            if MARKDOWN in output.get("data", {}):
                output.data[MARKDOWN] = change(output.data[MARKDOWN])
        figure = cell.metadata.get("mystnb", {}).get("figure")
        if figure:
            figure["caption"] = change(figure["caption"])


def data_mb(project: Project, cohorts: Iterable[str]) -> float:
    """Return the size of some cohorts on disk, MB (10**6 bytes)."""
    folders = [project.root / "data" / cohort for cohort in cohorts]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def with_drawer(notebook: NotebookNode, stamp: Stamp, size_mb: float) -> NotebookNode:
    """Return a copy whose code stands in one closed drawer at its end, with what the run took.

    Parameters
    ----------
    notebook
        Executed notebook.
    stamp
        Its stamp; the parameters in the drawer have the values that it names.
    size_mb
        Size of the edition's data, MB.
    """
    page = nbformat.from_dict(notebook)
    listing, shown = [], []
    for cell in page.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            cell.metadata["tags"] = ["remove-input"]
            if parameters.TAG in tags:
                listing.append(parameters.with_values(cell.source, stamp.parameters))
            elif INJECTED not in tags and not cell.source.startswith(GUARD_MARK):
                listing.append(cell.source)
        if cell.cell_type != "code" or (cell.outputs and "remove-cell" not in tags):
            shown.append(cell)
    drawer = DRAWER.format(took=_took(stamp, size_mb), code=_fenced(listing))
    # An id of its own: nbformat draws one at random, and the page would never stay the same.
    page.cells = [*shown, new_markdown_cell(drawer, id="drawer")]
    return page


def _took(stamp: Stamp, size_mb: float) -> str:
    return (
        f"Edition `{stamp.edition}`. This page ran in {stamp.seconds:.0f} s on the "
        f"{stamp.device.upper()} with {stamp.peak_memory_mb:.0f} MB of memory; the edition's data "
        f"take {size_mb:.0f} MB."
    )


def _fenced(listing: Iterable[str]) -> str:
    """Write pieces of code as MyST shows them; no piece may end its own fence."""
    pieces = list(listing)
    ticks = max((len(run) for piece in pieces for run in re.findall("`+", piece)), default=0)
    fence = "`" * max(3, ticks + 1)
    return "\n\n".join(f"{fence}python\n{piece}\n{fence}" for piece in pieces)


def for_myst(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in which figures, tables and the answer are declared as MyST wants them.

    A chapter declares a figure when it runs, in the metadata of the output, so that a caption can
    name the edition or a number that was measured. It marks its answer, which gets a box, and gives
    the rows of a table beside its text, which gets a link to them.
    """
    page = nbformat.from_dict(notebook)
    cells = []
    for cell in page.cells:
        cells.append(cell)
        for image in gate.images(cell):
            if "phone" in image:
                address = f"../../{NARROW.format(image['label'])}"
                rule = FOR_PHONES.format(window=PHONE_WINDOW, label=image["label"], address=address)
                cells.append(new_markdown_cell(rule))
            link = CSV_OF_FIGURE.format(label=image["label"]) if gives_rows(cell) else ""
            cell.metadata["mystnb"] = {
                "figure": {
                    "caption": image["caption"] + link,
                    "name": image["label"],
                    "classes": image.get("kind", ""),
                },
                "image": {"alt": image["alt"]},
            }
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if SVG in data:
                data.pop(CSV, None)
                data[SVG] = data[SVG].replace(ON_PAPER, "", 1)
            elif gate.is_answer(output):
                data[MARKDOWN] = f":::{{div}} answer\n{data[MARKDOWN]}\n:::\n"
            elif data.pop(CSV, None):  # MyST knows no CSV
                data[MARKDOWN] = TABLE_HEAD.sub(CSV_LINK, data[MARKDOWN])
    page.cells = cells
    return page


def gives_rows(cell: NotebookNode) -> bool:
    """Say whether a figure of a cell comes with the table that it was drawn from."""
    found = (output.get("data", {}) for output in cell.get("outputs", []))
    return any(SVG in data and CSV in data for data in found)


def narrow_figures(notebook: NotebookNode) -> Iterable[tuple[str, str]]:
    """Yield the label of each figure of a notebook that is also drawn for telephones, and that."""
    for cell in notebook.cells:
        for image in gate.images(cell):
            if "phone" in image:
                yield image["label"], image["phone"]


def tables(notebook: NotebookNode) -> Iterable[tuple[str, str]]:
    """Yield the label of each table and figure that gives its rows, and these as CSV."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if CSV in data and SVG in data:
                yield output.metadata[SVG]["label"], data[CSV]
            elif CSV in data and (head := TABLE_HEAD.search(data[MARKDOWN])):
                yield head["label"], data[CSV]


def configuration(project: Project, plan: Plan) -> dict[str, Any]:
    """Return the book's settings with the edition's name in the title and on every page."""
    settings = repository.with_buttons(project, project.config)
    settings["title"] = f"{settings['title']} ({plan.edition} edition)"
    theme = settings["sphinx"]["config"].setdefault("html_theme_options", {})
    # The title stands beside the picture, which else stands alone.
    theme["logo"] = {"text": settings["title"], "alt_text": "Two outlines of one cell"}
    theme["announcement"] = (
        f'<strong>{plan.title}</strong> <span class="edition-description">{plan.description}</span>'
    )
    return settings


def write_single_page(executed: Path, target: Path, *, title: str) -> None:
    """Write an executed notebook as one HTML file that needs no other, code left out."""
    from nbconvert import HTMLExporter  # noqa: PLC0415  (slow to load)
    from traitlets.config import Config  # noqa: PLC0415

    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [new for old in cell.outputs for new in _for_html(old)]
    tags = {"remove_cell_tags": ("remove-cell", INJECTED, parameters.TAG)}
    settings = Config(TagRemovePreprocessor={"enabled": True, **tags})
    page, _ = HTMLExporter(config=settings, exclude_input=True).from_notebook_node(
        notebook, {"metadata": {"name": title}}
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}")
    draft.write_text(page, encoding="utf-8")
    draft.replace(target)


def _for_html(output: NotebookNode) -> Iterable[NotebookNode]:
    """Put a figure's alt text and caption where any browser shows them, and a table's caption."""
    data = dict(output.get("data", {}))
    for mime in [name for name in data if name.startswith("image/")]:
        declared, content = output.metadata.get(mime, {}), data[mime]
        alt = html.escape(declared.get("alt", ""), quote=True)
        figure = f'<img alt="{alt}" src="{_address(mime, content)}">'
        if "phone" in declared:
            narrow = _address(mime, declared["phone"])
            source = f'<source media="{PHONE_WINDOW}" srcset="{narrow}">'
            figure = f"<picture>{source}{figure}</picture>"
        yield new_output("display_data", data={"text/html": figure})
        yield new_output("display_data", data={MARKDOWN: declared.get("caption", "")})
        return
    if MARKDOWN in data:
        output.data[MARKDOWN] = TABLE.sub(r"\1\n\n\2", data[MARKDOWN])
    yield output


def _address(mime: str, content: str) -> str:
    """Return an image as an address that holds all of it."""
    encoded = base64.b64encode(content.encode()).decode() if mime == SVG else content
    return f"data:{mime};base64,{encoded}"


def bring_in_step(draft: Path, final: Path) -> None:
    """Make one folder equal another, and leave alone the files that are equal already."""
    wanted = {path.relative_to(draft) for path in draft.rglob("*") if path.is_file()}
    for path in sorted(final.rglob("*"), reverse=True) if final.is_dir() else []:
        if path.is_file() and path.relative_to(final) not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    for name in wanted:
        old, new = final / name, draft / name
        if not old.is_file() or not filecmp.cmp(new, old, shallow=False):
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, old)


def _frame(source: Path) -> str:
    """Digest what pages may refer to in one another: names, labels, settings, styles, pictures."""
    found = {"extension": digests.of_file(Path(page_finish.__file__))}
    for path in sorted(source.rglob("*")):
        if path.is_file() and "_static" in path.relative_to(source).parts:
            # Sphinx copies these only when it has a page to write.
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(source))] = content
        elif path.suffix in (".md", ".bib", ".yml") and path.stem != STATUS:
            found[str(path.relative_to(source))] = digests.of_text(path.read_text(encoding="utf-8"))
        elif path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            labels = [label for cell in cells for label in gate.figure_labels(cell)]
            texts = [
                cell.source
                for cell in cells
                if cell.cell_type == "markdown" and not cell.source.startswith(DRAWER[:10])
            ]
            named = re.findall(r"^(?:#+ .*|\(.*\)=|:name: .*)$", "\n".join(texts), re.MULTILINE)
            found[str(path.relative_to(source))] = digests.of_value([labels, named])
    return digests.of_value(found)


def _write_yaml(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
