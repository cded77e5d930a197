"""How a page shows a figure or a table; the colours and the style of all of them.

The style holds while a figure is drawn and written (`in_style`, `in_dark_style`), and nowhere else:
whoever imports a figure of this book keeps their own settings of matplotlib.

A figure is drawn in the size in which it is shown, so that its letters have the size that they say.
One that is wider than a telephone takes its width as a parameter and stacks its panels where that
is small.
"""

import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from imc_helpers.figures.names import with_names

BLUE, GOLD, GREEN, VERMILION, SKY, PURPLE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
)
GREY = "#777777"
"""Of what is there for comparison: lines, single images."""
WIDE, PHONE = 7.4, 3.4
"""Widths of figures on a page with its sidebars and on a telephone, inches of 96 pixels."""
_MOST_ROWS = 5000
"""Rows of a table that a page offers below its figure; a larger one would swell the page."""
NARROW = 5.0
"""A figure narrower than this, inches, stacks its panels."""
_SVG = "image/svg+xml"
_PAPER = '<svg style="background: white" '
"""Ground of a drawing in a notebook, whatever its theme; a page of the book takes it away."""
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "figure.titlesize": 10,
    "figure.labelsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "svg.hashsalt": "imc-agreement-book",  # the same figure gives the same bytes
    "svg.fonttype": "path",
}
_DARK: dict[str, Any] = {
    "figure.facecolor": "#111111",
    "text.color": "white",
    "axes.labelcolor": "white",
    "xtick.color": "white",
    "ytick.color": "white",
}
_Draw = TypeVar("_Draw", bound=Callable[..., Any])


def in_style(draw: _Draw) -> _Draw:
    """Draw a figure in the book's style, and leave the style of everything else alone."""
    return mpl.rc_context(rc=_STYLE)(draw)  # type: ignore[arg-type]  # its stub wants literal names


def in_dark_style(draw: _Draw) -> _Draw:
    """Draw in the book's style on a dark ground, in every theme: for images of tissue."""
    return mpl.rc_context(rc=_STYLE | _DARK)(draw)  # type: ignore[arg-type]  # as above


def wrapped(names: Iterable[str], width: float, *, wide: int = 30, narrow: int = 17) -> list[str]:
    """Break names so that they leave room beside them.

    Parameters
    ----------
    names
        What to write, at the rows of a figure for instance.
    width
        Width of the figure, inches.
    wide, narrow
        Letters a line may have in a wide and in a narrow figure.
    """
    letters = narrow if width < NARROW else wide
    return [textwrap.fill(str(name), letters, break_long_words=False) for name in names]


def legend(figure: FigureBase, handles: Sequence[Any], width: float, *, title: str = "") -> None:
    """Put the key above the panels, in as many columns as its names leave room for.

    Parameters
    ----------
    figure
        The figure, or a part of it.
    handles
        Artists with their labels.
    width
        Width of the figure, inches.
    title
        What stands above the key.
    """
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, int((width - 0.2) / (0.45 + 0.075 * longest)))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(columns, len(handles)),
        handlelength=1.4,
        columnspacing=1.4,
        title=title,
        title_fontproperties={"weight": "bold", "size": 10},
    )


