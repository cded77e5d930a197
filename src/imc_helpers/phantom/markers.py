"""Markers: what each channel shows, in which cells, where in the cell, and how many ions.

Levels of the markers that the open spleen cohort has (DNA, HistoneH3, CD45, CD20, CD3, CD4, CD8a,
CD68, aSMA, Vimentin, Collagen I, background) were set so that the phantom spleen has the
medians, 99th percentiles, shares of zero pixels and neighbour correlations of its four regions
(Spectre, github.com/ImmuneDynamics/Spectre, commit 28f9dfb, MIT). The others have no open IMC to be
fitted to: their levels follow those of fitted markers of the same kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from imc_helpers.errors import InputError


@dataclass(frozen=True)
class Localisation:
    """Where in a cell a target is, as parts of the level where it is most."""

    membrane: float
    """On the outline of the cell; what is nucleus there adds to it."""
    cytoplasm: float
    """Between outline and nucleus."""
    nucleus: float
    """Where the whole section is nucleus; less where part of it is."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise InputError(f"localisation: {name} must lie in 0 to 1, found {value}")


@dataclass(frozen=True)
class Marker:
    """One target of a panel."""

    counts: Mapping[str, float]
    """Median ions per pixel in a cell of each type, where the target is; 0 for types not named."""
    background: float
    """Expected ions per pixel where the target is not: unspecific binding, plasma gas."""
    where: Localisation
    """Where in the cell it is."""
    cell_cv: float = 0.45
    """Spread from cell to cell: standard deviation of the logarithm."""
    grain: float = 0.35
    """Spread from pixel to pixel within a cell: standard deviation of the logarithm."""
    stain: str = ""
    """Markers with the same stain share cells and grain, as two isotopes of one dye do."""
    positive: Mapping[str, float] = field(default_factory=dict)
    """Share of the cells of a type that have the target; all of them for types not named."""

    def __post_init__(self) -> None:
        for name in ("background", "cell_cv", "grain"):
            if not 0 <= getattr(self, name) < 1e6:
                raise InputError(f"marker: {name} must be 0 or more, found {getattr(self, name)}")
        if any(value < 0 for value in self.counts.values()):
            raise InputError("marker: counts must be 0 or more for every cell type")
        if any(not 0 <= share <= 1 for share in self.positive.values()):
            raise InputError("marker: a share of positive cells must lie in 0 to 1")
        object.__setattr__(self, "positive", MappingProxyType(dict(self.positive)))
        object.__setattr__(self, "counts", MappingProxyType(dict(self.counts)))


_EVERY = ("B", "CD4 T", "CD8 T", "macrophage", "stromal", "endothelial", "epithelial", "melanoma")
_ON_MEMBRANE = Localisation(membrane=1.0, cytoplasm=0.55, nucleus=0.30)
_IN_CYTOPLASM = Localisation(membrane=0.7, cytoplasm=1.0, nucleus=0.35)
_IN_NUCLEUS = Localisation(membrane=0.0, cytoplasm=0.04, nucleus=1.0)
_BETWEEN_CELLS = Localisation(membrane=1.0, cytoplasm=0.8, nucleus=0.5)
_NOWHERE = Localisation(0.0, 0.0, 0.0)


def _dna(counts: float, background: float) -> Marker:
    return Marker(
        {name: counts * (0.75 if name == "macrophage" else 1.0) for name in _EVERY},
        background,
        _IN_NUCLEUS,
        cell_cv=0.45,
        grain=0.32,
        stain="DNA",
    )


