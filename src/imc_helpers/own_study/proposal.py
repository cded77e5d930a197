"""Write the edition that shows a lab's folder: ``python -m imc_helpers.own_study.proposal``.

Everything that can be inferred is: cohorts, raters and their kinds, channels, the pixel size. What
was inferred stands in ``editions/NAME.yml``, where a user can correct it.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from imc_helpers.data.lab_folder.checks import COLUMNS, about_kinds
from imc_helpers.data.lab_folder.inspection import Inspection, inspect
from imc_helpers.data.lab_folder.layout import Layout, find_cohorts
from imc_helpers.data.lab_folder.marker_compartments import compartments
from imc_helpers.data.manifest import known_cohorts, known_models
from imc_helpers.data.panels import Panel
from imc_helpers.data.paths import shipped
from imc_helpers.errors import InputError

SOFTWARE = re.compile(
    r"cellpose|cyto\d?|mesmer|deepcell|stardist|cellsam|instanseg|cellprofiler|ilastik|watershed|"
    r"xmbd|vista|cellseg|samcell|micro_?sam|(^|_)sam($|_)|voronoi|propagation|cellx|aics|qupath|model|auto|"
    r"matlab|network|unet|omnipose|hover|predict",
    re.IGNORECASE,
)
"""Names in which software is recognised; whoever else made masks is taken for a person."""
CLASSICAL = ("distance", "watershed", "propagation")
"""Models that run anywhere, with nothing to download, where channels show nuclei."""
PARTS = ("yours", "study", "beyond")
"""Parts of the book that tell of a lab's own images."""
_UNNAMED = ("masks", "nuclei")


def propose(folder: Path, name: str, jobs: int) -> tuple[dict[str, Any], dict[str, Inspection]]:
    """Inspect a folder and say what its edition would be.

    Parameters
    ----------
    folder
        A lab's folder.
    name
        Name of the edition.
    jobs
        Processes that share the masks.

    Returns
    -------
    edition : dict
        Content of ``editions/NAME.yml``.
    inspections : dict
        What was found, by cohort.

    Raises
    ------
    InputError
        If the folder holds no image that can be used, or a name is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(
            f"NAME={name}: expected letters, digits, - and _, as a file may be named everywhere"
        )
    taken = set(known_cohorts()) - set(_own_cohorts(name))
    cohorts, inspections = {}, {}
    layouts = find_cohorts(folder)
    titles = _titles(name, layouts)
    keys = _keys(name, titles)
    for place, layout in layouts.items():
        key = keys[place]
        if key in taken:
            raise InputError(f"NAME={name}: there is a cohort {key!r} already; choose another NAME")
        found = inspect(layout, jobs=jobs)
        cohorts[key] = _record(titles[place], layout, found)
        inspections[key] = found
    edition: dict[str, Any] = {
        "title": f"Study {name}",
        "description": f"Images and masks of {Path(folder).name}.",
        "cohorts": cohorts,
        "parts": list(PARTS),
        "because": "It shows this study; the demo edition has the others.",
    }
    if all("nucleus" in record["channels"].values() for record in cohorts.values()):
        membrane = all("membrane" in record["channels"].values() for record in cohorts.values())
        edition["models"] = list(CLASSICAL if membrane else CLASSICAL[:1])
    return edition, inspections


def write(edition: Mapping[str, Any], name: str) -> Path:
    """Write ``editions/NAME.yml``, with a line of comment on what may be changed."""
    path = shipped("editions") / f"{name}.yml"
    text = (
        "# Written by `make study`. Correct what was guessed wrongly, then run\n"
        f"# `make book EDITION={name}`. Kinds of raters: annotator (a person), model (software\n"
        "# that is compared with people), tool (software whose masks stand in for a person's).\n"
        "# Channels show nucleus or membrane: models are given the mean of each.\n"
    )
    body = yaml.safe_dump(dict(edition), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text + body, encoding="utf-8")
    return path


def describe(key: str, record: Mapping[str, Any], found: Inspection) -> str:
    """Say in lines what was found of a cohort."""
    lines = [
        f"{key}: {len(found.images)} image{'s' if len(found.images) > 1 else ''}, "
        f"{len(found.panel)} channels, "
        f"{record['um_per_px']:g} um per pixel{'' if found.known_size else ' (assumed)'}"
    ]
    masks, nuclei = found.raters(), found.raters("nuclei")
    table = pd.DataFrame(
        {
            "masks of": name,
            "kind": rater["kind"],
            "images": masks.get(rater.get("found", name), 0),
            "nuclei": nuclei.get(rater.get("found", name), 0),
        }
        for name, rater in record["raters"].items()
    )
    lines.append(table.to_string(index=False) if len(table) else "no usable masks")
    for what in ("nucleus", "membrane"):
        names = [name for name, shows in record["channels"].items() if shows == what]
        lines.append(
            f"{what}: {', '.join(names) or 'no channel recognised; list some under `channels`'}"
        )
    kinds = {name: rater["kind"] for name, rater in record["raters"].items()}
    odd = pd.DataFrame([*about_kinds(kinds), *found.oddities], columns=COLUMNS)
    if len(odd):
        lines.append(f"what looks odd ({len(odd)} in all):")
        for _, own in odd.groupby(["what", "rater"], sort=False):
            first = own.iloc[0]
            what, rater = first["what"], first["rater"]
            sample = str(first["sample"])
            where = f" ({len(own)} times; first: {sample})" if len(own) > 1 else f" ({sample})"
            lines.append(
                f"- {what}{f' of {rater}' if rater else ''}{where if sample else ''}: "
                f"{first['found']} {first['to_do']}{'' if first['used'] else ' (Left out.)'}"
            )
    return "\n".join(lines)


def _record(title: str, layout: Layout, found: Inspection) -> dict[str, Any]:
    shows = compartments(found.panel)
    dna = next((name for name, what in shows.items() if what == "nucleus"), found.panel.names[0])
    return {
        "title": title,
        "modality": "IMC" if _is_imc(found.panel) else "images of this study",
        "tissue": "not stated",
        "citation": "",
        "doi": "",
        "license": "not stated",
        "reader": "lab_folder",
        "folder": str(layout.folder),
        "um_per_px": found.um_per_px,
        "samples": len(found.images),
        "dna_channel": dna,
        "channels": shows,
        "raters": _raters(found),
    }


def _raters(found: Inspection) -> dict[str, dict[str, str]]:
    """Tell people from software by their names; where there are no people, tools stand in."""
    names = sorted(found.raters())
    software = [name for name in names if SOFTWARE.search(name) or name in _UNNAMED]
    people = [name for name in names if name not in software]
    manifest = set(known_models(own=False))
    records = {}
    for name in [*people, *software]:
        key = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_") or "unnamed"
        if name in people:
            record = {"kind": "annotator", "how": "expert", "description": "A person, by the name."}
        else:
            kind = "model" if people else "tool"
            key = f"{key}_of_folder" if key in manifest else key
            record = {"kind": kind, "how": "automatic", "description": "Software, by the name."}
        records[key] = record if key == name else {**record, "found": name}
    return records


def _is_imc(panel: Panel) -> bool:
    return any(re.fullmatch(r"[A-Z][a-z]\d{2,3}", c.channel) for c in panel.channels)


def _titles(name: str, places: Iterable[str]) -> dict[str, str]:
    """Return the title of each sub-folder's cohort: no more of its path than tells it apart."""
    last = {place: place.rpartition("/")[2] or name for place in places}
    return last if len(set(last.values())) == len(last) else {place: place for place in last}


