"""The channels of an image: metal tags, targets, and the compartments that they show."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imc_helpers.errors import InputError

COMPARTMENTS = ("nucleus", "membrane", "")
"""What a channel may show: the nucleus, the membrane, or neither of them."""

_DEEPCELL = {"1": "nucleus", "2": "membrane"}  # steinbock's own column for the same thing

_SEGMENTATION_PIPELINE = {"Metal Tag": "channel", "Target": "name", "full": "keep"}
"""What the IMC segmentation pipeline, steinbock's forerunner, calls steinbock's columns."""


@dataclass(frozen=True)
class Channel:
    """One channel of an image."""

    channel: str
    """Metal tag (``"Ir191"``), or the name again where the metal is not known."""
    name: str
    """Name of the target (``"DNA1"``)."""
    compartment: str = ""
    """``"nucleus"``, ``"membrane"`` or empty: the aggregate that the channel enters."""


@dataclass(frozen=True)
class Panel:
    """The channels of an image, in the image's order."""

    channels: tuple[Channel, ...]
    """One entry per plane of the image."""

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"panel: each name may occur once, found {repeated} more than once")
        for channel in self.channels:
            if channel.compartment not in COMPARTMENTS:
                raise InputError(
                    f"panel: compartment of channel {channel.name!r} is {channel.compartment!r}; "
                    f"expected one of {COMPARTMENTS}"
                )

    def __len__(self) -> int:
        return len(self.channels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)

    def index(self, name: str) -> int:
        """Return the position of a channel, found by its name or its metal tag.

        Raises
        ------
        InputError
            If the panel has no such channel.
        """
        for i, channel in enumerate(self.channels):
            if name in (channel.name, channel.channel):
                return i
        raise InputError(
            f"panel: no channel {name!r}; it has {', '.join(self.names)}. "
            "Name one of them, by target or by metal"
        )

    def compartment(self, compartment: str) -> tuple[int, ...]:
        """Return the positions of the channels that show ``"nucleus"`` or ``"membrane"``.

        Raises
        ------
        InputError
            If no channel does.
        """
        found = tuple(i for i, c in enumerate(self.channels) if c.compartment == compartment)
        if not found:
            raise InputError(
                f"panel: no channel has compartment {compartment!r} (channels: "
                f"{', '.join(self.names)}). Set it in the column 'compartment' of panel.csv"
            )
        return found

    def with_compartments(self, chosen: Mapping[str, str]) -> "Panel":
        """Return a panel with the compartments that a user chose.

        Parameters
        ----------
        chosen
            ``"nucleus"``, ``"membrane"`` or empty, by name or metal of channels; the others keep
            what the panel says.

        Raises
        ------
        InputError
            If the panel has no such channel.
        """
        changed = {self.index(name): what for name, what in chosen.items()}
        return Panel(
            tuple(
                Channel(c.channel, c.name, changed.get(k, c.compartment))
                for k, c in enumerate(self.channels)
            )
        )

    @classmethod
    def read(cls, path: Path) -> "Panel":
        """Read ``panel.csv``, steinbock's own or with the added column ``compartment``.

        Rows with ``keep`` = 0 are left out, as steinbock leaves them out of its images. Without a
        column ``compartment``, steinbock's column ``deepcell`` says it: 1 nucleus, 2 membrane. The
        names that the IMC segmentation pipeline gives the columns are understood as well.
        """
        if not path.is_file():
            raise InputError(f"{path}: no such panel; a cohort needs a panel.csv")
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except ValueError as error:  # empty, ragged, or not UTF-8
            raise InputError(f"{path}: not readable as CSV in UTF-8 ({error})") from None
        table = table.rename(columns=_SEGMENTATION_PIPELINE)
        for column in ("channel", "name"):
            if column not in table:
                raise InputError(
                    f"{path}: no column {column!r}; found {', '.join(table.columns)}. "
                    "Expected steinbock's columns: channel, name, keep"
                )
        if "keep" in table:
            table = table[~table["keep"].str.strip().str.lower().isin(["0", "0.0", "false"])]
        if "compartment" in table:
            compartments = table["compartment"]
        elif "deepcell" in table:
            compartments = table["deepcell"].str.removesuffix(".0").map(_DEEPCELL).fillna("")
        else:
            compartments = pd.Series("", index=table.index)
        names = table["name"].where(table["name"] != "", table["channel"])
        rows = zip(table["channel"], names, compartments, strict=True)
        try:
            return cls(tuple(Channel(*row) for row in rows))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def write(self, path: Path) -> None:
        """Write ``panel.csv``."""
        rows = [
            {"channel": c.channel, "name": c.name, "keep": 1, "compartment": c.compartment}
            for c in self.channels
        ]
        pd.DataFrame(rows).to_csv(path, index=False)