MARKERS: Mapping[str, Marker] = MappingProxyType(
    {
        # Fitted to the open spleen cohort.
        "DNA1": _dna(88.0, 2.5),
        "DNA2": _dna(161.0, 4.5),
        "HistoneH3": Marker(
            dict.fromkeys(_EVERY, 150.0), 14.0, _IN_NUCLEUS, cell_cv=0.35, grain=0.15
        ),
        "CD20": Marker({"B": 48.0}, 0.6, _ON_MEMBRANE),
        "CD45": Marker(
            {"B": 20.0, "CD4 T": 22.0, "CD8 T": 24.0, "macrophage": 6.0}, 0.5, _ON_MEMBRANE
        ),
        "CD3": Marker({"CD4 T": 5.5, "CD8 T": 5.0}, 0.25, _ON_MEMBRANE),
        "CD4": Marker({"CD4 T": 4.5, "macrophage": 2.0}, 0.35, _ON_MEMBRANE),
        "CD8a": Marker({"CD8 T": 9.0, "endothelial": 3.0}, 0.6, _ON_MEMBRANE),
        "CD68": Marker({"macrophage": 32.0}, 2.6, _IN_CYTOPLASM, cell_cv=0.7),
        "aSMA": Marker({"stromal": 60.0, "endothelial": 80.0}, 2.5, _IN_CYTOPLASM, cell_cv=0.9),
        "Vimentin": Marker(
            {"stromal": 40.0, "endothelial": 40.0, "macrophage": 15.0, "melanoma": 20.0},
            4.0,
            _IN_CYTOPLASM,
            cell_cv=0.6,
            grain=0.5,
        ),
        "Collagen1": Marker({"stromal": 18.0}, 0.45, _BETWEEN_CELLS),
        "ArAr80": Marker({}, 4250.0, _NOWHERE, grain=0.0),
        "Ce140": Marker({}, 0.09, _NOWHERE, grain=0.0),
        # The study's other membrane markers: levels by analogy (B-cell markers with CD20, T-cell
        # markers with CD3, markers of most cells with CD45 and Vimentin).
        "CD19": Marker({"B": 6.0}, 0.4, _ON_MEMBRANE),
        "TOMM20": Marker(
            dict.fromkeys(_EVERY, 6.0) | {"macrophage": 12.0, "epithelial": 14.0, "melanoma": 14.0},
            0.8,
            _IN_CYTOPLASM,
        ),
        "CD5": Marker({"CD4 T": 7.0, "CD8 T": 6.0, "B": 1.2}, 0.3, _ON_MEMBRANE),
        "CD14": Marker({"macrophage": 9.0}, 0.4, _ON_MEMBRANE, cell_cv=0.7),
        "CD45RA": Marker({"B": 22.0, "CD8 T": 9.0, "CD4 T": 6.0}, 0.5, _ON_MEMBRANE),
        "B2M": Marker(
            dict.fromkeys(_EVERY, 14.0) | {"macrophage": 20.0, "endothelial": 20.0},
            1.0,
            _ON_MEMBRANE,
        ),
        "CD45RO": Marker({"CD4 T": 12.0, "CD8 T": 6.0, "macrophage": 5.0}, 0.5, _ON_MEMBRANE),
        # Markers of the tumours and the lung: levels by analogy with CD45 and aSMA.
        "panCK": Marker({"epithelial": 30.0}, 0.8, _IN_CYTOPLASM, cell_cv=0.6),
        "ECadherin": Marker({"epithelial": 12.0}, 0.6, _ON_MEMBRANE, cell_cv=0.6),
        "SOX10": Marker({"melanoma": 10.0}, 0.5, _IN_NUCLEUS),
        "CD31": Marker({"endothelial": 12.0}, 0.4, _ON_MEMBRANE),
        # States that a share of the cells of some types is in: dim; nothing in them was fitted.
        "Ki67": Marker(
            dict.fromkeys(_EVERY, 3.0),
            0.3,
            _IN_NUCLEUS,
            positive=dict.fromkeys(_EVERY, 0.03) | {"B": 0.30, "CD8 T": 0.15},
        ),
        "GranzymeB": Marker({"CD8 T": 2.0}, 0.3, _IN_CYTOPLASM, positive={"CD8 T": 0.5}),
        "PD1": Marker(
            {"CD4 T": 2.0, "CD8 T": 2.0}, 0.3, _ON_MEMBRANE, positive={"CD4 T": 0.4, "CD8 T": 0.3}
        ),
    }
)
"""The markers that a phantom panel can name."""

PHENOTYPE_MARKERS: Mapping[str, Marker] = MappingProxyType(
    {
        **MARKERS,
        # Lineages: a fifth as bright as in the other cohorts or less, and with more spread from
        # cell to cell, so that even on the true mask some 5 % of the cells are typed wrong.
        "CD20": Marker({"B": 1.2}, 0.6, _ON_MEMBRANE, cell_cv=1.0),
        "CD3": Marker({"CD4 T": 1.0, "CD8 T": 1.0}, 0.25, _ON_MEMBRANE, cell_cv=1.0),
        "CD4": Marker({"CD4 T": 0.8, "macrophage": 0.4}, 0.35, _ON_MEMBRANE, cell_cv=1.0),
        "CD8a": Marker({"CD8 T": 1.0, "endothelial": 0.3}, 0.6, _ON_MEMBRANE, cell_cv=1.0),
        "CD68": Marker({"macrophage": 3.2}, 2.6, _IN_CYTOPLASM, cell_cv=1.0),
        "aSMA": Marker({"stromal": 4.0, "endothelial": 2.4}, 2.5, _IN_CYTOPLASM, cell_cv=1.0),
        "CD31": Marker({"endothelial": 2.0}, 0.4, _ON_MEMBRANE, cell_cv=1.0),
        "CD45RO": Marker(
            {"CD4 T": 1.2, "CD8 T": 0.6, "macrophage": 0.6}, 0.5, _ON_MEMBRANE, cell_cv=1.0
        ),
    }
)
"""The markers of the phantom of phenotypes: nothing in them was fitted."""
