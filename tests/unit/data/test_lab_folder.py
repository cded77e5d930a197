"""A lab's folder: what is found in it, in which formats, and what is said of its defects."""

import hashlib
import json
import pickle
import zipfile
from itertools import product

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from imc_helpers.data.lab_folder import checks
from imc_helpers.data.lab_folder.inspection import inspect
from imc_helpers.data.lab_folder.layout import find_cohorts, find_layout
from imc_helpers.data.lab_folder.marker_compartments import compartments
from imc_helpers.data.lab_folder.preparation import prepare_lab_folder, read_oddities
from imc_helpers.data.manifest import CohortRecord
from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.readers.label_files import fill, read_labels
from imc_helpers.data.samples import Cohort
from imc_helpers.errors import InputError

SHAPE = (40, 50)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path / "book"))


@pytest.fixture
def lab(tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


def squares(shape=SHAPE, side=6, step=8, start=2):
    """Square cells on a grid, ids from 1."""
    labels = np.zeros(shape, np.uint32)
    tops = range(start, shape[0] - side, step)
    lefts = range(start, shape[1] - side, step)
    for number, (top, left) in enumerate(product(tops, lefts), start=1):
        labels[top : top + side, left : left + side] = number
    return labels


CELLS = squares()


def image_of(labels=CELLS, channels=2):
    """Bright where cells are."""
    plane = 100.0 * (labels > 0) + np.random.default_rng(0).random(labels.shape)
    return np.stack([plane] * channels).astype(np.float32)


def write(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, CELLS if content is None else content, photometric="minisblack")


def panel_csv(folder):
    (folder / "panel.csv").write_text("channel,name,keep\nIr191,DNA1,1\nDy161,CD20,1\n")


def hashes(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("image", "mask", "rater", "sample", "kind"),
    [
        ("img/A_001.tiff", "masks/A_001.tiff", "masks", "A_001", "masks"),
        ("img/A_001.tiff", "masks_anna/A_001.tiff", "anna", "A_001", "masks"),
        ("img/A_001.tiff", "masks/anna/A_001.tif", "anna", "A_001", "masks"),
        ("img/A_001.tiff", "nuclei_anna/A_001.tiff", "anna", "A_001", "nuclei"),
        ("roi1.ome.tiff", "roi1_anna_mask.tif", "anna", "roi1", "masks"),
        ("roi1.tiff", "roi1_cp_masks.png", "cellpose", "roi1", "masks"),
        ("roi1.tiff", "roi1_seg.npy", "masks", "roi1", "masks"),
        ("E34_imc.tiff", "E34_mask.tiff", "masks", "E34", "masks"),
        ("images/r.tif", "segmentation/deepcell/r.npz", "deepcell", "r", "masks"),
        ("images/r.tif", "qupath/r.geojson", "qupath", "r", "masks"),
        ("images/r.tif", "Bo Lee annotations/r_RoiSet.zip", "Bo_Lee", "r", "masks"),
        ("images/roi10.tif", "masks_a/roi1.tif", "a", "", "masks"),
    ],
)
def test_names_are_read_as_words(lab, image, mask, rater, sample, kind):
    write(lab / image, image_of())
    write(lab / mask)
    (found,) = find_layout(lab).masks
    assert (found.sample, found.kind) == (sample, kind)
    if sample:
        assert found.rater == rater


def test_two_masks_of_a_sample_in_one_folder_are_told_apart_by_their_names(lab):
    write(lab / "img" / "s.tiff", image_of())
    for name in ("s_Cell_mask", "s_Cytoplasm_mask"):
        write(lab / "out" / "masks" / f"{name}.tiff")
    assert find_layout(lab).raters() == ("out", "out_Cytoplasm")


def test_sub_folders_with_several_images_are_conditions(lab):
    for condition in ("control", "treated"):
        for name in ("one", "two"):
            write(lab / condition / "img" / f"{name}.tiff", image_of())
            write(lab / condition / "masks_anna" / f"{name}.tiff")
    found = find_cohorts(lab)
    assert list(found) == ["control", "treated"]
    assert [image.sample for image in found["treated"].images] == ["one", "two"]
    assert found["control"].raters() == ("anna",)


def test_conditions_below_a_general_folder_share_the_panel_above(lab):
    panel_csv(lab)
    for condition in ("control", "treated"):
        for name in ("one", "two"):
            write(lab / "data" / condition / f"{name}.tiff", image_of())
    found = find_cohorts(lab)
    assert list(found) == ["data/control", "data/treated"]
    assert found["data/treated"].panel == lab / "panel.csv"
    assert inspect(found["data/treated"]).panel.names == ("DNA1", "CD20")


def test_channels_are_found_by_their_metals_and_those_not_kept_are_left_out(lab, tmp_path):
    for name, value in (("roi/CD20_161Dy", 2), ("roi/Xe134", 7), ("roi/DNA_191Ir", 1)):
        write(lab / f"{name}.tiff", np.full(SHAPE, value, np.uint16))
    text = "channel,name,keep\nIr191,DNA1,1\nXe134,Xe134,0\nDy161,CD20,1\n"
    (lab / "panel.csv").write_text(text)
    found = inspect(find_layout(lab))
    assert found.panel.names == ("DNA1", "CD20")
    prepare_lab_folder(record(lab), tmp_path / "cohort")
    assert Cohort(tmp_path / "cohort").read_image("roi")[:, 0, 0].tolist() == [1, 2]


def test_the_panel_of_the_segmentation_pipeline_is_understood(lab):
    text = "Tube Number,Metal Tag,Target,full,deepcell\n1,Ir191,DNA1,1,1\n2,Xe131,Xe131,0,\n"
    (lab / "panel.csv").write_text(text)
    panel = Panel.read(lab / "panel.csv")
    assert panel == Panel((Channel("Ir191", "DNA1", "nucleus"),))


def test_a_folder_for_each_image_is_no_condition(lab):
    for name in ("one", "two"):
        write(lab / name / f"{name}.ome.tiff", image_of())
    assert [image.sample for image in find_cohorts(lab)[""].images] == ["one", "two"]


def test_single_channel_files_make_one_image_whose_names_tell_metals(lab):
    for name in ("141Pr_CD38", "Ir191_DNA1"):
        write(lab / "roi" / f"{name}.tiff", image_of()[0])
    write(lab / "roi2" / "Ir191_DNA1.tiff", image_of()[0])
    write(lab / "roi2" / "141Pr_CD38.tiff", image_of()[0])
    found = inspect(find_layout(lab))
    assert [h.file.sample for h in found.images] == ["roi", "roi2"]
    assert found.panel == Panel((Channel("Pr141", "CD38"), Channel("Ir191", "DNA1")))
    assert found.known_size, "iridium stains nuclei in mass cytometry alone, whose pixels are 1 um"


def test_no_images_is_an_error_that_says_what_is_expected(lab):
    (lab / "notes.csv").write_text("a,b\n")
    with pytest.raises(InputError, match="no images found. Expected multichannel TIFFs"):
        find_cohorts(lab)
    with pytest.raises(InputError, match="no such folder"):
        find_cohorts(lab / "elsewhere")


def cellpose_file(path, labels):
    """What Cellpose 3 saves: a pickled dictionary inside an NPY file."""
    content = {"masks": labels.astype(np.uint16), "outlines": labels * 0, "chan_choose": [0, 0]}
    content |= {"filename": "roi.tif", "est_diam": np.float64(12.5), "flows": [labels * 0.5, None]}
    np.save(path, content, allow_pickle=True)


def rectangle(label):
    """Corners of a cell of `squares` as outlines have them: (x, y), 0 the corner of a pixel."""
    rows, columns = np.nonzero(label == CELLS)
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def geojson_file(path, _):
    outlines = [np.asarray(rectangle(k), float).tolist() for k in range(1, CELLS.max() + 1)]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [outline]},
            "properties": {"objectType": "cell"},
        }
        for outline in outlines
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def roi_file(path, _):
    rois = []
    for k in range(1, CELLS.max() + 1):
        roi = roifile.ImagejRoi.frompoints(np.asarray(rectangle(k)[:-1], float))
        roi.roitype, roi.name = roifile.ROI_TYPE.POLYGON, f"cell{k}"
        rois.append(roi)
    roifile.roiwrite(path, rois)


