"""Writing samples as a steinbock folder; `imc_helpers.data.samples` says what is in one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import replacing
from imc_helpers.data.raters import TRUTH
from imc_helpers.data.samples import Sample, as_labels, label_folder
from imc_helpers.errors import InputError


def write_cohort(folder: Path, samples: Iterable[Sample], *, overwrite: bool = False) -> None:
    """Write samples as a steinbock folder, whole or not at all.

    Parameters
    ----------
    folder
        Where to.
    samples
        Samples of one panel, taken one at a time.
    overwrite
        Replace what stands there, masks and panel included, once everything is written.

    Raises
    ------
    InputError
        If there is no sample, two have one id, their panels differ, or the folder is there already.
    """
    folder = Path(folder)
    if not overwrite and folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"{folder}: it is there already, perhaps with masks and a panel that you made. "
            "Choose another name, move it away, or pass overwrite=True"
        )
    rows: list[dict[str, Any]] = []
    crops: list[dict[str, Any]] = []
    planted: list[dict[str, Any]] = []
    panel: Panel | None = None
    with replacing(folder) as new:
        for sample in samples:
            panel = panel or sample.panel
            if sample.panel != panel:
                raise InputError(f"sample {sample.id}: its panel differs from the first sample's")
            if any(row["image"] == f"{sample.id}.tiff" for row in rows):
                raise InputError(f"sample {sample.id}: two samples have this id")
            rows.append(write_sample(new, sample))
            crops += [{"sample": sample.id, **window._asdict()} for window in sample.crops]
            planted += [{"image": sample.id, **sample.planted}] if sample.planted else []
        if panel is None:
            raise InputError(f"{folder}: no samples to write")
        panel.write(new / "panel.csv")
        pd.DataFrame(rows).to_csv(new / "images.csv", index=False)
        if crops:
            pd.DataFrame(crops).to_csv(new / "crops.csv", index=False)
        if planted:
            pd.DataFrame(planted).to_csv(new / TRUTH / "images.csv", index=False)


def write_sample(folder: Path, sample: Sample) -> dict[str, Any]:
    """Write the image and masks of one sample, and return its row of ``images.csv``.

    The image is written last and under another name until it is whole: a sample whose image is
    there is there.
    """
    kinds = {"masks": sample.masks, "nuclei": sample.nuclei, "drawn": sample.drawn}
    for kind, masks in kinds.items():
        for annotator, labels in masks.items():
            path = folder / label_folder(kind, annotator) / f"{sample.id}.tiff"
            _write_tiff(path, as_labels(labels, f"sample {sample.id}, {annotator}"))
    if sample.truth is not None:
        (folder / TRUTH).mkdir(exist_ok=True)
        # Seven digits, more than float32 has, make the table half as large.
        sample.truth.to_csv(folder / TRUTH / f"{sample.id}.csv", float_format="%.7g")
    draft = folder / "img" / f".{sample.id}.tiff"
    _write_tiff(draft, sample.image.astype(np.float32, copy=False))
    draft.replace(folder / "img" / f"{sample.id}.tiff")
    return {
        "image": f"{sample.id}.tiff",
        "width_px": sample.shape[1],
        "height_px": sample.shape[0],
        "num_channels": len(sample.panel),
        "um_per_px": sample.um_per_px,
    }


def _write_tiff(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Level 3 takes a third of the time of zlib's own 6, for files of counts that are 9 % larger.
    tifffile.imwrite(
        path, array, compression="zlib", compressionargs={"level": 3}, photometric="minisblack"
    )