def row_panels(
    counts: Sequence[int],
    width: float,
    *,
    row_in: float,
    panel_in: float,
    rest_in: float,
    sharex: bool = True,
) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels one below the other, as high as the rows that they hold.

    Parameters
    ----------
    counts
        Rows of each panel.
    width
        Width of the figure, inches.
    row_in, panel_in, rest_in
        Height of a row, of what each panel has besides (its title), and of what the figure has
        (its key, the axis below), inches.
    sharex
        Whether one axis below serves all panels.
    """
    figure, axes = plt.subplots(
        len(counts),
        1,
        figsize=(width, row_in * sum(counts) + panel_in * len(counts) + rest_in),
        height_ratios=list(counts),
        sharex=sharex,
        squeeze=False,
    )
    return figure, list(axes[:, 0])


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Name the rows of a panel, the first at the top."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)


@in_style
def show(
    draw: Figure | Callable[..., Figure],
    *,
    label: str,
    caption: str,
    alt: str,
) -> None:
    """Show a figure on the page, with what a reader and a screen reader need.

    Parameters
    ----------
    draw
        What draws the figure, given ``width`` in inches: it is drawn for a page and for a
        telephone, and the book shows the one that fits. Or a figure, where one serves both. A
        figure without a ground of its own takes on the page's, light or dark. Where it is a
        `functools.partial` that holds a table, the page offers this table as CSV.
    label
        Name for cross-references, ``"fig-agreement"`` for instance.
    caption
        Caption, in MyST: references and formulas work in it.
    alt
        What the figure shows, in words.
    """
    figure = draw if isinstance(draw, Figure) else draw(width=WIDE)
    kind = "tissue" if mpl.colors.to_rgba(figure.get_facecolor())[3] else "drawing"
    about = {"alt": alt, "caption": caption, "label": label, "kind": kind}
    svg = _svg(figure)
    svg = svg if kind == "tissue" else svg.replace("<svg ", _PAPER, 1)
    if not isinstance(draw, Figure):
        about["phone"] = _svg(draw(width=PHONE))
    bundle = {_SVG: svg, "text/plain": alt}
    if (rows := drawn_from(draw)) is not None and len(rows) <= _MOST_ROWS:
        bundle["text/csv"] = rows.to_csv(index=False, float_format="%.6g")
    display(bundle, raw=True, metadata={_SVG: about})


def drawn_from(draw: Figure | Callable[..., Figure]) -> pd.DataFrame | None:
    """Return the table that a plot was given; None where it was given none.

    Parameters
    ----------
    draw
        As `show` takes. Of a `functools.partial`, the first argument that is a table, or a mapping
        from names to tables, which then stand below one another with the name as ``panel``.
    """
    given = (*draw.args, *draw.keywords.values()) if isinstance(draw, partial) else ()
    for value in given:
        if isinstance(value, Mapping) and value:
            tables = {str(name): _rows(table) for name, table in value.items()}
            if all(table is not None for table in tables.values()):
                return pd.concat(tables, names=["panel"]).reset_index("panel")
        elif (table := _rows(value)) is not None:
            return table
    return None


def _rows(value: object) -> pd.DataFrame | None:
    """Return a table with what its index says as columns; None for what is no table."""
    if isinstance(value, pd.Series):
        value = value.to_frame(str(value.name or "value"))
    if not isinstance(value, pd.DataFrame):
        return None
    return value if isinstance(value.index, pd.RangeIndex) else value.reset_index()


def _svg(figure: Figure) -> str:
    """Write a figure, and close it, so that it does not appear a second time."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    return buffer.getvalue()


def answer(text: str) -> None:
    """Show the page's answer; the book puts it into a box below the question.

    Parameters
    ----------
    text
        A sentence or two, in MyST.
    """
    about = {"text/markdown": {"role": "answer"}}
    display(
        {"text/markdown": f"**In short.** {text}", "text/plain": text}, raw=True, metadata=about
    )


def show_table(
    frame: pd.DataFrame,
    *,
    label: str,
    caption: str,
    decimals: int = 3,
    merge: Sequence[str] = (),
) -> None:
    """Show a frame as a numbered table, with names where it has keys, and its rows as CSV.

    Parameters
    ----------
    frame
        One row per line; the index is left out. Keys of models, cohorts and raters are shown by
        their names (`imc_helpers.figures.names.with_names`); the CSV keeps them.
    label, caption
        As for `show`.
    decimals
        Digits behind the point of numbers that are not whole.
    merge
        Columns of text: lines that differ in one of these alone become one line, which lists its
        values. The CSV keeps every line.
    """
    text = with_names(frame).apply(_text_column, decimals=decimals)
    for column in merge:
        text = _merged(text, column)
    escaped = text.map(lambda value: value.replace("|", r"\|"))
    numbers = [_is_numeric(frame[column]) for column in frame]
    rule = ["--:" if number else ":--" for number in numbers]
    rows = [list(text.columns), rule, *escaped.to_numpy().tolist()]
    body = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    myst = f":::{{table}} {caption}\n:name: {label}\n:widths: auto\n\n{body}\n:::\n"
    bundle = {
        "text/markdown": myst,
        "text/html": text.to_html(index=False),
        "text/csv": frame.to_csv(index=False),
        "text/plain": text.to_string(index=False),
    }
    display(bundle, raw=True)


def _merged(text: pd.DataFrame, column: str) -> pd.DataFrame:
    others = [name for name in text.columns if name != column]
    joined = text.groupby(others, sort=False)[column].agg(", ".join)
    return joined.reset_index()[list(text.columns)]


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _text_column(column: pd.Series, decimals: int) -> pd.Series:
    """Write a column: whole numbers bare, others with the same digits, a dash for nothing."""
    if not _is_numeric(column):
        return column.map(_text)
    values = column.dropna()
    digits = 0 if (values == values.round()).all() and (values.abs() > 1).any() else decimals
    digits = 0 if pd.api.types.is_integer_dtype(column) else digits
    if digits > 1 and (values.abs() >= 100).any():
        digits = 0  # hundredths of hundreds say nothing
    return column.map(lambda value: "–" if pd.isna(value) else number(value, digits))


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return "–" if pd.isna(value) else str(value)


def number(value: float, decimals: int) -> str:
    """Write a number with so many digits behind the point; what rounds to zero has no sign."""
    rounded = round(float(value), decimals) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:,.{decimals}f}"
