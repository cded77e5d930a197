"""Read the formats that IMC data comes in, and make cohorts of it.

``images`` and ``masks`` read single files; ``cohorts`` knows how the public cohorts are laid out.
"""

from imc_helpers.readers.cohorts import open_cohort, prepare
from imc_helpers.readers.images import (
    read_channel_folder,
    read_mcd,
    read_ome_tiff,
    read_txt,
)
from imc_helpers.readers.masks import (
    read_cellprofiler_mask,
    read_ilastik_objects,
    read_mask,
    read_pickled_mask,
)

__all__ = [
    "open_cohort",
    "prepare",
    "read_cellprofiler_mask",
    "read_channel_folder",
    "read_ilastik_objects",
    "read_mask",
    "read_mcd",
    "read_ome_tiff",
    "read_pickled_mask",
    "read_txt",
]
