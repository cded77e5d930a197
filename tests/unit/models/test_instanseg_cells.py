"""InstanSeg's post-processing: by hand, and beside the library's own TorchScript."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_propagation, gaussian_filter

from imc_helpers.errors import InputError
from imc_helpers.models.adapters.instanseg_cells import (
    PixelClassifier,
    Settings,
    find_cells,
    find_seeds,
)

INSIDE = 4.0  # logit at the middle of a diamond, per pixel of its radius


def diamond(radius_px, n_sigma=0):
    """A classifier that says yes where |dy| + |dx| < radius_px; the widths mean nothing."""
    sides = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    return PixelClassifier(
        (
            np.hstack([sides, np.zeros((4, n_sigma))]).astype(np.float32),
            np.zeros(4, np.float32),
            np.eye(4, dtype=np.float32),
            np.zeros(4, np.float32),
            np.full((1, 4), -INSIDE, np.float32),
            np.array([INSIDE * radius_px], np.float32),
        )
    )


def places(shape):
    """An embedding in which each pixel stands where it lies, and no widths."""
    return np.indices(shape).astype(np.float32), np.zeros((0, *shape), np.float32)


def seed_map(shape, *seeds):
    """A map with peaks of 1 at given places."""
    found = np.zeros(shape, np.float32)
    for seed in seeds:
        found[seed] = 1
    return found


def around(shape, seed, radius_px):
    rows, columns = np.indices(shape)
    return abs(rows - seed[0]) + abs(columns - seed[1]) < radius_px


def test_a_mask_is_what_the_classifier_says():
    shape, seed = (40, 50), (20, 30)
    labels = find_cells(*places(shape), seed_map(shape, seed), diamond(5), Settings())
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels, around(shape, seed, 5))


@pytest.mark.parametrize("seed", [(0, 0), (0, 49), (39, 49), (39, 25), (1, 48)])
def test_a_seed_at_the_border(seed):
    shape = (40, 50)
    labels = find_cells(*places(shape), seed_map(shape, seed), diamond(5), Settings(window_size=16))
    np.testing.assert_array_equal(labels, around(shape, seed, 5))


def test_a_mask_stays_in_its_window():
    shape = (40, 50)
    labels = find_cells(
        *places(shape), seed_map(shape, (20, 30)), diamond(99), Settings(window_size=4)
    )
    expected = np.zeros(shape, bool)
    expected[16:24, 26:34] = True
    np.testing.assert_array_equal(labels, expected)


def test_an_image_smaller_than_a_window():
    shape, seed = (9, 70), (4, 40)
    labels = find_cells(*places(shape), seed_map(shape, seed), diamond(8), Settings())
    np.testing.assert_array_equal(labels, around(shape, seed, 8))


def test_no_seeds():
    shape = (40, 50)
    assert not find_cells(*places(shape), seed_map(shape), diamond(5), Settings()).any()


def test_masks_that_share_much_are_one_cell_and_keep_the_first_id():
    shape = (40, 60)
    seeds = (10, 10), (20, 20), (20, 21), (21, 50)
    settings = Settings(peak_distance=0)
    labels = find_cells(*places(shape), seed_map(shape, *seeds), diamond(5), settings)
    first, second, third, fourth = (around(shape, seed, 5) for seed in seeds)
    shared, either = (second & third).sum(), (second | third).sum()
    assert shared / either > settings.overlap_threshold
    np.testing.assert_array_equal(labels, first + 2 * (second | third) + 4 * fourth)


def test_masks_that_share_little_are_divided_where_they_are_equally_sure():
    shape = (40, 60)
    left, right = (20, 20), (20, 27)
    labels = find_cells(*places(shape), seed_map(shape, left, right), diamond(5), Settings())
    nearer = abs(np.indices(shape)[1] - 20) <= abs(np.indices(shape)[1] - 27)
    in_left, in_right = around(shape, left, 5), around(shape, right, 5)
    np.testing.assert_array_equal(labels, np.where(in_left & (nearer | ~in_right), 1, 2 * in_right))


def test_of_equally_sure_masks_the_first_has_the_pixel():
    shape = (40, 60)
    left, right = (20, 20), (20, 28)
    labels = find_cells(*places(shape), seed_map(shape, left, right), diamond(5), Settings())
    assert labels[20, 24] == 1
    assert (labels[20, 23], labels[20, 25]) == (1, 2)


def test_masks_are_joined_by_way_of_others():
    shape = (12, 40)
    seeds = [(6, column) for column in range(8, 32, 2)]
    labels = find_cells(
        *places(shape), seed_map(shape, *seeds), diamond(4), Settings(peak_distance=1)
    )
    assert set(np.unique(labels)) == {0, 1}


@pytest.mark.parametrize(
    ("hole", "filled"),
    [
        ((slice(20, 21), slice(23, 24)), True),
        ((slice(20, 26), slice(22, 28)), True),  # no pixel is farther than 3 from the mask
        ((slice(20, 27), slice(22, 29)), False),  # the middle is
    ],
)
def test_holes_are_filled_if_they_are_narrow(hole, filled):
    shape, seed = (48, 48), (24, 18)
    embedding, sigma = places(shape)
    embedding[0][hole] += 1000
    labels = find_cells(embedding, sigma, seed_map(shape, seed), diamond(20), Settings())
    assert labels[hole].all() == filled
    outside = np.ones(shape, bool)
    outside[hole] = False
    np.testing.assert_array_equal(labels[outside], around(shape, seed, 20)[outside])


def test_a_strip_at_the_edge_of_the_window_counts_as_a_hole():
    shape, seed = (16, 16), (8, 8)
    embedding, sigma = places(shape)
    embedding[0][:3] += 1000
    labels = find_cells(
        embedding, sigma, seed_map(shape, seed), diamond(99), Settings(window_size=8)
    )
    assert labels.all()
    embedding[0][:4] += 1000
    labels = find_cells(
        embedding, sigma, seed_map(shape, seed), diamond(99), Settings(window_size=8)
    )
    assert labels[4:].all()
    assert not labels[:4].any()


@pytest.mark.parametrize("cleanup", [True, False])
def test_what_is_not_connected_to_the_seed_is_dropped(cleanup):
    shape, seed = (40, 50), (20, 20)
    embedding, sigma = places(shape)
    embedding[:, 30:33, 30:33] = np.reshape(seed, (2, 1, 1))
    labels = find_cells(
        embedding, sigma, seed_map(shape, seed), diamond(5), Settings(cleanup_fragments=cleanup)
    )
    assert labels[30:33, 30:33].any() != cleanup
    labels[30:33, 30:33] = 0
    np.testing.assert_array_equal(labels, around(shape, seed, 5))


def test_seeds_are_peaks_and_the_first_among_equals():
    values = np.zeros((12, 12), np.float32)
    values[2, 2:5] = 0.9  # a plateau
    values[2, 8] = 0.9
    values[8, 8], values[8, 10] = 0.8, 0.85
    values[10, 2] = 0.5
    np.testing.assert_array_equal(find_seeds(values, 2, 0.5), [[2, 2], [2, 8], [8, 10]])
    np.testing.assert_array_equal(find_seeds(values, 1, 0.4)[-1], [10, 2])


def test_what_does_not_fit():
    embedding, sigma = places((8, 9))
    with pytest.raises(InputError, match=r"takes 3 numbers per pixel, but there are 2 of"):
        find_cells(embedding, sigma, np.zeros((8, 9)), diamond(5, n_sigma=1), Settings())
    with pytest.raises(InputError, match=r"one size, found \(8, 9\), \(8, 9\) and \(9, 8\)"):
        find_cells(embedding, sigma, np.zeros((9, 8)), diamond(5), Settings())
    with pytest.raises(InputError, match="window_size: expected 1 or more, found 0"):
        Settings(window_size=0)


@pytest.fixture(scope="module")
def library():
    """The library's own module, in Python, around a network that returns its input."""
    pytest.importorskip("instanseg", reason="instanseg-torch is not installed (extra `models`)")
    import torch
    from instanseg.utils.loss.instanseg_loss import InstanSeg_Torchscript, ProbabilityNet

    net = torch.nn.Identity()
    net.pixel_classifier = ProbabilityNet(4, width=4)
    return InstanSeg_Torchscript(net, backbone_dim_in=5)