FORMATS = {
    "m.tiff": tifffile.imwrite,
    "m.png": lambda path, labels: Image.fromarray(labels.astype(np.uint16)).save(path),
    "m.npy": np.save,
    "m_seg.npy": cellpose_file,
    "m.npz": lambda path, labels: np.savez(
        path, X=np.zeros((1, *SHAPE, 2)), y=np.stack([labels, labels * 2], -1)[None]
    ),
    "m.geojson": geojson_file,
    "m.zip": roi_file,
    "m.pickle": lambda path, labels: path.write_bytes(pickle.dumps(labels)),
}


@pytest.mark.parametrize("name", FORMATS)
def test_labels_are_read_from_every_format(lab, name):
    FORMATS[name](lab / name, CELLS)
    assert (read_labels(lab / name, SHAPE) == CELLS).all()


def test_nuclei_are_the_second_plane_of_deepcells_arrays_and_qupaths_inner_outlines(lab):
    FORMATS["m.npz"](lab / "m.npz", CELLS)
    assert (read_labels(lab / "m.npz", SHAPE, "nuclei") == CELLS * 2).all()
    feature = {
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9]]]},
        "nucleusGeometry": {"type": "Polygon", "coordinates": [[[3, 3], [6, 3], [6, 6], [3, 6]]]},
    }
    (lab / "m.geojson").write_text(json.dumps([feature]))
    assert (read_labels(lab / "m.geojson", SHAPE) > 0).sum() == 81
    assert (read_labels(lab / "m.geojson", SHAPE, "nuclei") > 0).sum() == 9


