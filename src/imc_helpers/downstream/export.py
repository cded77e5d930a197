"""The cells of a set of masks, in the forms that other tools read: steinbock's tables and AnnData.

::

    FOLDER/intensities_MASK/SAMPLE.csv     imcRtools: read_steinbock(FOLDER,
    FOLDER/regionprops_MASK/SAMPLE.csv         intensities_folder = "intensities_MASK", …)
    FOLDER/neighbors_MASK/SAMPLE.csv
    FOLDER/MASK.h5ad                       scanpy, squidpy, sopa

Masks of one image by several raters make several such sets: the same analysis then runs on each.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.measure import CellTables, measure, write_tables

COFACTOR = 1.0
"""Counts are divided by it before the inverse hyperbolic sine: 1, as is usual for IMC."""


def write_measurements(
    folder: Path, cohort: Cohort, mask: str, masks: Mapping[str, np.ndarray]
) -> dict[str, CellTables]:
    """Measure a set of masks, and write tables and AnnData.

    Parameters
    ----------
    folder
        Where to.
    cohort
        The images.
    mask
        Name of the set: a rater's, or a model's.
    masks
        (H, W) labels by sample; a mapping may read them when they are asked for.

    Returns
    -------
    dict
        The tables by sample.
    """
    tables = write_steinbock(folder, cohort, mask, masks)
    write_anndata(folder, mask, as_anndata(tables.items(), cohort, mask))
    return tables


def write_steinbock(
    folder: Path, cohort: Cohort, mask: str, masks: Mapping[str, np.ndarray]
) -> dict[str, CellTables]:
    """Measure a set of masks, and write steinbock's tables, as `write_measurements` does."""
    tables = {}
    for sample in masks:
        source = f"{cohort.name}, image {sample}, mask of {mask}"
        tables[sample] = measure(
            cohort.read_image(sample), masks[sample], cohort.panel.names, source=source
        )
        write_tables(folder, mask, sample, tables[sample])
    return tables


def write_anndata(folder: Path, mask: str, cells: Any) -> None:
    """Write the AnnData of a set of masks where this module says."""
    cells.write_h5ad(folder / f"{mask}.h5ad", compression="gzip", compression_opts=1)


def region_name(mask: str, sample: str) -> str:
    """Name the labels of a mask of an image, with the letters that SpatialData allows."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{mask}_{sample}")


def as_anndata(tables: Iterable[tuple[str, CellTables]], cohort: Cohort, mask: str) -> Any:
    """Put the tables of a set of masks into one AnnData.

    Parameters
    ----------
    tables
        Samples, and what `measure` gives for each; they may be read one after the other.
    cohort
        The images: their panel and size of pixel.
    mask
        Name of the set.

    Returns
    -------
    anndata.AnnData
        One row per cell. ``X`` mean counts (float32), ``layers["exprs"]`` their inverse hyperbolic
        sine; ``var`` the panel; ``obs``: ``image``, ``Object`` (id in the mask), ``cell_id`` (the
        same, as SpatialData links rows to labels), ``area`` (square micrometres), ``region``;
        ``obsm["spatial"]`` centres as (x, y), micrometres from the image's top left corner;
        ``obsp["spatial_connectivities"]`` and ``["spatial_distances"]`` (micrometres between
        centres), neighbours by expansion; ``uns["spatialdata_attrs"]``.
    """
    from anndata import AnnData  # noqa: PLC0415  (slow to load)

    # Each image's tables are let go once what is kept of them is here: masks of hundreds of images
    # have millions of cells.
    names, ids, areas, centres, means, graphs = [], [], [], [], [], []
    for sample, own in tables:
        um_per_px, shapes = cohort.um_per_px(sample), own.regionprops
        names.append((sample, region_name(mask, sample), len(shapes)))
        ids.append(shapes.index.to_numpy(np.int64))
        areas.append(shapes["area"].to_numpy() * um_per_px**2)
        # Pixel centres are whole numbers, so the image begins at -.5.
        centres.append((shapes[["centroid-1", "centroid-0"]].to_numpy() + 0.5) * um_per_px)
        means.append(own.intensities.to_numpy(np.float32))
        graphs.append(_distances(own, um_per_px))
    images, regions, sizes = zip(*names, strict=True)
    objects = np.concatenate(ids)
    obs = pd.DataFrame(
        {
            "image": pd.Categorical(images).repeat(sizes),
            "Object": objects,
            "cell_id": objects,
            "area": np.concatenate(areas),
            "region": pd.Categorical(regions).repeat(sizes),
        },
        index=[f"{name}_{k}" for (name, *_), own in zip(names, ids, strict=True) for k in own],
    )
    counts = np.concatenate(means)
    panel = [(c.channel, c.compartment) for c in cohort.panel.channels]
    apart = _joined(graphs)
    near = sparse.csr_matrix((np.ones_like(apart.data), apart.indices, apart.indptr), apart.shape)
    return AnnData(
        X=counts,
        layers={"exprs": np.arcsinh(counts / np.float32(COFACTOR))},
        obs=obs,
        var=pd.DataFrame(panel, columns=["channel", "compartment"], index=list(cohort.panel.names)),
        obsm={"spatial": np.concatenate(centres)},
        obsp={"spatial_connectivities": near, "spatial_distances": apart},
        uns={
            "spatialdata_attrs": {
                "region": list(obs["region"].unique()),
                "region_key": "region",
                "instance_key": "cell_id",
            }
        },
    )


def _distances(tables: CellTables, um_per_px: float) -> sparse.csr_matrix:
    """Return the distances between neighbours, (N, N) float32, micrometres."""
    ids, pairs = tables.regionprops.index, tables.neighbors
    ends = tuple(ids.get_indexer(pd.Index(pairs[end])) for end in ("Object", "Neighbor"))
    apart = (pairs["Distance"].to_numpy() * um_per_px).astype(np.float32)
    return sparse.csr_matrix((apart, ends), shape=(len(ids), len(ids)))


def _joined(graphs: list[sparse.csr_matrix]) -> sparse.csr_matrix:
    """Put the graphs of images on the diagonal of one.

    As `scipy.sparse.block_diag` does, in a third of its memory.
    """
    firsts = np.cumsum([0, *(graph.shape[0] for graph in graphs)])
    entries = np.cumsum([0, *(graph.nnz for graph in graphs)])
    starts = [graph.indptr[:-1] + done for graph, done in zip(graphs, entries[:-1], strict=True)]
    columns = [graph.indices + np.int32(f) for graph, f in zip(graphs, firsts[:-1], strict=True)]
    return sparse.csr_matrix(
        (
            np.concatenate([graph.data for graph in graphs]),
            np.concatenate(columns),
            np.concatenate([*starts, entries[-1:]]),
        ),
        shape=(firsts[-1], firsts[-1]),
    )
