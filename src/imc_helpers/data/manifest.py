"""The manifest: cohorts, models, editions and published figures as typed records.

The files are ``data_manifest/cohorts.yml``, ``data_manifest/models.yml``,
``data_manifest/published.yml`` and ``editions/NAME.yml``.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imc_helpers.data.paths import shipped
from imc_helpers.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"
"""The licence of data whose record nobody could open: they are not handed on."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceFile(_Record):
    """One file to download."""

    path: str
    """Path below the cohort's ``base_url``."""
    size: int = Field(gt=0)
    """Bytes."""
    hash: str = Field(pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")
    """Algorithm and digest; MD5 only where the archive publishes nothing better."""


class WantedFile(_Record):
    """What a cohort takes of an archive's record: a file, or all files that fit a pattern."""

    name: str
    """Its name in the record; ``*`` and ``?`` make it a pattern, as in a shell."""
    size: int | None = Field(default=None, gt=0)
    """Bytes, where somebody wrote them down; else the archive's own word counts."""
    hash: str | None = Field(default=None, pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")
    """Algorithm and digest, where somebody wrote them down; else the archive's own word counts."""

    @property
    def pattern(self) -> bool:
        """Whether several files may fit the name."""
        return "*" in self.name or "?" in self.name

    @model_validator(mode="after")
    def _consistent(self) -> "WantedFile":
        if self.pattern and (self.size or self.hash):
            raise ValueError(f"{self.name}: a size or a hash belongs to one file, not to a pattern")
        return self


class ArchiveRecord(_Record):
    """A record of a public archive: which files are in it, how large, is asked of the archive."""

    service: Literal["zenodo", "listing"]
    """``zenodo``: its REST API; ``listing``: a web page that lists the files of a folder."""
    record: str
    """Number of the record; of a listing, its address."""
    files: tuple[WantedFile, ...] = Field(min_length=1)
    """What is taken of it."""


class RaterRecord(_Record):
    """Who, or what, made one set of masks."""

    kind: Literal["annotator", "tool", "model"]
    """A person, real or simulated; software whose masks stand in for a person's; or, in a folder of
    your own only, software that is compared with people."""
    how: Literal["expert", "semi-automatic", "automatic", "simulated"]
    """``expert``: drawn by a person; ``semi-automatic``: a tool that a person trained;
    ``automatic``: a tool alone; ``simulated``: an annotator of the phantom."""
    description: str
    """How the masks were made, in a sentence."""
    folder: str = ""
    """Folder of masks of your own, ``FOLDER/SAMPLE.tiff`` below the book's root; empty where the
    masks come with the cohort."""
    found: str = ""
    """Its name in a lab's folder, where that is another."""

    @model_validator(mode="after")
    def _consistent(self) -> "RaterRecord":
        if (self.kind == "annotator") != (self.how in ("expert", "simulated")):
            raise ValueError(
                f"kind {self.kind!r} and how {self.how!r}: an annotator is an expert or simulated, "
                "a tool or a model is semi-automatic or automatic"
            )
        return self


class Phantom(_Record):
    """How a synthetic cohort is made."""

    recipe: str
    """Key in ``imc_helpers.phantom.recipes.COHORTS``."""
    scale: float = Field(default=0.0, ge=0, le=1)
    """0 for a few small images, 1 for the study's own number and size."""
    seed: int = Field(ge=0)
    """The same seed makes the same cohort."""


class Unverified(_Record):
    """A statement of the manifest that could not be checked at its source."""

    what: str
    """The field."""
    why: str
    """What it rests on instead."""
    mend: str = ""
    """What to do when it turns out wrong, where that is not plain."""


class CohortRecord(_Record):
    """One cohort of the manifest."""

    title: str
    modality: str
    tissue: str
    citation: str
    """Key in ``references.bib``."""
    doi: str
    license: str
    um_per_px: float = Field(gt=0)
    """Edge of a pixel, micrometres."""
    samples: int | None = Field(default=None, gt=0)
    """Number of images, where they are so many that several jobs share the work on them; a cohort
    of the study (`published_as`) has as many as its Table 1 says."""
    raters: dict[str, RaterRecord]
    """In the order in which pages list them."""
    reader: str
    """Name of the function in ``readers.published`` that knows the source's layout."""
    panel: str = ""
    """Panel file below ``data_manifest``; none for a synthetic cohort, whose recipe has it, or for
    a folder of your own."""
    folder: str = ""
    """A folder of your own, below the book's root or anywhere; with the reader ``lab_folder``. It
    is only ever read."""
    channels: dict[str, Literal["nucleus", "membrane", ""]] = {}
    """What channels show, by name or metal: of a folder of your own where its files do not say it,
    of other cohorts in place of what the panel says."""
    dna_channel: str
    """Channel that pages show in grey: the one that marks nuclei best."""
    base_url: str = ""
    files: tuple[SourceFile, ...] = ()
    """What is downloaded; nothing for a synthetic cohort."""
    archives: dict[str, ArchiveRecord] = {}
    """Records of public archives that hold the cohort, by the folder below the reader's raw folder
    that their files go to, under their own names: ``RAW/masks/processed/X/tiffs/X-01.tiff``."""
    published_as: str = ""
    """Its row in the study's Table 1 (``published.yml``), which has its number and size of images;
    empty for other cohorts."""
    unverified: tuple[Unverified, ...] = ()
    """What could not be checked; empty where everything was."""
    imitation: bool = False
    """Whether made-up files stand in for those of the record, as in a rehearsal: captions call them
    synthetic."""
    phantom: Phantom | None = None
    """How the cohort is simulated; None for real data."""

    @model_validator(mode="after")
    def _consistent(self) -> "CohortRecord":
        paths = [file.path for file in self.files]
        if repeated := {path for path in paths if paths.count(path) > 1}:
            raise ValueError(f"files listed twice: {sorted(repeated)}")
        if self.synthetic != (self.reader == "phantom"):
            raise ValueError("a phantom's recipe goes with the reader 'phantom', and only with it")
        if self.own != (self.reader == "lab_folder"):
            raise ValueError("`folder` goes with the reader 'lab_folder', and only with it")
        if not self.own and any(rater.kind == "model" for rater in self.raters.values()):
            raise ValueError("a rater of the kind 'model' stands in a folder of your own")
        if self.synthetic and (self.files or self.panel):
            raise ValueError("a phantom's recipe has the panel, and nothing is downloaded for it")
        if self.archives and (self.files or self.synthetic or self.own):
            raise ValueError("`archives` are in place of `files`, a recipe or a folder of your own")
        for role in self.archives:
            if not role.isidentifier():
                raise ValueError(f"archives: {role!r} becomes a folder; letters, digits and _ only")
        return self

    @property
    def synthetic(self) -> bool:
        """Whether the cohort is simulated. Captions say so."""
        return self.phantom is not None

    @property
    def own(self) -> bool:
        """Whether the images come from a folder of the user's."""
        return bool(self.folder)

    @property
    def noncommercial(self) -> bool:
        """Whether the licence excludes commercial use."""
        return re.search(r"\bNC\b|non-?commercial", self.license, re.IGNORECASE) is not None

    @property
    def redistributable(self) -> bool:
        """Whether images and masks may be handed on in a site; a lab decides about its own."""
        return self.own or not (self.noncommercial or self.license == UNKNOWN)

    @property
    def verified(self) -> bool:
        """Whether every statement of the record was checked at its source."""
        return not self.unverified


class WeightsFile(_Record):
    """One file of a model's weights, as it is downloaded."""

    url: str
    """Whole address."""
    name: str
    """Name under ``weights/MODEL/``."""
    size: int | None = Field(default=None, gt=0)
    """Bytes; None where nobody could look."""
    hash: str | None = Field(default=None, pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")
    """Algorithm and digest; None where none is published and nobody could compute it."""


class Training(_Record):
    """How a model is trained during the build: on phantom tissue that no evaluation uses."""

    recipe: str
    """Key in ``imc_helpers.phantom.recipes.COHORTS``."""
    images: int = Field(gt=0)
    side_px: int = Field(gt=0)
    """Edge of the square images, pixels."""
    seed: int = Field(ge=0)
    """Seed of the tissue, the annotators and the training; differs from every cohort's."""
    epochs: int = Field(gt=0)
    gpu_epochs: int | None = Field(default=None, gt=0)
    """Epochs where there is a GPU; as many as on the CPU when not given."""
    labels: Literal["truth", "annotator"] = "truth"
    """What the model learns: the phantom's truth, or what a simulated expert drew."""
    parameters: dict[str, Any] = {}
    """What is passed to the library's own training."""


class StudySetting(_Record):
    """One setting of a model that the study ran: what it states, and what is done here."""

    setting: str
    stated: str = ""
    """What the study states; empty where it states nothing."""
    here: str
    why: str = ""
    """Why, where the study states nothing, something else, or only a part of it."""
    deviates: bool = False
    """Whether what is done here is known to be something else than the study did."""

    @model_validator(mode="after")
    def _consistent(self) -> "StudySetting":
        if (self.deviates or not self.stated) and not self.why:
            raise ValueError(f"{self.setting}: not stated in the study, or another: say `why`")
        return self


class MaskFile(SourceFile):
    """One published mask of one sample."""

    cohort: str
    sample: str


class ModelRecord(_Record):
    """One model of the manifest: what it takes, where it comes from, what it runs on."""

    title: str
    source: Literal["library", "trained", "classical", "files"]
    """``library``: published weights; ``trained``: trained by this book's build; ``classical``:
    no weights; ``files``: masks that exist already, a cohort's or a user's."""
    version: str
    """Of the library, or of what made the masks."""
    citation: str
    """Key in ``references.bib``."""
    license: str
    """Of the code."""
    weights_license: str = ""
    """Of the weights; empty where there are none."""
    adapter: str
    """Name of the module in ``imc_helpers.models`` that loads it."""
    kernel: str = "python3"
    """Jupyter kernel: ``python3`` is the core environment, others are ``envs/KERNEL.yml``."""
    packages: tuple[str, ...] = ()
    """Modules that must be importable in its kernel."""
    dtype: str = ""
    """Type of the network's numbers, ``"float32"`` for instance; empty without a network."""
    gpu: bool = False
    """Whether it uses a GPU where there is one."""
    inputs: tuple[
        Literal["nucleus", "membrane", "merged nucleus", "merged membrane", "zeros", "all"], ...
    ] = ()
    """The planes it takes, in its own order: means of channels, or of channels that were each
    stretched to the same range (``merged``); ``all`` stands for every channel of the panel."""
    um_per_px: float | None = Field(default=None, gt=0)
    """Pixel size that it was made for, micrometres; None where it has none."""
    normalisation: str = ""
    """How intensities are scaled before the network sees them, and by whom, in words."""
    window_px: int | None = Field(default=None, gt=0)
    """Edge of the largest image it takes at once, pixels; None: any (it tiles by itself)."""
    parameters: dict[str, Any] = {}
    """What is passed to its own call; page 06 shows them."""
    trained_on: str = ""
    """Training data, in words."""
    size: str = ""
    """Number of trained parameters, in words (``"6.6 M"``); empty where there are none."""
    weights: tuple[WeightsFile, ...] = ()
    """What ``make weights-MODEL`` downloads to ``weights/MODEL/``."""
    token: str = ""
    """Environment variable with the user's token, where the weights ask for one."""
    training: Training | None = None
    """How the build trains it; for ``source: trained`` only."""
    base_url: str = ""
    masks: tuple[MaskFile, ...] = ()
    """Published masks, for ``source: files``."""
    folder: str = ""
    """A user's own masks, ``FOLDER/COHORT/SAMPLE.tiff`` under the root; ``source: files``."""
    stands_in: tuple[str, ...] = ()
    """Cohorts in whose own folders its masks stand; ``source: files``. The book fills this in from
    the cohorts' raters."""
    study: tuple[StudySetting, ...] = ()
    """Setting by setting, what the study that this book reproduces says of the model (Schuiki et
    al. 2025, section 3), and what is done here; empty for models that it does not run."""
    unverified: tuple[Unverified, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "ModelRecord":
        if (self.source == "trained") != (self.training is not None):
            raise ValueError("`training` goes with source 'trained', and only with it")
        if (self.source == "files") != bool(self.masks or self.folder or self.stands_in):
            raise ValueError("`masks` or `folder` go with source 'files', and only with it")
        if self.source != "files" and not self.inputs:
            raise ValueError("`inputs`: say which planes the model takes, in its own order")
        return self

    def covers(self, cohort: str) -> bool:
        """Say whether the model can say anything about a cohort: masks cover only their own."""
        own = {*self.stands_in, *(mask.cohort for mask in self.masks)}
        return not own or cohort in own


class Edition(_Record):
    """What one edition of the book shows."""

    title: str
    description: str
    """One or two sentences for the head of each page."""
    cohorts: tuple[str, ...] = Field(min_length=1)
    """Keys of cohorts, in the order of the pages."""
    own: dict[str, CohortRecord] = {}
    """Records of the cohorts that the edition brings along: there `cohorts` is a mapping from keys
    to records, with nothing behind the key of a cohort of the manifest."""
    planted: dict[str, tuple[str, ...]] = {}
    """Cohorts in which something is planted for the pages on downstream analyses, each with those
    of the models that segment it. They are scored as the others are, and no other page shows
    them."""
    models: tuple[str, ...] = ()
    """Keys of models, in the order of the pages; those that cannot run here are listed so. The
    models whose masks stand in the edition's own folders come first, and need not be named."""
    sweeps: tuple[str, ...] = ()
    """Names of the sweeps whose tables its pages read: files in ``sweeps/``."""
    parameters: dict[str, dict[str, Any]] = {}
    """Other values for a chapter's parameters: ``{"study/05_annotators": {"border": 28}}``."""
    parts: tuple[str, ...] = ()
    """Parts of the book that it shows, folders of ``chapters/``; with `pages` empty too, all."""
    pages: tuple[str, ...] = ()
    """Single pages that it shows beside those parts, ``study/05_annotators`` for instance."""
    because: str = ""
    """Why it leaves out the others, for its front page."""

    @model_validator(mode="before")
    @classmethod
    def _split(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("cohorts"), dict):
            return raw
        own = {key: record for key, record in raw["cohorts"].items() if record is not None}
        return {**raw, "cohorts": tuple(raw["cohorts"]), "own": own}

    @model_validator(mode="after")
    def _with_own_models(self) -> "Edition":
        named = [
            name
            for record in self.own.values()
            for name, rater in record.raters.items()
            if rater.kind == "model"
        ]
        models = tuple(dict.fromkeys((*named, *self.models)))
        object.__setattr__(self, "models", models)  # the record is frozen
        for cohort, own in self.planted.items():
            if cohort in self.cohorts:
                raise ValueError(f"planted: {cohort} is among `cohorts` already; name it once")
            if unknown := [model for model in own if model not in models]:
                raise ValueError(f"planted: {cohort} names {unknown[0]}, not among `models`")
        return self

    @property
    def made(self) -> tuple[str, ...]:
        """Keys of all cohorts that the edition takes: those of its pages, and the planted ones."""
        return (*self.cohorts, *self.planted)


Value = int | float | str | None
"""What stands in a published table: a number, a name, or nothing."""


class PublishedTable(_Record):
    """Numbers that one study reports in one place: a table, a figure, or a section of its text."""

    place: str
    """Where they stand: ``"Table 3"``."""
    title: str
    """What they are, in words."""
    data: str
    """What they were measured on, in words."""
    cohorts: tuple[str, ...] = ()
    """Cohorts of the manifest that hold those data; empty where the book has none of them."""
    stand_ins: dict[str, str] = {}
    """Synthetic cohorts that imitate one of those each, where rows name cohorts."""
    models: tuple[str, ...] = ()
    """Models of the manifest whose masks the numbers speak of."""
    measured_by: str = ""
    """Name in `imc_helpers.experiments.reproduction.MEASUREMENTS`; empty where nothing measures
    them."""
    not_measured: str = ""
    """Why this book measures none of them, or not those that `measured_by` leaves out."""
    rule: Literal["within", "below"] = "within"
    """``within``: a measured value may differ by the tolerance. ``below``: the study gives a bound,
    and a measured value has to lie under it."""
    tolerance: dict[str, float] = {}
    """By column: largest difference at which a number counts as reproduced."""
    because: str = ""
    """Why that tolerance."""
    names: tuple[str, ...]
    """Columns that say what a row is about; the others hold what is reported."""
    columns: dict[str, str] = {}
    """What readers see in place of a column's name, where that says too little."""
    rows: tuple[dict[str, Value], ...] = Field(min_length=1)
    remarks: tuple[str, ...] = ()
    """Where the study contradicts itself, or leaves open what a number is."""

    @model_validator(mode="after")
    def _consistent(self) -> "PublishedTable":
        columns = list(self.rows[0])
        if any(list(row) != columns for row in self.rows):
            raise ValueError(f"rows: all must have the columns of the first, {columns}")
        if unknown := {*self.names, *self.tolerance, *self.columns} - set(columns):
            raise ValueError(f"rows: no column {sorted(unknown)}")
        if not (self.measured_by or self.not_measured):
            raise ValueError("`measured_by`, or `not_measured` with the reason why nothing is")
        if bool(self.because) != bool(self.measured_by):
            raise ValueError("`because` explains the tolerance of what is `measured_by` something")
        if (self.rule == "within") != bool(self.tolerance) and self.measured_by:
            raise ValueError("`tolerance` goes with the rule 'within', and only with it")
        if wrong := set(self.stand_ins.values()) - set(self.cohorts):
            raise ValueError(f"stand_ins: {sorted(wrong)} not among `cohorts`")
        return self


class PublishedStudy(_Record):
    """One study with the numbers that this book can be held against."""

    study: str
    """``"Schuiki et al. 2025"``."""
    citation: str
    """Key in ``references.bib``."""
    tables: dict[str, PublishedTable]


_R = TypeVar("_R", bound=BaseModel)


def load_edition(name: str) -> Edition:
    """Read ``editions/NAME.yml``.

    Raises
    ------
    InputError
        If there is no such edition, it is malformed, or names a cohort that the manifest lacks.
    """
    path = shipped("editions") / f"{name}.yml"
    if not path.is_file():
        have = ", ".join(sorted(p.stem for p in path.parent.glob("*.yml")))
        raise InputError(f"edition {name!r}: no file {path}; there are {have}")
    edition = _read_edition(path)
    for cohort in edition.made:
        cohort_record(cohort)
    for model in edition.models:
        model_record(model)
    return edition


def known_cohorts() -> tuple[str, ...]:
    """Return the keys of all cohorts, those of editions' own folders too."""
    return tuple(_cohorts())


def known_models(*, own: bool = True) -> tuple[str, ...]:
    """Return the keys of all models, with or without those whose masks stand in own folders."""
    return tuple(key for key, record in _models().items() if own or not record.stands_in)


def token_variables() -> tuple[str, ...]:
    """Return the environment variables in which users keep tokens for weights."""
    return tuple(sorted({record.token for record in _models().values() if record.token}))


def cohort_record(key: str) -> CohortRecord:
    """Return the manifest's record of a cohort.

    Raises
    ------
    InputError
        If the manifest has no such cohort.
    """
    records = _cohorts()
    if key not in records:
        raise InputError(f"cohort {key!r}: not in the manifest; it has {', '.join(records)}")
    return records[key]


@cache
def _cohorts() -> dict[str, CohortRecord]:
    path = shipped("data_manifest") / "cohorts.yml"
    known = {key: _parse(CohortRecord, raw, path, key) for key, raw in _load_yaml(path).items()}
    stands = dict.fromkeys(known, path)
    for own in sorted(shipped("editions").glob("*.yml")):
        for key, record in _read_edition(own).own.items():
            if key in known:
                raise InputError(
                    f"{own}: its cohort {key!r} has the name of one in {stands[key]}; rename it"
                )
            known[key], stands[key] = record, own
    return known


def _read_edition(path: Path) -> Edition:
    return _parse(Edition, _load_yaml(path), path)


def model_record(key: str) -> ModelRecord:
    """Return the manifest's record of a model.

    Raises
    ------
    InputError
        If the manifest has no such model.
    """
    records = _models()
    if key not in records:
        raise InputError(f"model {key!r}: not in the manifest; it has {', '.join(records)}")
    return records[key]


@cache
def _models() -> dict[str, ModelRecord]:
    path = shipped("data_manifest") / "models.yml"
    known = {key: _parse(ModelRecord, raw, path, key) for key, raw in _load_yaml(path).items()}
    for cohort, record in _cohorts().items():
        for name, rater in record.raters.items():
            if rater.kind != "model":
                continue
            if name in known and not known[name].stands_in:
                raise InputError(
                    f"cohort {cohort!r}: its model {name!r} has the name of one in {path}; give it "
                    f"another name, and `found: {name}`"
                )
            stands_in = (*(known[name].stands_in if name in known else ()), cohort)
            known[name] = _own_model(name, stands_in)
    return known


def _own_model(name: str, stands_in: tuple[str, ...]) -> ModelRecord:
    return ModelRecord(
        title=name,
        source="files",
        version="",
        citation="",
        license="",
        adapter="own_masks",
        stands_in=stands_in,
        trained_on="not stated",
    )


def published_table(name: str) -> "pd.DataFrame":
    """Return a table that a study reports, as a frame; every row says where it stands.

    Parameters
    ----------
    name
        Study and table in ``data_manifest/published.yml``, ``"schuiki25_table1"`` for instance.

    Raises
    ------
    InputError
        If there is no such table.
    """
    tables = {
        f"{key}_{place}": (study, table)
        for key, study in published_studies().items()
        for place, table in study.tables.items()
    }
    if name not in tables:
        raise InputError(f"published table {name!r}: not there; there are {', '.join(tables)}")
    import pandas as pd  # noqa: PLC0415  (slow to load, and every job of the workflow reads records)

    study, table = tables[name]
    return pd.DataFrame(table.rows).assign(source=f"{study.study}, {table.place}")


def published_studies() -> dict[str, PublishedStudy]:
    """Return all that ``data_manifest/published.yml`` quotes, study by study."""
    return dict(_published())


def published_size(record: CohortRecord) -> dict[str, Any]:
    """Return a cohort's row of the study's Table 1, empty where the study does not have it.

    Raises
    ------
    InputError
        If the record names a cohort that the table lacks.
    """
    if not record.published_as:
        return {}
    rows: dict[Any, Any] = published_table("schuiki25_table1").set_index("cohort").to_dict("index")
    if record.published_as not in rows:
        raise InputError(
            f"published_as: {record.published_as!r} is not in the study's Table 1, which has "
            f"{', '.join(rows)}"
        )
    return dict(rows[record.published_as])


def expected_samples(record: CohortRecord) -> int:
    """Return how many images a cohort has, by the manifest or the study; 1 where nobody said it."""
    return record.samples or int(published_size(record).get("samples", 1))


@cache
def _published() -> dict[str, PublishedStudy]:
    path = shipped("data_manifest") / "published.yml"
    return {key: _parse(PublishedStudy, raw, path, key) for key, raw in _load_yaml(path).items()}


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a mapping at the top, found {type(content).__name__}")
    return content


def _parse(model: type[_R], raw: Any, path: Path, key: str = "") -> _R:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        where = f"{path}, {key}" if key else str(path)
        raise InputError(f"{where}: {error}") from None
