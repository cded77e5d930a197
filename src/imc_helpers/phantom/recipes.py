"""Phantom cohorts in the manner of the study's five, a spleen, and one with planted phenotypes.

A cohort imitates what the study reports of its model: density of cells, size of images, kind of
tissue, which of the study's markers the panel has, and whether four experts or one annotated it
(Schuiki et al. 2025, Tables 1 and 2). It imitates nothing else. The spleen stands beside the open
one; the cohort of phenotypes imitates nobody's, and has what a study of phenotypes looks for:
states, contacts, and two groups of images that differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from scipy.special import ndtri

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Sample
from imc_helpers.errors import InputError
from imc_helpers.patching import Window
from imc_helpers.phantom._random import generator
from imc_helpers.phantom.drawing import ONE_EXPERT, TRUTH, ExpertGroup
from imc_helpers.phantom.experts import (
    N_CROPS,
    Expert,
    annotate,
    crops_to_draw,
    draw_crops,
    train_experts,
)
from imc_helpers.phantom.imaging import ImagingParameters, image_tissue
from imc_helpers.phantom.markers import MARKERS, PHENOTYPE_MARKERS, Marker
from imc_helpers.phantom.origins import Light, light_of
from imc_helpers.phantom.tissue import Contacts, Niche, TissueParameters, make_tissue
from imc_helpers.phantom.true_cells import describe_cells


@dataclass(frozen=True)
class Differences:
    """How the images of a cohort differ, beyond chance: by themselves, and as two groups."""

    composition_sd: float
    """Spread of each type's share among the cells, from image to image: standard deviation of its
    logarithm, before the shares are made to sum to 1 again."""
    sensitivity_sd: float
    """Spread of the sensitivity from image to image: standard deviation of its logarithm."""
    group_type: str
    """Type whose share differs between two groups; images belong to them in turn."""
    odds: float
    """Odds of that type in group b over those in group a."""

    def __post_init__(self) -> None:
        for name in ("composition_sd", "sensitivity_sd", "odds"):
            if not 0 <= getattr(self, name) < 100:
                raise InputError(f"{name}: expected 0 or more, found {getattr(self, name)}")


@dataclass(frozen=True)
class CohortRecipe:
    """How the samples of a phantom cohort are made."""

    imitates: str
    """The real cohort that it is modelled on."""
    tissue: TissueParameters
    """What the sections are made of."""
    panel: Panel
    """The channels."""
    imaging: ImagingParameters
    """How the instrument saw them."""
    experts: ExpertGroup | None
    """Who annotated; None for nobody."""
    demo_samples: int
    """Number of samples at scale 0."""
    demo_px: tuple[int, int]
    """Typical height and width at scale 0, pixels."""
    full_samples: int
    """Number of samples at scale 1: the study's."""
    full_px: tuple[int, int]
    """Mean height and width at scale 1: the study's, pixels."""
    size_sd: float = 0.0
    """Spread of the sides from sample to sample: standard deviation of their logarithm."""
    cells_per_patch: float | None = None
    """Masks per patch of 256 x 256 pixels that the study reports, if it does."""
    markers: Mapping[str, Marker] = field(default_factory=lambda: MARKERS)
    """What the panel's channels show."""
    differences: Differences | None = None
    """What is planted between images; None where they differ by chance alone."""


_STUDY_MEMBRANE = {
    "CD19": "Nd142",
    "TOMM20": "Nd144",
    "CD5": "Nd145",
    "CD4": "Gd156",
    "CD68": "Tb159",
    "CD20": "Dy161",
    "CD8a": "Dy162",
    "CD14": "Dy163",
    "CD45RA": "Er166",
    "B2M": "Yb171",
    "CD45RO": "Yb173",
}
"""The study's membrane markers and their metals (Table 2)."""


def _panel(membrane: Mapping[str, str], others: Mapping[str, str]) -> Panel:
    nucleus = {"DNA1": "Ir191", "DNA2": "Ir193"}
    return Panel(
        tuple(
            Channel(metal, name, compartment)
            for metals, compartment in ((nucleus, "nucleus"), (membrane, "membrane"), (others, ""))
            for name, metal in metals.items()
        )
    )


