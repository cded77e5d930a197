"""The masks of a cohort, maker by maker: annotators, tools, models, and the truth of a phantom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from imc_helpers.data.predictions import find_models, read_prediction
from imc_helpers.data.samples import Cohort


class MaskSet(Mapping[str, np.ndarray]):
    """Masks of one maker by sample, (H, W) labels, read when they are asked for.

    Parameters
    ----------
    samples
        Which there are.
    read
        Returns the mask of a sample.
    """

    def __init__(self, samples: Iterable[str], read: Callable[[str], np.ndarray]) -> None:
        self._samples, self._read = tuple(samples), read

    def __getitem__(self, sample: str) -> np.ndarray:
        return self._read(sample)

    def __contains__(self, sample: object) -> bool:
        return sample in self._samples  # Mapping's own would read the mask

    def __iter__(self) -> Iterator[str]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)


def mask_sets(
    cohort: Cohort, models: Iterable[str], *, samples: Sequence[str] | None = None
) -> dict[str, MaskSet]:
    """Return the masks of everyone who made some.

    Parameters
    ----------
    cohort
        The images.
    models
        Keys of models; those without a finished run on whole images are left out.
    samples
        Some of the cohort's samples; all of them when not given.

    Returns
    -------
    dict
        Raters first (the truth among them), in the cohort's order, then models, in theirs. Who has
        no mask of these samples is left out.
    """
    wanted = set(cohort.ids if samples is None else samples)
    sets = {
        rater.name: MaskSet(
            [sample for sample in cohort.labelled_by(rater.name) if sample in wanted],
            lambda sample, name=rater.name: cohort.read_mask(sample, name),  # type: ignore[misc]
        )
        for rater in cohort.raters
    }
    for model, run in find_models(cohort.name, models, "whole").items():
        sets[model] = MaskSet(
            [one.sample for one in run.samples if one.sample in wanted],
            lambda sample, name=model: read_prediction(cohort.name, name, "whole", sample),  # type: ignore[misc]
        )
    return {name: masks for name, masks in sets.items() if len(masks)}
