"""A small imitation of the study's five records: phantom tissue in the formats that are published.

Names, types, orders of channels and archives in archives are those of the records, as far as anyone
has seen them; what they hold is synthetic and small. Stacks and masks are written with Pillow and
instrument files with `write_mcd`, so that no library reads what it has written itself.

Each record also has what real ones have: an image without a mask, a mask of another shape, an
acquisition that was broken off, regions that their authors leave out, cores of other tissue.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
from PIL import Image
from skimage.segmentation import expand_labels

from imc_helpers.data.paths import shipped
from imc_helpers.data.samples import Sample
from imc_helpers.phantom.recipes import find_recipe, make_sample

LARGE, SMALL = (264, 280), (120, 132)
"""Height and width of images with a patch and without, pixels."""

Contents = Mapping[str, bytes]
"""The files of one record, by their names in it."""


def in_house() -> dict[str, Contents]:
    """Two images in a zip archive, four annotators. How the record is laid out is a guess."""
    files = {}
    for k in (1, 2):
        sample = tissue("phantom_lymphoid", LARGE, seed=k)
        metals = [channel.channel for channel in sample.panel.channels]
        image = planes(sample, metals)
        described = ome(image.shape, metals, sample.panel.names)
        files[f"images/lymph_{k:02d}.ome.tiff"] = stack(image, described)
        for annotator in range(1, 5):
            drawn = annotated(sample.masks["truth"], annotator)
            files[f"masks/annotator_{annotator}/lymph_{k:02d}.tiff"] = mask(drawn)
    return {"data": {"imc_segmentation.zip": archive(files)}}


def ali20() -> dict[str, Contents]:
    """Stacks that name no channels, one file each."""
    metals = pd.read_csv(shipped("data_manifest") / "panels" / "ali20.csv")["channel"]
    images, masks = {}, {}
    for name, shape in {"MB0002_1_345": LARGE, "MB0005_1_12": LARGE, "MB0064_2_7": SMALL}.items():
        sample = tissue("phantom_ali20", shape, seed=len(images))
        images[f"{name}_fullstack.tiff"] = stack(planes(sample, metals))
        masks[f"{name}_cellmask.tiff"] = mask(sparse(sample.masks["truth"]))
    return {"images": images, "masks": masks}


def rendeiro21() -> dict[str, Contents]:
    """Instrument files with gaps in their numbers, masks by the acquisitions' places."""
    metals = pd.read_csv(shipped("data_manifest") / "panels" / "rendeiro21.csv")["channel"]
    order = [
        "Ar80",
        "I127",
        *sorted(metals, key=lambda one: int("".join(filter(str.isdigit, one)))),
    ]
    images, masks = {}, {}

    def record(name: str, numbers: Sequence[int], broken: Iterable[int] = ()) -> list[Sample]:
        made = [tissue("phantom_rendeiro21", LARGE, seed=number) for number in numbers]
        acquired = {
            number: None if number in broken else planes(sample, order)
            for number, sample in zip(numbers, made, strict=True)
        }
        folder = name.removesuffix("_2")
        images[f"data/{folder}/{name}.mcd"] = write_mcd(acquired, order, LARGE)
        return made

    def label(folder: str, region: str, labels: np.ndarray) -> None:
        place = f"processed/{folder}/tiffs/{region}"
        masks[f"{place}_full_mask.tiff"] = mask(labels)
        masks[f"{place}_full_nucmask.tiff"] = mask(labels)

    name = "20200701_COVID_11_LATE"  # the authors leave out its first region
    for k, sample in enumerate(record(name, (1, 3)), start=1):
        label(name, f"{name}-{k:02d}", sample.masks["truth"])
    name = "20200804_NL1933A_RUN2"  # a second file goes on with the numbers of the first
    first = record(name, (2, 4), broken=[2])
    second = record(f"{name}_2", (1,))
    for k, sample in enumerate([*first, *second], start=1):
        label(name, f"{name}-{k:02d}", sample.masks["truth"])
    name = "20200630_COVID_10_EARLY"  # its masks are called otherwise than its images
    for k, sample in enumerate(record(f"{name}_RUN2", (1,)), start=1):
        label(f"{name}_RUN2", f"{name}-{k:02d}", sample.masks["truth"])
    name = "20200709_ARDS"  # a mask of another shape
    for k, sample in enumerate(record(name, (5,)), start=1):
        label(name, f"{name}-{k:02d}", sample.masks["truth"].T)
    return {"images": images, "masks": masks}