def _lymphoid_niches(cells_per_mm2: float, b_share: float = 0.45) -> tuple[Niche, ...]:
    return (
        Niche(
            "medulla",
            0.15,
            0.8 * cells_per_mm2,
            {
                "CD4 T": 0.28,
                "CD8 T": 0.14,
                "B": 0.14,
                "macrophage": 0.20,
                "stromal": 0.14,
                "endothelial": 0.10,
            },
        ),
        Niche(
            "T zone",
            0.85 - b_share,
            cells_per_mm2,
            {
                "CD4 T": 0.52,
                "CD8 T": 0.20,
                "B": 0.16,
                "macrophage": 0.05,
                "stromal": 0.04,
                "endothelial": 0.03,
            },
        ),
        Niche(
            "follicle",
            b_share,
            1.03 * cells_per_mm2,
            {"B": 0.85, "CD4 T": 0.09, "macrophage": 0.03, "stromal": 0.03},
        ),
    )


def _tumour_niches(
    tumour: str, share: float, cells_per_mm2: float, lymphocytes_per_mm2: float
) -> tuple[Niche, ...]:
    return (
        Niche(
            "stroma",
            0.9 - share,
            0.6 * cells_per_mm2,
            {"stromal": 0.6, "endothelial": 0.15, "macrophage": 0.15, "CD4 T": 0.10},
        ),
        Niche(
            "infiltrate",
            0.1,
            lymphocytes_per_mm2,
            {"CD4 T": 0.35, "CD8 T": 0.25, "B": 0.2, "macrophage": 0.1, "stromal": 0.1},
        ),
        Niche(
            "tumour",
            share,
            cells_per_mm2,
            {tumour: 0.92, "macrophage": 0.04, "CD8 T": 0.04},
        ),
    )


_BACKGROUND = {"ArAr80": "ArAr80"}
# Only CD68 and CD20 of the study's membrane markers are in the two breast panels.
_BREAST_PANEL = _panel(
    {"CD68": "Nd146", "CD20": "Dy164"},
    {
        "HistoneH3": "In113",
        "aSMA": "Nd148",
        "Vimentin": "Sm149",
        "CD3": "Sm152",
        "CD45": "Dy162",
        "ECadherin": "Er167",
        "panCK": "Lu175",
    }
    | _BACKGROUND,
)

