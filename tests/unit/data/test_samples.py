"""Panel, Sample, Cohort: the steinbock folder read and written, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.data.samples import Cohort, Sample, as_labels
from imc_helpers.data.writers import write_cohort
from imc_helpers.errors import InputError
from imc_helpers.patching import Window

PANEL = Panel(
    (Channel("Ir191", "DNA1", "nucleus"), Channel("Dy161", "CD20", "membrane"), Channel("X", "Y"))
)


def sample(name="a", shape=(4, 5), **masks):
    image = np.arange(3 * shape[0] * shape[1], dtype=np.float32).reshape(3, *shape)
    return Sample(name, image, PANEL, 1.0, masks=masks)


def labels(shape=(4, 5)):
    out = np.zeros(shape, np.uint32)
    out[:2, :2] = 7
    return out


@pytest.fixture
def folder(tmp_path):
    first = sample("a", one=labels(), two=labels())
    second = Sample(
        "b",
        np.zeros((3, 6, 7), np.float32),
        PANEL,
        0.5,
        {"one": labels((6, 7))},
        {"one": labels((6, 7))},
    )
    write_cohort(tmp_path / "cohort", [first, second])
    return tmp_path / "cohort"


def test_a_cohort_reads_back_as_it_was_written(folder):
    cohort = Cohort(folder)
    assert cohort.ids == ("a", "b")
    assert cohort.panel == PANEL
    assert cohort.annotators == ("one", "two")
    back = cohort[0]
    np.testing.assert_array_equal(back.image, sample().image)
    np.testing.assert_array_equal(back.masks["two"], labels())
    assert back.masks["two"].dtype == np.uint32
    assert cohort[1].um_per_px == 0.5
    assert list(cohort[1].masks) == ["one"], "an annotator need not have labelled every sample"
    assert list(cohort[1].nuclei) == ["one"]
    assert cohort.shape("b") == (6, 7)
    assert [s.id for s in cohort[:2]] == ["a", "b"]


@pytest.fixture
def drawn(tmp_path):
    """A cohort of which one annotator drew two crops by hand."""
    one = np.zeros((4, 5), np.uint32)
    one[1, 1] = 3
    first = replace(
        sample("1", one=labels(), two=labels()),
        drawn={"one": one},
        crops=(Window(0, 0, 2), Window(2, 2, 2)),
    )
    write_cohort(tmp_path / "drawn", [first, sample("b", one=labels())])
    return tmp_path / "drawn"


def test_crops_that_were_drawn_by_hand_read_back(drawn):
    cohort = Cohort(drawn)
    assert cohort.crops == {"1": (Window(0, 0, 2), Window(2, 2, 2))}
    assert cohort.drawn_by("1") == ("one",)
    assert cohort.drawn_by("b") == ()
    assert np.argwhere(cohort.read_drawn("1", "one")).tolist() == [[1, 1]]
    assert cohort.annotators == ("one", "two"), "a drawing is no mask"


def test_most_cohorts_have_no_drawn_crops(folder):
    assert Cohort(folder).crops == {}
    assert not (folder / "crops.csv").exists()


@pytest.mark.parametrize(
    ("row", "message"), [("1,3,0,2", "does not lie in its image"), ("z,0,0,2", "no image 'z'")]
)
def test_a_crop_that_cannot_be(drawn, row, message):
    (drawn / "crops.csv").write_text(f"sample,y,x,size\n{row}\n")
    with pytest.raises(InputError, match=message):
        Cohort(drawn)


def test_a_drawing_of_another_shape():
    with pytest.raises(InputError, match="drawing of 'one' has shape"):
        replace(sample(), drawn={"one": np.zeros((3, 3), np.uint32)})


def test_annotators_keep_the_order_asked_for(folder):
    assert Cohort(folder, raters=("two", "one")).references_of("a") == ("two", "one")


def test_a_plain_steinbock_folder_is_a_cohort(tmp_path):
    # As steinbock writes it: no compartment, dropped channels, one unnamed set of masks.
    (tmp_path / "img").mkdir()
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(
        tmp_path / "img" / "s.tiff", np.ones((2, 3, 4), np.float32), photometric="minisblack"
    )
    tifffile.imwrite(tmp_path / "masks" / "s.tiff", np.ones((3, 4), np.uint16))
    (tmp_path / "panel.csv").write_text(
        "channel,name,keep,ilastik,deepcell,cellpose\n"
        "Ir191,DNA1,1,1,1,\nXe131,,0,,,\nDy161,CD20,1,2,2,\n"
    )
    cohort = Cohort(tmp_path)
    assert cohort.panel.names == ("DNA1", "CD20")
    assert cohort.panel.compartment("nucleus") == (0,)
    assert cohort.panel.compartment("membrane") == (1,)
    assert cohort[0].um_per_px == 1.0
    assert list(cohort[0].masks) == ["masks"]


def test_a_failed_write_leaves_what_was_there(folder):
    def samples():
        yield sample("new")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_cohort(folder, samples(), overwrite=True)
    assert Cohort(folder).ids == ("a", "b")
    assert [path.name for path in folder.parent.iterdir()] == ["cohort"], "nothing half-written"


def test_a_write_replaces_the_folder(folder):
    with pytest.raises(InputError, match="it is there already"):
        write_cohort(folder, [sample("c")])
    write_cohort(folder, [sample("c")], overwrite=True)
    assert Cohort(folder).ids == ("c",)


def test_two_samples_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="two samples have this id"):
        write_cohort(tmp_path / "cohort", [sample("a"), sample("a")])
    assert not list(tmp_path.iterdir())


def test_a_channel_is_found_by_target_and_by_metal():
    assert PANEL.index("CD20") == PANEL.index("Dy161") == 1
    np.testing.assert_array_equal(sample().channel("Ir191"), sample().image[0])


def test_a_missing_channel_is_named():
    with pytest.raises(InputError, match="no channel 'CD3'.*DNA1, CD20, Y"):
        sample().channel("CD3")


def test_a_missing_compartment_says_where_to_set_it():
    with pytest.raises(InputError, match="compartment 'nucleus'.*panel.csv"):
        Panel((Channel("X", "Y"),)).compartment("nucleus")


def test_an_unknown_compartment_is_refused():
    with pytest.raises(InputError, match="'nuclear'; expected one of"):
        Panel((Channel("X", "Y", "nuclear"),))


def test_a_panel_that_names_a_channel_the_image_lacks(folder):
    table = pd.read_csv(folder / "panel.csv")
    table.loc[len(table)] = ["Er170", "CD3", 1, ""]
    table.to_csv(folder / "panel.csv", index=False)
    with pytest.raises(InputError, match=r"a\.tiff: panel.csv keeps 4 channels.*found \(3, 4, 5\)"):
        Cohort(folder)[0]


def test_a_panel_without_names(folder):
    (folder / "panel.csv").write_text("metal,target\nIr191,DNA1\n")
    with pytest.raises(InputError, match="no column 'channel'; found metal, target"):
        Cohort(folder)


def test_mask_and_image_of_different_shape(folder):
    tifffile.imwrite(folder / "masks_one" / "a.tiff", labels((5, 4)))
    with pytest.raises(
        InputError, match=r"a\.tiff: the mask has shape \(5, 4\), its image \(4, 5\)"
    ):
        Cohort(folder)[0]


def test_a_mask_without_an_image(folder):
    tifffile.imwrite(folder / "masks_one" / "z.tiff", labels())
    with pytest.raises(InputError, match="z.tiff: no image of that name"):
        Cohort(folder)


def test_an_annotator_without_masks(folder):
    with pytest.raises(InputError, match="no masks of annotator 'three'; there are one, two"):
        Cohort(folder, raters=("three",))


def test_a_folder_without_images(tmp_path):
    PANEL.write(tmp_path / "panel.csv")
    with pytest.raises(InputError, match="no .tiff images"):
        Cohort(tmp_path)


def test_a_truncated_image(folder):
    path = folder / "img" / "a.tiff"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"a\.tiff: not a readable TIFF"):
        Cohort(folder)[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([[0.0, 0.5]]), "found 0.5"),
        (np.array([[0.0, np.nan]]), "found nan"),
        (np.array([[0, -1]]), "found -1"),
        (np.array([[True, False]]), "skimage.measure.label"),
        (np.array([[2**32]]), "below 2\\^32"),
        (np.zeros((1, 2, 3), np.uint8), "found shape \\(1, 2, 3\\)"),
        (np.array([["a"]]), "found dtype"),
    ],
)
def test_no_label_image(wrong, message):
    with pytest.raises(InputError, match=f"here: .*{message}"):
        as_labels(wrong, "here")


def test_whole_floats_are_labels():
    out = as_labels(np.array([[0.0, 3.0]]), "here")
    assert out.dtype == np.uint32
    assert out.tolist() == [[0, 3]]


def test_a_mask_alone_is_held_against_its_image(folder):
    tifffile.imwrite(folder / "masks_one" / "a.tiff", labels((5, 4)))
    with pytest.raises(InputError, match=r"masks_one/a\.tiff: the mask has shape"):
        Cohort(folder).read_mask("a", "one")


def test_a_sample_refuses_a_mask_of_another_shape():
    with pytest.raises(InputError, match=r"sample a: mask of 'one' has shape \(5, 4\)"):
        sample("a", one=labels((5, 4)))


def test_files_that_are_no_samples(folder):
    (folder / "img" / "._a.tiff").write_bytes(b"what macOS leaves behind")
    (folder / "img" / "notes.txt").write_text("x")
    assert Cohort(folder).ids == ("a", "b")


def test_two_files_for_one_sample(folder):
    tifffile.imwrite(folder / "img" / "a.tif", labels())
    with pytest.raises(InputError, match="two files for 'a'"):
        Cohort(folder)


def test_an_image_with_axes_of_length_one(folder):
    image = np.arange(60, dtype=np.float64).reshape(1, 1, 3, 4, 5, 1)
    tifffile.imwrite(folder / "img" / "a.tiff", image, photometric="minisblack")
    cohort = Cohort(folder)
    assert cohort.shape("a") == (4, 5)
    np.testing.assert_array_equal(cohort.read_image("a"), image[0, 0, ..., 0])


@pytest.mark.parametrize("keep", ["0", "FALSE", "false ", "0.0"])
def test_channels_that_are_not_kept(folder, keep):
    (folder / "panel.csv").write_text(f"channel,name,keep\nA,a,1\nB,b,{keep}\nC,c,1\nD,d,TRUE\n")
    assert Cohort(folder).panel.names == ("a", "c", "d")


@pytest.mark.parametrize("content", [b"", b"channel,name\n\xff\xfe,x\n"])
def test_a_panel_that_is_no_table(folder, content):
    (folder / "panel.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"panel\.csv: not readable as CSV"):
        Cohort(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.tiff,1\nb.tiff,", "um_per_px of 'b' is nan"),
        ("a.tiff,1\nb.tiff,0", "um_per_px of 'b' is 0"),
        ("a.tiff,-0.5\nb.tiff,1", "um_per_px of 'a' is -0.5"),
        ("a.tiff,inf\nb.tiff,1", "um_per_px of 'a' is inf"),
        ("a.tiff,one\nb.tiff,1", "um_per_px of 'a' is 'one'"),
        ("a.tiff,1\nb.tiff,1\nc.tiff,1", "'c.tiff' names no image"),
        ("a.tiff,1\nb.csv,1", "'b.csv' names no image"),
        ("a.tiff,1", "no row for image 'b'"),
        ("a.tiff,1\nb.tiff,1\na,2", "two rows for image 'a'"),
    ],
)
def test_a_pixel_size_that_cannot_be_right(folder, content, message):
    (folder / "images.csv").write_text(f"image,um_per_px\n{content}\n")
    with pytest.raises(InputError, match=rf"images\.csv: {message}"):
        Cohort(folder)


def test_the_extension_may_be_left_out(folder):
    (folder / "images.csv").write_text("image,um_per_px\na,0.25\nb.tiff,0.5\n")
    assert [one.um_per_px for one in Cohort(folder)] == [0.25, 0.5]


@pytest.mark.parametrize("name", ["roi.1", "007", "1e3"])
def test_a_name_with_a_dot_or_of_digits_is_found(tmp_path, name):
    write_cohort(tmp_path / "c", [sample(name)])
    (tmp_path / "c" / "images.csv").write_text(f"image,um_per_px\n{name},0.25\n")
    assert Cohort(tmp_path / "c")[0].um_per_px == 0.25


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf")])
def test_a_sample_refuses_a_pixel_without_size(wrong):
    with pytest.raises(InputError, match="sample a: um_per_px"):
        Sample("a", np.zeros((3, 2, 2), np.float32), PANEL, wrong)


def test_steinbocks_plain_folders_survive_a_round_trip(tmp_path):
    plain = Sample(
        "a",
        np.zeros((3, 4, 5), np.float32),
        PANEL,
        1.0,
        {"masks": labels(), "one": labels()},
        {"nuclei": labels()},
    )
    write_cohort(tmp_path / "c", [plain])
    folders = {path.name for path in (tmp_path / "c").iterdir() if path.is_dir()}
    assert folders == {"img", "masks", "masks_one", "nuclei"}
    write_cohort(tmp_path / "again", list(Cohort(tmp_path / "c")))
    again = Cohort(tmp_path / "again")
    assert again.annotators == ("masks", "one")
    assert list(again[0].nuclei) == ["nuclei"]
    np.testing.assert_array_equal(again[0].masks["masks"], labels())


def test_two_folders_of_one_annotator_are_refused(tmp_path):
    write_cohort(tmp_path / "c", [sample(masks=labels())])
    (tmp_path / "c" / "masks_masks").mkdir()
    with pytest.raises(InputError, match="masks_masks.*both hold the masks of 'masks'"):
        Cohort(tmp_path / "c")


def test_a_replacement_that_fails_at_the_last_step_keeps_the_old(folder, monkeypatch):
    rename = type(folder).rename

    def refuse(self, target):
        if self.name == "new":
            raise OSError("taken by another process")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", refuse)
    with pytest.raises(OSError, match="another process"):
        write_cohort(folder, [sample("c")], overwrite=True)
    assert Cohort(folder).ids == ("a", "b")


@pytest.fixture
def known(tmp_path):
    """A phantom of two images: what it knows of its cells, and what was planted in one of them."""
    table = pd.DataFrame(
        {"type": ["NA"], "nucleus_in_plane": [False], "positive": [""], "mean_DNA1": [1 / 3]},
        index=pd.Index([7], name="id"),
    )
    first = replace(sample("001", truth=labels()), truth=table, planted={"group": "a", "odds": 2.0})
    second = replace(sample("b", truth=labels()), truth=table)
    write_cohort(tmp_path / "cohort", [first, second])
    return tmp_path / "cohort"


def test_a_phantoms_truth_reads_back(known):
    cohort = Cohort(known)
    assert cohort.has_truth_table
    (row,) = cohort.read_truth("001").reset_index().to_dict("records")
    assert row.pop("mean_DNA1") == pytest.approx(1 / 3, rel=1e-6)
    assert row == {"id": 7, "type": "NA", "nucleus_in_plane": False, "positive": ""}
    planted = cohort.read_planted()
    assert planted.to_dict("index") == {"001": {"group": "a", "odds": 2.0}}


def test_a_real_cohort_has_no_truth(folder):
    cohort = Cohort(folder)
    assert not cohort.has_truth_table
    with pytest.raises(InputError, match=r"truth/a\.csv: no such table"):
        cohort.read_truth("a")
    with pytest.raises(InputError, match=r"images\.csv: no such table.*no difference"):
        cohort.read_planted()


def test_a_table_of_cells_that_the_mask_lacks(known):
    path = known / "truth" / "b.csv"
    path.write_text(path.read_text().replace("7,", "8,"))
    with pytest.raises(InputError, match=r"b\.csv: cell 8 is not in the mask masks_truth/b\.tiff"):
        Cohort(known).read_truth("b")