def jackson20() -> dict[str, Contents]:
    """OME-TIFFs in an archive in an archive; cores of other tissue have no mask."""
    panel = pd.read_csv(shipped("data_manifest") / "panels" / "jackson20.csv")
    before = ["Ar80", "Ru96", "Ru98", "Ru99", "Ru100", "Ru101", "Ru102", "Ru104"]
    own = list(panel["channel"])
    metals = [*before, own[0], "Xe126", "I127", *own[1:], "Pb204", "Pb206", "Pb208"]
    stems = {
        "BaselTMA_SP41_15.475kx12.665ky_10000x8500_5_20170905_100_239_X12Y3_177_a0": LARGE,
        "ZTMA208_slide_28.23kx22.4ky_7000x7000_5_20171115_108_67_Ay14x4_364_a0": LARGE,
        "ZTMA208_slide_28.23kx22.4ky_7000x7000_5_20171115_109_68_Ay14x5_365_a0": SMALL,
        "BaselTMA_SP41_2_blank_20170905_1_1_Liver_1_a0": SMALL,
    }
    images, masks = {}, {}
    for k, (stem, shape) in enumerate(stems.items()):
        sample = tissue("phantom_jackson20", shape, seed=k)
        image = planes(sample, metals)
        described = ome(image.shape, metals, [f"{metal}_label" for metal in metals])
        images[f"ome/{stem}_full.tiff"] = stack(image, described)
        if "Liver" not in stem:
            labels = mask(sparse(sample.masks["truth"]))
            masks[f"Basel_Zuri_masks/{stem}_full_maks.tiff"] = labels
    both = {
        "OMEnMasks/ome.zip": archive(images),
        "OMEnMasks/Basel_Zuri_masks.zip": archive(masks),
        "__MACOSX/OMEnMasks/._ome.zip": b"what a Mac leaves behind",
    }
    return {"data": {"OMEandSingleCellMasks.zip": archive(both)}}


def hoch22() -> dict[str, Contents]:
    """Stacks of two panels with headerless lists of metals; each also corrected for spillover."""
    panel = list(pd.read_csv(shipped("data_manifest") / "panels" / "hoch22.csv")["channel"])
    metals = [*panel[:4], "La139", "Ce140", "Pr141", *panel[4:-1], "Pt194", panel[-1]]
    stems = {
        "protein/20191021_ZTMA256.1_slide3_TH_s0_p9_r1_a1_ac": LARGE,
        "protein/20191021_ZTMA256.1_slide3_TH_s0_p9_r2_a2_ac": LARGE,
        "rna/20190731_ZTMA256.1_slide2_TH_s1_p14_r1_a1_ac": SMALL,
    }
    files = {}
    for k, (path, shape) in enumerate(stems.items()):
        kind, stem = path.split("/")
        sample = tissue("phantom_hoch22", shape, seed=k)
        image, corrected = planes(sample, metals), f"full_data/{kind}/cpout/{stem}"
        files[f"full_data/{kind}/tiffs/{stem}_full.tiff"] = stack(image.astype(np.uint16))
        files[f"full_data/{kind}/tiffs/{stem}_full.csv"] = "\n".join(metals).encode()
        files[f"{corrected}_full_spillcor.tiff"] = stack((0.9 * image).astype(np.uint16))
        files[f"{corrected}_ilastik_s2_Probabilities_equalized_cellmask.tiff"] = mask(
            sparse(sample.masks["truth"])
        )
    return {"data": {"full_data.zip": archive(files)}}


RECORDS: Mapping[str, Callable[[], dict[str, Contents]]] = {
    "schuiki25": in_house,
    "ali20": ali20,
    "rendeiro21": rendeiro21,
    "jackson20": jackson20,
    "hoch22": hoch22,
}
"""What each cohort's records hold, by the names that the manifest gives its archives."""


def cellpose_weights() -> bytes:
    """Draw weights of Cellpose 3's published shape at random, as its library saves them."""
    import torch
    from cellpose.resnet_torch import CPnet

    from imc_helpers.models.adapters.cellpose3 import PUBLISHED_WIDTHS

    torch.manual_seed(0)
    net = CPnet([2, *PUBLISHED_WIDTHS], 3, sz=3, diam_mean=30.0)
    with torch.no_grad():
        net.output[2].bias[2] = 3.0  # more cell than not, so that there is something to outline
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    return buffer.getvalue()


WEIGHTS: Mapping[str, Callable[[], bytes]] = {"cyto3": cellpose_weights}
"""Weights for those of the study's models whose library the book's own environment has."""


def write_raw(cohort: str, folder: Path) -> None:
    """Write the files of a cohort's records as a download leaves them: ``FOLDER/ARCHIVE/NAME``."""
    for role, contents in RECORDS[cohort]().items():
        for name, content in contents.items():
            path = folder / role / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def tissue(recipe: str, shape: tuple[int, int], seed: int) -> Sample:
    """Make phantom tissue; its truth stands in for what people drew."""
    return make_sample(find_recipe(recipe), shape, seed, "sample")


def planes(sample: Sample, metals: Iterable[str]) -> np.ndarray:
    """Return the planes of some metals: the phantom's own, a few stray counts in the others."""
    own = {
        channel.channel: plane
        for channel, plane in zip(sample.panel.channels, sample.image, strict=True)
    }
    rng = np.random.default_rng(0)
    return np.stack(
        [
            own[metal] if metal in own else rng.poisson(0.05, sample.shape).astype(np.float32)
            for metal in metals
        ]
    )