COHORTS: Mapping[str, CohortRecipe] = MappingProxyType(
    {
        "phantom_lymphoid": CohortRecipe(
            imitates="the study's own lymphoid tissue",
            tissue=TissueParameters(_lymphoid_niches(13_500.0)),
            panel=_panel(_STUDY_MEMBRANE, _BACKGROUND | {"Ce140": "Ce140"}),
            imaging=ImagingParameters(),
            experts=ExpertGroup(n_experts=4),
            demo_samples=4,
            demo_px=(512, 512),
            full_samples=10,
            full_px=(1000, 1000),
            cells_per_patch=823.7,
        ),
        "phantom_ali20": CohortRecipe(
            imitates="Ali20, breast cancer",
            tissue=TissueParameters(_tumour_niches("epithelial", 0.5, 5_600.0, 7_200.0)),
            panel=_BREAST_PANEL,
            imaging=ImagingParameters(sensitivity=0.7),
            experts=ONE_EXPERT,
            demo_samples=5,
            demo_px=(400, 400),
            full_samples=548,
            full_px=(463, 478),
            size_sd=0.40,
            cells_per_patch=314.0,
        ),
        "phantom_rendeiro21": CohortRecipe(
            imitates="Rendeiro21, lung",
            tissue=TissueParameters(
                (
                    Niche("airspace", 0.45, 250.0, {"macrophage": 0.8, "CD4 T": 0.2}),
                    Niche(
                        "septum",
                        0.40,
                        4_700.0,
                        {
                            "endothelial": 0.30,
                            "epithelial": 0.25,
                            "stromal": 0.20,
                            "macrophage": 0.15,
                            "CD8 T": 0.10,
                        },
                    ),
                    Niche(
                        "interstitium",
                        0.15,
                        5_700.0,
                        {"stromal": 0.45, "CD4 T": 0.25, "macrophage": 0.20, "B": 0.10},
                    ),
                ),
                niche_scale_um=45.0,
            ),
            panel=_panel(
                {
                    "CD14": "Nd148",
                    "CD68": "Nd150",
                    "CD4": "Gd156",
                    "CD20": "Dy161",
                    "CD8a": "Dy162",
                },
                {
                    "aSMA": "Pr141",
                    "CD31": "Eu151",
                    "CD45": "Sm152",
                    "Vimentin": "Sm154",
                    "Collagen1": "Tm169",
                    "CD3": "Er170",
                    "panCK": "Yb174",
                    "HistoneH3": "In113",
                }
                | _BACKGROUND,
            ),
            imaging=ImagingParameters(sensitivity=0.5, hot_rate=3e-4),
            experts=ONE_EXPERT,
            demo_samples=4,
            demo_px=(400, 400),
            full_samples=229,
            full_px=(1108, 1188),
            size_sd=0.08,
            cells_per_patch=185.3,
        ),
        "phantom_jackson20": CohortRecipe(
            imitates="Jackson20, breast cancer",
            tissue=TissueParameters(_tumour_niches("epithelial", 0.55, 5_200.0, 6_800.0)),
            panel=_BREAST_PANEL,
            imaging=ImagingParameters(sensitivity=0.85),
            experts=ONE_EXPERT,
            demo_samples=4,
            demo_px=(400, 400),
            full_samples=746,
            full_px=(597, 627),
            size_sd=0.37,
            cells_per_patch=320.5,
        ),
        "phantom_hoch22": CohortRecipe(
            imitates="Hoch22, melanoma",
            tissue=TissueParameters(_tumour_niches("melanoma", 0.65, 7_300.0, 9_400.0)),
            panel=_panel(
                {
                    "CD19": "Nd145",
                    "CD45RA": "Nd146",
                    "CD20": "Sm149",
                    "CD68": "Nd150",
                    "CD45RO": "Dy162",
                    "CD8a": "Er166",
                    "CD4": "Yb171",
                },
                {
                    "Vimentin": "Cd111",
                    "HistoneH3": "In113",
                    "aSMA": "In115",
                    "CD3": "Sm152",
                    "Collagen1": "Er167",
                    "SOX10": "Yb173",
                    "CD45": "Y89",
                }
                | _BACKGROUND,
            ),
            imaging=ImagingParameters(sensitivity=1.2),
            experts=ONE_EXPERT,
            demo_samples=4,
            demo_px=(400, 400),
            full_samples=167,
            full_px=(993, 963),
            size_sd=0.06,
            cells_per_patch=467.4,
        ),
        "phantom_spleen": CohortRecipe(
            imitates="the open spleen cohort (Spectre)",
            tissue=TissueParameters(_lymphoid_niches(18_500.0, b_share=0.5), area_factor=0.68),
            panel=_panel(
                {
                    "CD4": "Gd156",
                    "CD68": "Tb159",
                    "CD20": "Dy161",
                    "CD8a": "Dy162",
                },
                {
                    "HistoneH3": "Yb176",
                    "CD45": "Sm152",
                    "CD3": "Er170",
                    "aSMA": "Pr141",
                    "Vimentin": "Nd143",
                    "Collagen1": "Tm169",
                    "Ce140": "Ce140",
                }
                | _BACKGROUND,
            ),
            imaging=ImagingParameters(),
            experts=None,
            demo_samples=2,
            demo_px=(500, 500),
            full_samples=4,
            full_px=(500, 500),
        ),
        "phantom_phenotypes": CohortRecipe(
            imitates="no real cohort: what a study of phenotypes would want to find is planted",
            tissue=TissueParameters(
                (
                    Niche(
                        "parenchyma",
                        1.0,
                        9_000.0,
                        {
                            "CD4 T": 0.26,
                            "CD8 T": 0.16,
                            "B": 0.24,
                            "macrophage": 0.14,
                            "stromal": 0.12,
                            "endothelial": 0.08,
                        },
                    ),
                ),
                contacts=Contacts("CD4 T", "endothelial", 0.2),
            ),
            panel=_panel(
                {
                    "CD4": "Gd156",
                    "CD68": "Tb159",
                    "CD20": "Dy161",
                    "CD8a": "Dy162",
                    "CD45RO": "Yb173",
                },
                {
                    "aSMA": "Pr141",
                    "CD31": "Eu151",
                    "CD3": "Er170",
                    "Ki67": "Er168",
                    "GranzymeB": "Er167",
                    "PD1": "Ho165",
                }
                | _BACKGROUND,
            ),
            imaging=ImagingParameters(),
            experts=ExpertGroup(n_experts=4),
            demo_samples=8,
            demo_px=(256, 256),
            full_samples=40,
            full_px=(600, 600),
            markers=PHENOTYPE_MARKERS,
            differences=Differences(
                composition_sd=0.2, sensitivity_sd=0.25, group_type="CD8 T", odds=1.8
            ),
        ),
    }
)
"""The phantom cohorts by key.

Panels follow what the real ones have of the study's markers, on the real ones' metals as published
with each cohort; densities were set so that the masks hold the study's number of cells per patch.
"""

