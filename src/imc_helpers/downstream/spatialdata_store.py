"""Images, masks and cells of a cohort as one SpatialData store, which napari and squidpy open.

SpatialData asks for an older ``imagecodecs`` than the book pins, so this runs in the kernel
``squidpy``: ``make kernel-squidpy``, then::

    .kernels/squidpy/bin/python -m imc_helpers.downstream.spatialdata_store COHORT RATER OUT.zarr
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from imc_helpers.data.readers.published import open_cohort
from imc_helpers.data.samples import Cohort
from imc_helpers.downstream.export import as_anndata, region_name
from imc_helpers.downstream.measure import measure
from imc_helpers.errors import InputError


def write_spatialdata(
    path: Path, cohort: Cohort, mask: str, masks: Mapping[str, np.ndarray]
) -> None:
    """Write a set of masks with its images and cells.

    Parameters
    ----------
    path
        The store, ``OUT.zarr``.
    cohort
        The images.
    mask
        Name of the set: a rater's, for instance.
    masks
        (H, W) labels by sample.

    Raises
    ------
    InputError
        If something stands at the path.

    Notes
    -----
    Elements are ``images["image_SAMPLE"]``, ``labels["MASK_SAMPLE"]`` and ``tables["MASK"]``. Each
    image has a coordinate system of its own, named after it, in micrometres.
    """
    from spatialdata import SpatialData  # noqa: PLC0415  (in its own kernel alone)
    from spatialdata.models import Image2DModel, Labels2DModel, TableModel  # noqa: PLC0415
    from spatialdata.transformations import Scale  # noqa: PLC0415

    if Path(path).exists():
        raise InputError(f"{path}: there is something already; name a new store, or remove it")
    images, labels, tables = {}, {}, {}
    for sample in masks:
        image = cohort.read_image(sample)
        tables[sample] = measure(
            image, masks[sample], cohort.panel.names, source=f"{cohort.name}, image {sample}"
        )
        um_per_px = cohort.um_per_px(sample)
        system = region_name("image", sample)
        placed = {system: Scale([um_per_px, um_per_px], axes=("y", "x"))}
        images[system] = Image2DModel.parse(
            image, dims=("c", "y", "x"), c_coords=list(cohort.panel.names), transformations=placed
        )
        labels[region_name(mask, sample)] = Labels2DModel.parse(
            masks[sample], dims=("y", "x"), transformations=placed
        )
    cells = TableModel.parse(as_anndata(tables.items(), cohort, mask))
    SpatialData(images=images, labels=labels, tables={mask: cells}).write(path)


def main() -> None:
    """Write the store of a rater of a prepared cohort."""
    parser = argparse.ArgumentParser(description=write_spatialdata.__doc__)
    parser.add_argument("cohort", help="its key: a folder in data/")
    parser.add_argument("rater", help="whose masks")
    parser.add_argument("path", type=Path, help="the new store, OUT.zarr")
    arguments = parser.parse_args()
    cohort, rater = open_cohort(arguments.cohort), arguments.rater
    masks = {sample: cohort.read_mask(sample, rater) for sample in cohort.labelled_by(rater)}
    if not masks:
        raise InputError(
            f"cohort {cohort.name}: no masks of {rater!r}; there are those of "
            f"{', '.join(r.name for r in cohort.raters) or 'nobody'}"
        )
    write_spatialdata(arguments.path, cohort, rater, masks)


if __name__ == "__main__":
    main()