def annotated(truth: np.ndarray, annotator: int) -> np.ndarray:
    """Return what one of several people makes of cells: misses some, draws wider or not."""
    rng = np.random.default_rng(annotator)
    missed = rng.choice(int(truth.max()), int(truth.max()) // 8, replace=False) + 1
    seen = np.where(np.isin(truth, missed), 0, truth)
    return expand_labels(seen, distance=annotator % 2)


def sparse(labels: np.ndarray) -> np.ndarray:
    """Skip numbers, as published masks do."""
    return labels * 3


def stack(image: np.ndarray, description: str = "") -> bytes:
    """Write a (C, H, W) stack, one page per channel, with Pillow."""
    pages = [Image.fromarray(plane) for plane in image]
    buffer = io.BytesIO()
    options = {"description": description} if description else {}
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:], **options)
    return buffer.getvalue()


def mask(labels: np.ndarray) -> bytes:
    """Write a label image as uint16 with Pillow."""
    return stack(labels[None].astype(np.uint16))


def ome(shape: tuple[int, ...], metals: Sequence[str], names: Sequence[str]) -> str:
    """Describe a stack of float32 planes as the IMC segmentation pipeline's imctools does."""
    channels = "".join(
        f'<Channel ID="Channel:0:{k}" Fluor={quoteattr(metal)} Name={quoteattr(name)} '
        'SamplesPerPixel="1"/>'
        for k, (metal, name) in enumerate(zip(metals, names, strict=True))
    )
    count, height, width = shape
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="float" SizeX="{width}" '
        f'SizeY="{height}" SizeZ="1" SizeC="{count}" SizeT="1" BigEndian="false">{channels}'
        "<TiffData/></Pixels></Image></OME>"
    )


def archive(files: Contents) -> bytes:
    """Pack files into a zip archive, as one is packed by hand: all of it deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            undated = zipfile.ZipInfo(name)  # the same files make the same archive
            packed.writestr(undated, content, zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def write_mcd(
    acquired: Mapping[int, np.ndarray | None], metals: Sequence[str], shape: tuple[int, int]
) -> bytes:
    """Write an instrument file, laid out as the mock files of BodenmillerGroup/TestData are.

    A header, one block of float32 per acquisition (for every pixel X, Y, Z and the counts), and a
    description of it all in UTF-16.

    Parameters
    ----------
    acquired
        Images (C, H, W) by the acquisitions' numbers; None for one that was broken off, of which
        the instrument wrote a part and no end.
    metals
        Of the planes, as ``"Ir191"``.
    shape
        Height and width, pixels.
    """
    height, width = shape
    content = bytearray("\ufeffMCD imitation".encode("utf-16-le"))
    elements = [_element("Slide", ID=0, Description="Slide", WidthUm=75000, HeightUm=25000)]
    elements.append(_element("Panorama", ID=1, SlideID=0, Description="ROIs", Type="Default"))
    names = ["X", "Y", "Z", *(_with_brackets(metal) for metal in metals)]
    for number, image in acquired.items():
        start = len(content)
        if image is None:
            content += np.zeros(7, "<f4").tobytes()
        else:
            y, x = np.indices(shape)
            columns = [x, y, np.zeros(shape), *image]
            content += np.stack([one.ravel() for one in columns], axis=1).astype("<f4").tobytes()
        elements.append(
            _element(
                "Acquisition",
                ID=number,
                Description=f"ROI_{number:03d}",
                AblationDistanceBetweenShotsX=1,
                AblationDistanceBetweenShotsY=1,
                AcquisitionROIID=number,
                DataStartOffset=start,
                DataEndOffset=0 if image is None else len(content),
                SegmentDataFormat="Float",
                ValueBytes=4,
                MaxY=height,
                MaxX=width,
            )
        )
        elements.append(_element("AcquisitionROI", ID=number, PanoramaID=1))
        elements += [
            _element(
                "AcquisitionChannel",
                ID=k,
                ChannelName=name,
                OrderNumber=k,
                AcquisitionID=number,
                ChannelLabel=name,
            )
            for k, name in enumerate(names)
        ]
    schema = "http://www.fluidigm.com/IMC/MCDSchema_V2_0.xsd"
    described = f'<MCDSchema xmlns="{schema}">{"".join(elements)}</MCDSchema>'
    return bytes(content) + described.encode("utf-16-le")


def _element(tag: str, **values: object) -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f"<{tag}>{inner}</{tag}>"


def _with_brackets(metal: str) -> str:
    """Write ``Ir191`` as the instrument does: ``Ir(191)``."""
    symbol = metal.rstrip("0123456789")
    return f"{symbol}({metal[len(symbol) :]})"