_MIN_SIDE_PX = 100
_GOLDEN = 0.6180339887498949

DEFAULT_SEED = 1
"""Seed of the cohorts that the demo shows.

Groups of four experts differ: over the seeds 0 to 4 the mean agreement of a group runs from .66 to
.81 in ap50, and averages .72 (``benchmarks/results/phantom_groups.csv``). This seed was chosen
because its group's agreement lies within .05 of the study's Table 3; the others are as good.
"""


def phantom_cohort(
    name: str, *, scale: float = 0.0, seed: int = DEFAULT_SEED, n_jobs: int = 1
) -> Iterator[Sample]:
    """Make a phantom cohort, one sample at a time.

    Parameters
    ----------
    name
        A key of :data:`COHORTS`.
    scale
        0 for the demo's numbers and sizes of images, 1 for the study's own, in between for what
        lies in between.
    seed
        The same seed gives the same cohort. Cohorts of another scale share no images.
    n_jobs
        Threads for the simulated experts. The masks do not depend on it.

    Returns
    -------
    Iterator[Sample]
        Samples with the truth under ``"truth"`` and the experts' masks under ``"annotator1"``
        and so on; both have cells and nuclei. Images are (C, H, W) float32 counts at 1 um/px. The
        experts labelled other tissue: as many images of the same sizes, which are not returned.

    Raises
    ------
    InputError
        If there is no such cohort, or the scale lies outside 0 to 1.
    """
    recipe = find_recipe(name)
    if not 0 <= scale <= 1:
        raise InputError(f"scale: expected 0 (demo) to 1 (the study's numbers), found {scale}")
    return _samples(name, recipe, scale, seed, n_jobs)


def find_recipe(name: str) -> CohortRecipe:
    """Return the recipe of a cohort.

    Raises
    ------
    InputError
        If there is no such cohort.
    """
    if name not in COHORTS:
        raise InputError(f"unknown phantom cohort {name!r}; known: {', '.join(COHORTS)}")
    return COHORTS[name]


def make_sample(
    recipe: CohortRecipe, shape_px: tuple[int, int], seed: int, sample_id: str
) -> Sample:
    """Make one sample of a recipe, with its truth and nobody's annotations."""
    tissue = make_tissue(shape_px, recipe.tissue, seed)
    image = image_tissue(tissue, recipe.panel, recipe.imaging, seed, recipe.markers)
    light = light_of(tissue, recipe.panel, recipe.imaging, seed, recipe.markers)
    return Sample(
        id=sample_id,
        image=image,
        panel=recipe.panel,
        um_per_px=tissue.um_per_px,
        masks={TRUTH: tissue.cells},
        nuclei={TRUTH: tissue.nuclei},
        truth=describe_cells(tissue, light),
    )


def sample_light(name: str, sample_id: str, *, scale: float, seed: int) -> Light:
    """Return what the cells of one image of a phantom cohort emit, without making its image.

    Parameters
    ----------
    name, scale, seed
        Of the cohort, as in `phantom_cohort`; the manifest's record of a cohort has them.
    sample_id
        Of the image.

    Raises
    ------
    InputError
        If there is no such cohort, or no such image in it.
    """
    recipe = find_recipe(name)
    shapes, seeds = sample_shapes(recipe, scale), _seeds(name, recipe, scale, seed)
    known = [_sample_id(name, k) for k in range(len(shapes))]
    if sample_id not in known:
        raise InputError(f"sample {sample_id!r}: {name} has {', '.join(known[:8])}")
    k = known.index(sample_id)
    own, _ = recipe_of_image(recipe, k, int(seeds[k]))
    tissue = make_tissue(shapes[k], own.tissue, int(seeds[k]))
    return light_of(tissue, own.panel, own.imaging, int(seeds[k]), own.markers)