def square(left, top, side):
    """Return the geometry of a square, as QuPath writes it."""
    right, bottom = left + side, top + side
    ring = [[left, top], [left, bottom], [right, bottom], [right, top], [left, top]]
    return {"type": "Polygon", "coordinates": [ring]}


def qupath_object(version, kind, geometry, nucleus=None):
    """Return a feature as versions of QuPath write it; compared with files of QuPath's own code."""
    feature = {"type": "Feature", "geometry": geometry}
    feature |= {"nucleusGeometry": nucleus} if nucleus else {}
    if version == "0.2":
        return feature | {"id": f"Path{kind.title()}Object", "properties": {"isLocked": False}}
    name = "object_type" if version == "0.3" else "objectType"
    about = {name: kind, "measurements": {"Area": "NaN"}}
    return feature | {"id": "80afac86-ed0a-4fa0-92a7-dddb389ba06c", "properties": about}


@pytest.mark.parametrize("version", ["0.2", "0.3", "0.6"])
def test_of_all_objects_of_qupath_only_cells_are_cells(lab, version):
    tissue, tile = square(0, 0, 30), square(0, 0, 15)
    with_nucleus = qupath_object(version, "cell", square(2, 2, 6), square(3, 3, 2))
    without = qupath_object(version, "cell", square(12, 2, 5))
    around = [qupath_object(version, "annotation", tissue), qupath_object(version, "tile", tile)]
    spots = [qupath_object(version, "detection", square(20, 20, 4))]
    everything = {
        "type": "FeatureCollection",
        "features": [*around, *spots, with_nucleus, without],
    }
    (lab / "m.geojson").write_text(json.dumps(everything))
    with zipfile.ZipFile(lab / "m.zip", "w") as archive:
        archive.write(lab / "m.geojson", "m.geojson")
    for name in ("m.geojson", "m.zip"):
        labels = read_labels(lab / name, (30, 30))
        assert np.bincount(labels.ravel())[1:].tolist() == [36, 25]
        assert (read_labels(lab / name, (30, 30), "nuclei") > 0).sum() == 4, "one cell has none"
    (lab / "m.geojson").write_text(json.dumps([*around, *spots]))
    assert (read_labels(lab / "m.geojson", (30, 30)) > 0).sum() == 16
    (lab / "m.geojson").write_text(json.dumps(around))
    assert (read_labels(lab / "m.geojson", (30, 30)) > 0).sum() == 900, "cells drawn by hand"


