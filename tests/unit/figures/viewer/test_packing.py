"""What a page of the viewer holds: masks to the last pixel, channels for the eye."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from imc_helpers.data.panels import Channel, Panel
from imc_helpers.figures.viewer.packing import (
    PackedMask,
    pack_channel,
    pack_channels,
    pack_mask,
    thumbnail,
)


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def unpacked(packed: PackedMask) -> np.ndarray:
    """Read a mask back as the page's script does."""
    pixels = opened(packed.image).astype(np.uint32)
    labels = pixels[..., 0] + (pixels[..., 1] << 8) + (pixels[..., 2] << 16)
    ids = [0, *(first + k for first, length in packed.id_runs for k in range(length))]
    return np.array(ids)[labels]


def test_a_mask_comes_back_pixel_by_pixel() -> None:
    labels = np.array([[0, 7, 7, 0], [9, 0, 8, 4_000_000_000]], np.uint32)
    packed = pack_mask(labels)
    assert packed.id_runs == [[7, 3], [4_000_000_000, 1]]
    assert packed.total == 1 + 1 + 3 + 2 + 4
    np.testing.assert_array_equal(unpacked(packed), labels)


def test_more_cells_than_two_bytes_hold() -> None:
    labels = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
    np.testing.assert_array_equal(unpacked(pack_mask(labels)), labels)


def test_a_mask_without_a_cell() -> None:
    packed = pack_mask(np.zeros((3, 4), np.uint32))
    assert packed.id_runs == []
    assert not opened(packed.image).any()


def test_a_mask_without_background() -> None:
    labels = np.array([[5, 5, 6]], np.uint32)
    np.testing.assert_array_equal(unpacked(pack_mask(labels)), labels)


def test_the_scale_of_a_channel_can_be_undone() -> None:
    plane = np.repeat(np.linspace(0, 100, 64, dtype=np.float32)[None], 64, axis=0)
    packed = pack_channel("CD45", plane, quality=100)
    assert (packed.top, packed.cofactor) == (pytest.approx(100), pytest.approx(2))
    steps = opened(packed.image).astype(float)[..., 0]
    read = packed.cofactor * np.sinh(steps / 255 * np.arcsinh(packed.top / packed.cofactor))
    assert np.abs(read - plane).max() < 3


@pytest.mark.parametrize("value", [0.0, 0.02, 3.0])
def test_a_constant_channel(value: float) -> None:
    packed = pack_channel("x", np.full((8, 8), value, np.float32))
    assert packed.top > 0
    assert opened(packed.image).max() == (255 if value else 0)


def panel(n_membranes: int, n_others: int) -> Panel:
    membranes = [Channel(f"M{k}", f"M{k}", "membrane") for k in range(n_membranes)]
    others = [Channel(f"X{k}", f"X{k}") for k in range(n_others)]
    return Panel((Channel("Ir191", "DNA1", "nucleus"), *membranes, *others))


def noisy(n: int) -> np.ndarray:
    """Channels that vary the more, the later they come."""
    noise = np.random.default_rng(0).poisson(5, (64, 64)).astype(np.float32)
    return noise * np.arange(1, n + 1, dtype=np.float32)[:, None, None]


def test_aggregates_come_first_and_then_what_varies_most() -> None:
    packed, left_out = pack_channels(noisy(13), panel(2, 10), 1e9)
    names = [channel.name for channel in packed]
    assert names == ["DNA1 (Ir191)", "membrane (mean of 2)", "X9", "X8", "X7", "X6", "X5", "X4"]
    assert left_out == ["M0", "M1", "X0", "X1", "X2", "X3"]


def test_a_budget_is_kept_but_for_the_aggregates() -> None:
    everything, _ = pack_channels(noisy(13), panel(2, 10), 1e9)
    sizes = [len(channel.image) for channel in everything]
    assert len(pack_channels(noisy(13), panel(2, 10), sum(sizes[:4]))[0]) == 4
    assert len(pack_channels(noisy(13), panel(2, 10), 0)[0]) == 2


def test_a_panel_without_compartments() -> None:
    unknown = Panel(tuple(Channel(name, name) for name in ("A", "B")))
    packed, left_out = pack_channels(noisy(2), unknown, 1e9)
    assert [channel.name for channel in packed] == ["B", "A"]
    assert not left_out


def test_a_thumbnail_shows_nuclei_blue_and_membranes_gold() -> None:
    image = np.zeros((2, 40, 80), np.float32)
    image[0, :, :40] = 5
    image[1, :, 40:] = 5
    two = Panel((Channel("a", "a", "nucleus"), Channel("b", "b", "membrane")))
    picture = np.asarray(Image.open(io.BytesIO(thumbnail(image, two, 20))).convert("RGB")).astype(
        int
    )
    assert picture.shape == (10, 20, 3)
    left, right = picture[5, 3], picture[5, 16]
    assert left[2] > left[0] + 80
    assert right[0] > right[2] + 80