def _keys(name: str, titles: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each sub-folder's cohort: its title, in letters that any file takes."""
    if list(titles) == [""]:
        return {"": name}
    plain = {
        place: re.sub(r"[^A-Za-z0-9]+", "_", title).strip("_") for place, title in titles.items()
    }
    if len(set(plain.values()) - {""}) < len(plain):  # other alphabets, or a-b beside a_b
        plain = {place: str(number) for number, place in enumerate(plain, start=1)}
    return {place: f"{name}_{end}" for place, end in plain.items()}


def _own_cohorts(name: str) -> Iterable[str]:
    """Return the cohorts of an edition that is written anew."""
    path = shipped("editions") / f"{name}.yml"
    if not path.is_file():
        return ()
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    cohorts = content.get("cohorts", {}) if isinstance(content, dict) else {}
    if not isinstance(cohorts, dict):
        raise InputError(f"NAME={name}: {path} is an edition of the book; choose another NAME")
    return cohorts


def main() -> None:
    """Inspect a folder, print what it holds, and write its edition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--name", default="")
    arguments = parser.parse_args()
    folder = arguments.folder.expanduser().resolve()
    name = arguments.name or re.sub(r"[^A-Za-z0-9_-]+", "_", folder.name).strip("_-").lower()
    try:
        edition, inspections = propose(folder, name, os.cpu_count() or 1)
        path = write(edition, name)
    except InputError as error:
        sys.exit(str(error))
    for key, found in inspections.items():
        print(describe(key, edition["cohorts"][key], found), end="\n\n")
    print(f"Written: {path}. Look at kinds and channels there, then:")
    print(f"make book EDITION={name}")


if __name__ == "__main__":
    main()