def test_a_hole_is_cut_out_and_the_first_of_two_outlines_keeps_its_pixels():
    outer = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    hole = np.array([[4, 4], [6, 4], [6, 6], [4, 6]], float)
    second = np.array([[5, 0], [20, 0], [20, 10], [5, 10]], float)
    labels = fill([[outer, hole], [second]], (10, 20))
    assert np.bincount(labels.ravel()).tolist() == [2, 96, 102]
    outside = fill([[outer - 100]], (10, 20))
    assert not outside.any()


def composite(*rings):
    """Make a ROI of several closed paths, as ImageJ stores it: 0 moves, 1 draws, 4 closes."""
    path = []
    for ring in rings:
        path += [v for k, point in enumerate(ring) for v in (int(k > 0), *point)] + [4]
    roi = roifile.ImagejRoi.frompoints(np.concatenate(rings))
    roi.roitype, roi.options = roifile.ROI_TYPE.RECT, roifile.ROI_OPTIONS(0)
    roi.integer_coordinates = roi.subpixel_coordinates = None
    roi.n_coordinates, roi.multi_coordinates = 0, np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi


def test_imagejs_composites_keep_their_holes_and_its_points_and_lines_are_no_cells(lab):
    outer = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    hole = np.array([[4, 4], [5, 4], [6, 4], [6, 5], [6, 6], [5, 6], [4, 6]], float)
    small = outer / 5 + 14
    marks = [roifile.ImagejRoi.frompoints(outer) for _ in range(3)]
    kinds = ("POINT", "POLYLINE", "FREELINE")
    for mark, kind in zip(marks, kinds, strict=True):
        mark.roitype = roifile.ROI_TYPE[kind]
    roifile.roiwrite(lab / "m.zip", [composite(outer, hole, small), *marks])
    labels = read_labels(lab / "m.zip", (20, 20))
    assert np.bincount(labels.ravel()).tolist() == [304, 96]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.npy", np.lib.format.MAGIC_PREFIX, "not a readable NPY|neither an array"),
        ("m.npz", b"PK", "not a readable NPZ"),
        ("m.png", b"no picture", "not a readable PNG"),
        ("m.geojson", b"{", "not the GeoJSON of outlines"),
        ("m.zip", b"PK", "no ROIs of ImageJ"),
        ("m.doc", b"", "no mask has this ending"),
    ],
)
def test_a_broken_file_is_named(lab, name, content, message):
    (lab / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_labels(lab / name, SHAPE)
    assert str(lab / name) in str(caught.value)


def test_a_seg_file_that_would_run_code_is_refused(lab):
    class Trap:
        def __reduce__(self):
            return (print, ("run",))

    np.save(lab / "m_seg.npy", {"masks": Trap()}, allow_pickle=True)
    with pytest.raises(InputError, match=r"neither an array of numbers nor a `_seg.npy`"):
        read_labels(lab / "m_seg.npy", SHAPE)


def broken_up():
    labels = CELLS.copy()
    labels[labels == 2] = 1
    return labels


def holed():
    labels = CELLS.copy()
    labels[5, 5] = 0
    return labels


def with_specks():
    labels = CELLS.copy()
    labels[0, 0], labels[0, 2:5] = 900, 901
    return labels


def cut_off():
    """More cells than 16 bits have ids, saved with 16 bits by an export that clips."""
    labels = squares((40, 50), side=1, step=2, start=0).astype(np.int64)
    return np.clip(labels + 65535 - 100, 0, 65535).astype(np.uint16) * (labels > 0)


DEFECTS = {
    "transposed mask": (CELLS.T, False),
    "other shape": (np.zeros((10, 10), np.uint32), False),
    "fractional mask": (CELLS / 3, False),
    "binary mask": ((CELLS > 0).astype(np.uint8) * 255, False),
    "class map": (CELLS % 2 + (CELLS > 0), False),
    "empty mask": (np.zeros(SHAPE, np.uint16), False),
    "negative ids": (CELLS.astype(np.int32) - 1, False),
    "ids cut off": (cut_off(), True),
    "ids in pieces": (broken_up(), True),
    "holes": (holed(), True),
    "tiny cells": (with_specks(), True),
    "float mask": (CELLS.astype(np.float32), True),
    "no background": (np.arange(2000, dtype=np.uint32).reshape(SHAPE) // 20 + 1, True),
}


@pytest.mark.parametrize("what", DEFECTS)
def test_each_defect_of_a_mask_is_named_with_what_to_do(lab, what):
    mask, used = DEFECTS[what]
    panel_csv(lab)
    for name in ("s", "t"):
        write(lab / "img" / f"{name}.tiff", image_of())
        write(lab / "masks_anna" / f"{name}.tiff")
    write(lab / "masks_bo" / "s.tiff", mask)
    found = inspect(find_layout(lab))
    (odd,) = [one for one in found.oddities if one.rater == "bo" and one.what == what]
    assert odd.sample == "s"
    assert odd.used == used
    assert odd.found.endswith(".")
    assert odd.to_do.endswith(".")
    assert found.raters() == {"anna": 2, **({"bo": 1} if used else {})}


def test_a_boolean_mask_cannot_be_used(lab):
    np.save(lab / "m.npy", CELLS > 0)
    with pytest.raises(checks.UnusableError, match="cells that touch cannot be told apart"):
        checks.usable(np.load(lab / "m.npy"), SHAPE)


def about(found, what):
    return [one for one in found.oddities if one.what == what]


def test_defects_between_files_and_raters(lab):
    panel_csv(lab)
    for name in ("s", "t", "alone"):
        write(lab / "img" / f"{name}.tiff", image_of())
    for name in ("s", "t"):
        write(lab / "masks_anna" / f"{name}.tiff")
        write(lab / "masks_copy" / f"{name}.tiff", np.where(CELLS > 0, CELLS + 7, 0))
        write(lab / "masks_small" / f"{name}.tiff", squares(side=3))
    write(lab / "masks_anna" / "nobody.tiff")
    (lab / "img" / "broken.tiff").write_bytes(b"II*\0nothing")
    found = inspect(find_layout(lab))
    assert [one.sample for one in about(found, "mask without image")] == ["nobody.tiff"]
    assert [one.sample for one in about(found, "image without mask")] == ["alone"]
    assert [one.sample for one in about(found, "unreadable image")] == ["broken"]
    (same,) = about(found, "identical masks")
    assert "anna and copy" in same.found
    (nuclei,) = about(found, "nuclei given as cells")
    assert nuclei.rater == "small"


def test_an_unknown_pixel_size_is_told_with_what_the_cells_suggest(lab):
    big = squares((200, 200), side=30, step=40)
    write(lab / "one.tiff", image_of(big))
    write(lab / "one_anna_mask.tiff", big)
    found = inspect(find_layout(lab))
    assert not found.known_size
    assert found.um_per_px == 1
    assert about(found, "unknown pixel size")
    (odd,) = about(found, "pixel size")
    diameter = 2 * np.sqrt(30 * 30 / np.pi)
    assert f"{diameter:.1f} um across" in odd.found
    assert f"{9 / diameter:.2g} um per pixel" in odd.to_do
    assert about(inspect(find_layout(lab), um_per_px=0.25), "pixel size") == []


@pytest.mark.parametrize(("down", "right"), [(3, 0), (0, -4), (2, 2)])
def test_a_shifted_mask_is_found_with_its_direction(lab, down, right):
    rng = np.random.default_rng(1)
    labels = np.zeros((150, 160), np.uint32)
    for number, (row, column) in enumerate(rng.integers(10, 140, (60, 2)), start=1):
        labels[row : row + 6, column : column + 6] = number
    moved = np.roll(labels, (down, right), (0, 1))
    assert checks.shift(moved, image_of(labels)[0])[:2] == (down, right)
    assert checks.shift(labels, image_of(labels)[0])[:2] == (0, 0)
    panel_csv(lab)
    write(lab / "img" / "s.tiff", image_of(labels))
    write(lab / "masks_anna" / "s.tiff", labels)
    write(lab / "masks_bo" / "s.tiff", moved)
    (odd,) = about(inspect(find_layout(lab)), "shifted mask")
    assert odd.rater == "bo"
    for by, way in ((down, "down"), (right, "right"), (-right, "left")):
        assert (f"{by} px too far {way}" in odd.found) == (by > 0)


def test_one_annotator_or_none_is_told():
    assert [o.what for o in checks.about_kinds({"anna": "annotator"})] == ["one annotator"]
    assert [o.what for o in checks.about_kinds({"cellpose": "tool"})] == ["no annotator"]
    assert checks.about_kinds({"anna": "annotator", "bo": "annotator"}) == []
    assert checks.about_kinds({}) == []


def test_compartments_come_from_the_markers_names():
    names = ["Ir193", "Histone H3", "E-Cadherin (24E10)", "CD45RO", "ArAr80"]
    panel = Panel(tuple(Channel(name, name) for name in names))
    assert compartments(panel) == {
        "Ir193": "nucleus",
        "Histone H3": "nucleus",
        "E-Cadherin (24E10)": "membrane",
        "CD45RO": "membrane",
    }
    said = Panel((Channel("Ir193", "DNA"), Channel("x", "mine", "nucleus")))
    assert compartments(said) == {"mine": "nucleus"}, "what the panel says comes first"


def record(folder, **raters):
    who = {"kind": "annotator", "how": "expert", "description": "By hand."}
    about = dict.fromkeys(("title", "modality", "tissue", "citation", "doi", "license"), "x")
    return CohortRecord.model_validate(
        {
            **about,
            "um_per_px": 0.5,
            "reader": "lab_folder",
            "folder": str(folder),
            "channels": {"CD20": "membrane"},
            "dna_channel": "DNA1",
            "raters": {name: {**who, "found": found} for name, found in raters.items()},
        }
    )


def test_a_cohort_is_made_by_links_and_conversion_and_the_folder_is_only_read(lab, tmp_path):
    panel_csv(lab)
    write(lab / "img" / "s.tiff", image_of())
    write(lab / "img" / "t.tiff", image_of())
    write(lab / "masks_anna" / "s.tiff")
    (lab / "masks_bo").mkdir()
    geojson_file(lab / "masks_bo" / "s.geojson", None)
    write(lab / "masks_bo" / "t.tiff", CELLS > 0)
    before = hashes(lab)
    for path in [lab, *lab.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    target = tmp_path / "cohort"
    prepare_lab_folder(record(lab, anna="", robert="bo"), target)
    assert hashes(lab) == before
    cohort = Cohort(target, raters=["anna", "robert"])
    assert (target / "img" / "s.tiff").is_symlink()
    assert not (target / "masks_robert" / "s.tiff").is_symlink(), "outlines are drawn"
    assert (cohort.read_mask("s", "robert") == CELLS).all()
    assert cohort.um_per_px("t") == 0.5
    assert cohort.panel.compartment("membrane") == (1,)
    odd = read_oddities(target)
    assert {"binary mask", "image without mask"} <= set(odd["what"])
    assert odd.set_index("what").loc["binary mask", "file"] == str(lab / "masks_bo" / "t.tiff")


def test_a_rater_who_is_not_in_the_folder_is_named(lab, tmp_path):
    panel_csv(lab)
    write(lab / "img" / "s.tiff", image_of())
    write(lab / "masks_anna" / "s.tiff")
    with pytest.raises(InputError, match=r"no mask of 'carl' can be used; there are none"):
        prepare_lab_folder(record(lab, carl=""), tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_the_second_look_is_remembered_until_the_file_changes(lab, tmp_path):
    panel_csv(lab)
    write(lab / "img" / "s.tiff", image_of())
    write(lab / "masks_anna" / "s.tiff")
    first = inspect(find_layout(lab))
    (memory,) = (tmp_path / "book" / "data" / ".inspected").iterdir()
    assert len(list(memory.rglob("output.pkl"))) == 2
    inspect(find_layout(lab))
    assert len(list(memory.rglob("output.pkl"))) == 2
    write(lab / "masks_anna" / "s.tiff", broken_up())
    again = inspect(find_layout(lab))
    assert again.masks[0].facts.cells == first.masks[0].facts.cells - 1
