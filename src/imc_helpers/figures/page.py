"""How a page shows a figure or a table; the colours and the style of all of them.

The style holds while a figure is drawn and written (`in_style`), and nowhere else: whoever imports
a figure of this book keeps their own settings of matplotlib.
"""

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from imc_helpers.figures.names import with_names

BLUE, GOLD, GREEN, VERMILION, SKY, PURPLE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
)
_MIME = {"svg": "image/svg+xml", "png": "image/png"}
_STYLE: dict[str, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 144,
    "svg.hashsalt": "imc-agreement-book",  # the same figure gives the same bytes
    "svg.fonttype": "path",
}
_Draw = TypeVar("_Draw", bound=Callable[..., Any])


def in_style(draw: _Draw) -> _Draw:
    """Draw a figure in the book's style, and leave the style of everything else alone."""
    return mpl.rc_context(rc=_STYLE)(draw)  # type: ignore[arg-type]  # its stub wants literal names


@in_style
def show(figure: Figure, *, label: str, caption: str, alt: str, fmt: str = "svg") -> None:
    """Show a figure on the page, with what a reader and a screen reader need.

    Parameters
    ----------
    figure
        The figure; it is closed, so that it does not appear a second time.
    label
        Name for cross-references, ``"fig-agreement"`` for instance.
    caption
        Caption, in MyST: references and formulas work in it.
    alt
        What the figure shows, in words.
    fmt
        ``"svg"`` for drawings, ``"png"`` for images with many pixels.
    """
    buffer = io.BytesIO()
    metadata = {"Date": None} if fmt == "svg" else {"Software": None}
    figure.savefig(buffer, format=fmt, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
    content = buffer.getvalue()
    data = content.decode() if fmt == "svg" else base64.b64encode(content).decode()
    about = {"alt": alt, "caption": caption, "label": label}
    display({_MIME[fmt]: data, "text/plain": alt}, raw=True, metadata={_MIME[fmt]: about})


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
    rows = [list(frame.columns), rule, *escaped.to_numpy().tolist()]
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