@pytest.fixture(scope="module")
def script(library):
    """The same as a TorchScript."""
    import torch

    return torch.jit.script(library)


def tissue_output(rng, shape, spacing_px=9):
    """What a network might say of round cells: (5, H, W) within the script's limits."""
    grid = np.stack(np.meshgrid(*(np.arange(4, side, spacing_px) for side in shape)), -1)
    centres = grid.reshape(-1, 2) + rng.integers(-2, 3, (grid.size // 2, 2))
    pixels = np.indices(shape)
    offsets = pixels[:, None] - centres.T[:, :, None, None]
    distance = np.hypot(*offsets)
    nearest = distance.argmin(0)
    offset = -np.take_along_axis(offsets, nearest[None, None], 1)[:, 0][::-1] / 4  # x, then y
    offset += gaussian_filter(rng.normal(0, 0.8, offset.shape), (0, 1, 1))
    share = np.clip(offset, -3, 3) / 8 + 0.5
    out = rng.normal(0, 1, (5, *shape))
    out[:2] = np.log(share / (1 - share))
    out[4] = 3 - distance.min(0) + gaussian_filter(rng.normal(0, 1, shape), 1)
    return np.clip(out, -2, 3).astype(np.float32)


def noise_output(rng, shape):
    """What an untrained network might say: masks in pieces, with holes, one over the other."""
    out = gaussian_filter(rng.normal(0, 1, (5, *shape)), (0, 2, 2))
    return np.clip(out / out.std() * 1.2, -2, 3).astype(np.float32)


def random_rule(rng, radius=1.6, spread=0.15):
    """A soft diamond with something random about it, and with weight for the widths."""
    layers = [layer.copy() for layer in diamond(radius, n_sigma=2).layers]
    layers[4] /= 2
    layers[5] /= 2
    return PixelClassifier(
        tuple((x + rng.normal(0, spread, x.shape)).astype(np.float32) for x in layers)
    )


def by_library(module, output, classifier, settings):
    import torch

    names = [f"fc{layer}.{part}" for layer in (1, 2, 3) for part in ("weight", "bias")]
    module.pixel_classifier.load_state_dict(
        {n: torch.tensor(x) for n, x in zip(names, classifier.layers, strict=True)}
    )
    with torch.no_grad():
        found = module(
            torch.tensor(output)[None],  # a copy: the library clamps it in place
            window_size=settings.window_size,
            mask_threshold=settings.mask_threshold,
            peak_distance=settings.peak_distance,
            seed_threshold=settings.seed_threshold,
            overlap_threshold=settings.overlap_threshold,
            cleanup_fragments=settings.cleanup_fragments,
        )
    return found[0, 0].numpy()


def by_ours(output, classifier, settings):
    import torch
    from instanseg.utils.loss.instanseg_loss import generate_coordinate_map

    out = torch.tensor(output)
    coordinates = generate_coordinate_map("linear", 2, *output.shape[1:], out.device)
    embedding = (torch.sigmoid(out[:2]) - 0.5) * 8 + coordinates
    seeds = out[4] / 15 + 0.5
    return find_cells(embedding.numpy(), output[2:4], seeds.numpy(), classifier, settings)


@pytest.mark.parametrize(
    ("window", "spacing_px", "radius"), [(8, 6, 0.8), (16, 9, 1.2), (32, 9, 1.2)]
)
def test_it_is_what_the_script_finds(script, capfd, window, spacing_px, radius):
    rng = np.random.default_rng(window)
    output = tissue_output(rng, (152, 200), spacing_px)
    rule = random_rule(rng, radius, spread=0.05)
    settings = Settings(window_size=window, peak_distance=2, seed_threshold=0.6)
    expected = by_library(script, output, rule, settings)
    assert "Reached maximum" not in capfd.readouterr().out  # it came to an end everywhere
    assert len(np.unique(expected)) > 300
    np.testing.assert_array_equal(by_ours(output, rule, settings), expected)


def flood_to_the_end(mask, seeds):
    """The library's flood fill without its limit of steps."""
    import torch

    every = np.zeros((3, 3, 3, 3), bool)
    every[1, 1] = True
    start = binary_dilation(seeds.numpy() > 0, every) & mask.numpy()
    return torch.tensor(binary_propagation(start, every, mask=mask.numpy()))


@pytest.mark.parametrize("cleanup", [True, False])
@pytest.mark.parametrize("window", [8, 16, 32])
@pytest.mark.parametrize("make", [tissue_output, noise_output])
def test_it_is_what_the_library_would_find_with_time(library, monkeypatch, make, window, cleanup):
    for module in ("loss.instanseg_loss", "pytorch_utils"):
        monkeypatch.setattr(f"instanseg.utils.{module}.flood_fill", flood_to_the_end)
    rng = np.random.default_rng(window)
    output = make(rng, (104, 136))
    settings = Settings(
        window_size=window, peak_distance=2, seed_threshold=0.55, cleanup_fragments=cleanup
    )
    for _ in range(2):
        rule = random_rule(rng)
        expected = by_library(library, output, rule, settings)
        assert len(np.unique(expected)) > 50
        np.testing.assert_array_equal(by_ours(output, rule, settings), expected)
