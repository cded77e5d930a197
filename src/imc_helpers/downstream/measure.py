"""The three tables that steinbock makes of an image and a mask: what pages and exports start from.

``intensities`` (mean of each channel), ``regionprops`` (size, place, shape) and ``neighbors`` have
the columns of steinbock's own files (Windhager et al. 2023, doi:10.1038/s41596-023-00881-0), so
that imcRtools' ``read_steinbock`` takes them; the first column, ``Object``, is a cell's id.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from imc_helpers.cells.contacts import EXPANSION_PX, near_pairs
from imc_helpers.cells.expression import CellCounts, mean_intensities
from imc_helpers.cells.properties import cell_shapes
from imc_helpers.errors import InputError

TABLES = ("intensities", "regionprops", "neighbors")
_DTYPES = defaultdict(lambda: "float64", Object="int64", Neighbor="int64", area="int64")
"""Of their columns: of a table without rows, nothing else says them."""


@dataclass(frozen=True, eq=False)
class CellTables:
    """What is measured of the cells of one mask of one image."""

    intensities: pd.DataFrame
    """One row per cell, by ``Object``: mean counts per pixel, a column per channel."""
    regionprops: pd.DataFrame
    """One row per cell, by ``Object``: what `cell_shapes` gives, pixels."""
    neighbors: pd.DataFrame
    """One row per neighbour of a cell: ``Object``, ``Neighbor`` and ``Distance`` between their
    centres, pixels. Every pair stands in it twice, once from either side."""

    @property
    def counts(self) -> CellCounts:
        """Ids and mean counts of the cells, as `mean_intensities` gives them."""
        return self.intensities.index.to_numpy(), self.intensities.to_numpy(float)


def measure(
    image: np.ndarray,
    labels: np.ndarray,
    channels: Sequence[str],
    *,
    source: str,
    expansion_px: float = EXPANSION_PX,
) -> CellTables:
    """Measure the cells of a mask.

    Parameters
    ----------
    image
        (C, H, W) counts.
    labels
        (H, W) integers, 0 is background. A mask without cells gives tables without rows.
    channels
        (C,) names of the channels.
    source
        Image and mask, for messages.
    expansion_px
        Neighbours are cells that touch once each is grown by so much, pixels.

    Raises
    ------
    InputError
        If mask and image, or channels and image, do not fit; if two channels have one name; if
        counts are negative or missing.
    """
    check_image(image, channels, source)
    if labels.shape != image.shape[1:]:
        raise InputError(
            f"{source}: the mask has shape {labels.shape}, its image {image.shape[1:]}. They must "
            "show the same field of view: crop or export one of them again"
        )
    ids, means = mean_intensities(image, labels)
    shapes = cell_shapes(labels).rename_axis("Object")
    return CellTables(
        pd.DataFrame(means, index=pd.Index(ids, name="Object"), columns=list(channels)),
        shapes,
        _neighbors(labels, shapes[["centroid-0", "centroid-1"]], expansion_px),
    )


def check_image(image: np.ndarray, channels: Sequence[str], source: str) -> None:
    """Refuse an image whose channels cannot be told apart, or whose counts are none.

    Raises
    ------
    InputError
        If a name is missing or stands twice, or a count is negative or missing.
    """
    if len(channels) != len(image):
        raise InputError(
            f"{source}: {len(channels)} names for {len(image)} channels; the panel must name each"
        )
    if twice := [name for name, n in Counter(channels).items() if n > 1]:
        raise InputError(
            f"{source}: two channels are called {twice[0]!r}; give each a name of its own in the "
            "column `name` of panel.csv"
        )
    for name, plane in zip(channels, image, strict=True):
        lowest = plane.min(initial=0)  # NaN where one is
        if not lowest >= 0:
            raise InputError(
                f"{source}: channel {name!r} holds {lowest}, and counts are 0 or more. Use the "
                "counts as the instrument wrote them, before any correction or scaling"
            )


def _neighbors(labels: np.ndarray, centres: pd.DataFrame, expansion_px: float) -> pd.DataFrame:
    pairs = near_pairs(labels, expansion_px=expansion_px)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    step = centres.loc[both[:, 0]].to_numpy() - centres.loc[both[:, 1]].to_numpy()
    return pd.DataFrame(
        {"Object": both[:, 0], "Neighbor": both[:, 1], "Distance": np.hypot(step[:, 0], step[:, 1])}
    )


def table_path(folder: Path, table: str, mask: str, sample: str) -> Path:
    """Return where a table of `TABLES` lies: ``FOLDER/intensities_MASK/SAMPLE.csv``."""
    return Path(folder) / f"{table}_{mask}" / f"{sample}.csv"


def write_tables(folder: Path, mask: str, sample: str, tables: CellTables) -> None:
    """Write the tables of one mask of one image, as steinbock names them."""
    # Kernels that only measure do without it.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    for name in TABLES:
        path = table_path(folder, name, mask, sample)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = getattr(tables, name)
        table = table if name == "neighbors" else table.reset_index()
        # Arrow takes a quarter of pandas' time, but would put the names of columns in quotes.
        with path.open("wb") as file:
            file.write(table.iloc[:0].to_csv(index=False).encode())
            rows = pa.Table.from_pandas(table, preserve_index=False)
            csv.write_csv(rows, file, csv.WriteOptions(include_header=False))


def read_tables(folder: Path, mask: str, sample: str, labels: np.ndarray) -> CellTables:
    """Read tables again, and see that they are of a mask.

    Parameters
    ----------
    folder, mask, sample
        As for `write_tables`.
    labels
        (H, W) the mask.

    Raises
    ------
    InputError
        If a table is missing, has no column ``Object``, or names a cell that the mask lacks.
    """
    known = np.unique(labels[labels > 0])
    read = {name: _read_of(table_path(folder, name, mask, sample), known) for name in TABLES}
    intensities, regionprops = (read[name].set_index("Object") for name in TABLES[:2])
    return CellTables(intensities, regionprops, read["neighbors"])


def _read_of(path: Path, known: np.ndarray) -> pd.DataFrame:
    """Read a table, and see that it names no cell but known ones."""
    try:
        table = pd.read_csv(path, float_precision="round_trip", dtype=_DTYPES)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; measure the mask first") from None
    if "Object" not in table:
        raise InputError(f"{path}: no column 'Object'; found {', '.join(map(str, table))}")
    named = table[["Object", *table.columns.intersection(["Neighbor"])]].to_numpy().ravel()
    if (absent := np.setdiff1d(named, known)).size:
        raise InputError(
            f"{path}: it names cell {absent[0]}, which the mask lacks ({len(absent)} such ids). "
            "Is it of another mask, or was the mask relabelled? Measure this mask again"
        )
    return table