def recipe_of_image(
    recipe: CohortRecipe, k: int, seed: int
) -> tuple[CohortRecipe, dict[str, str | float]]:
    """Return what image k of a cohort is made from, and what was planted in it.

    Parameters
    ----------
    recipe
        Of the cohort.
    k
        Position of the image; even ones are of group a, odd ones of group b.
    seed
        Of the image.

    Returns
    -------
    recipe : CohortRecipe
        The cohort's own where nothing is planted.
    planted : dict
        ``group``; ``type``, the one whose share differs between groups, and its ``odds`` in this
        group over those in group a; ``sensitivity``; and for each type ``share_TYPE``, the share
        that a cell is of it (of the niches together, by their number of cells). Empty where
        nothing is planted.
    """
    differences = recipe.differences
    if differences is None:
        return recipe, {}
    rng = generator(seed, "between images")
    types = list(recipe.tissue.cell_types)
    spread = differences.composition_sd * rng.standard_normal(len(types))
    factor = dict(zip(types, np.exp(spread), strict=True))
    group = "ab"[k % 2]
    odds = differences.odds if group == "b" else 1.0
    sensitivity = recipe.imaging.sensitivity * float(
        np.exp(differences.sensitivity_sd * rng.standard_normal())
    )
    niches = []
    for niche in recipe.tissue.niches:
        shares = {name: share * factor[name] for name, share in niche.composition.items()}
        shares = _summing_to_one(shares)
        if differences.group_type in shares:  # odds of a share are its weight beside all others
            shares[differences.group_type] *= odds
        niches.append(replace(niche, composition=_summing_to_one(shares)))
    cells = [niche.share * niche.cells_per_mm2 for niche in niches]
    own = replace(
        recipe,
        tissue=replace(recipe.tissue, niches=tuple(niches)),
        imaging=replace(recipe.imaging, sensitivity=sensitivity),
    )
    named = dict.fromkeys(name for niche in niches for name in niche.composition)
    expected = {
        f"share_{name}": float(
            np.average([niche.composition.get(name, 0.0) for niche in niches], weights=cells)
        )
        for name in named
    }
    planted: dict[str, str | float] = {
        "group": group,
        "type": differences.group_type,
        "odds": odds,
        "sensitivity": sensitivity,
        **expected,
    }
    return own, planted


def _summing_to_one(shares: Mapping[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _sample_id(name: str, k: int) -> str:
    return f"{name}_{k + 1:03d}"


def _seeds(name: str, recipe: CohortRecipe, scale: float, seed: int) -> np.ndarray:
    """Return the seed of each image of a cohort, and last the one of its experts."""
    n = len(sample_shapes(recipe, scale))
    return generator(seed, name, f"{scale:.6f}").integers(2**31, size=n + 1)


def sample_shapes(recipe: CohortRecipe, scale: float) -> list[tuple[int, int]]:
    """Return height and width of each sample of a cohort, pixels."""

    def between(demo: float, full: float) -> float:
        return demo + scale * (full - demo)

    n = round(between(recipe.demo_samples, recipe.full_samples))
    # Evenly spread quantiles, so that a handful of samples shows small and large ones.
    spread = recipe.size_sd * ndtri((np.arange(1, n + 1) * _GOLDEN) % 1)
    factor = np.exp(spread - recipe.size_sd**2 / 2)  # keeps the mean where the study's is
    height, width = (
        between(demo, full) for demo, full in zip(recipe.demo_px, recipe.full_px, strict=True)
    )
    return [
        (max(_MIN_SIDE_PX, round(height * f)), max(_MIN_SIDE_PX, round(width * f)))
        for f in np.round(factor, 6)
    ]


def _samples(
    name: str, recipe: CohortRecipe, scale: float, seed: int, n_jobs: int
) -> Iterator[Sample]:
    shapes = sample_shapes(recipe, scale)
    seeds = _seeds(name, recipe, scale, seed)

    def bare(k: int, seed: int, sample_id: str) -> Sample:
        own, planted = recipe_of_image(recipe, k, seed)
        return replace(make_sample(own, shapes[k], seed, sample_id), planted=planted)

    experts: tuple[Expert, ...] = ()
    crops: list[tuple[Window, ...]] = []
    if recipe.experts is not None:
        # Crops of what is scored: drawn by the same people, and by nobody's classifier learned.
        crops = crops_to_draw(shapes[:N_CROPS], int(seeds[-1]))
        # Tissue of their own: cells that a classifier was trained on are never among those scored.
        own = generator(seed, name, f"{scale:.6f}", "experts").integers(2**31, size=len(shapes))
        labelled = [
            bare(k, int(s), f"{name}_experts_{k + 1:03d}") for k, s in enumerate(own[:N_CROPS])
        ]
        experts = train_experts(labelled, recipe.experts, int(seeds[-1]), n_jobs)
        del labelled  # at the study's sizes ten images fill a laptop
    for k in range(len(shapes)):
        sample = annotate(bare(k, int(seeds[k]), _sample_id(name, k)), experts, n_jobs)
        if recipe.experts is not None and k < len(crops):
            drawn = draw_crops(sample, crops[k], recipe.experts, int(seeds[-1]))
            sample = replace(sample, drawn=drawn if crops[k] else {}, crops=crops[k])
        yield sample
