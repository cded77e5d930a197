"""Many pairs at once: the same scores as one by one, pooled or not, from any number of threads."""

from collections.abc import Iterator

import numpy as np
import pytest

from imc_helpers.metrics import Scores, evaluate, evaluate_many
from imc_helpers.metrics.many import PAIRS_A_TASK


def pair(seed: int, side: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.permutation(100).reshape(10, 10), np.ones((6, 6), int))[:side, :side]
    return blocks * (blocks % 5 > 0), np.roll(blocks, rng.integers(-2, 3), axis=1) * (blocks > 20)


def quarters(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    height, width = shape
    return [
        (slice(y, y + 40), slice(x, x + 40))
        for y in range(0, height - 39, 20)
        for x in range(0, width - 39, 20)
    ]


def assert_row(row: dict[str, object], scores: Scores) -> None:
    for name, value in vars(scores).items():
        assert row[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("workers", [1, 3, None])
@pytest.mark.parametrize("sap", ["paper", "step", None])
def test_pairs_in_order(workers: int | None, sap: str) -> None:
    pairs = [pair(seed) for seed in range(2 * PAIRS_A_TASK + 3)]
    frame = evaluate_many(pairs, workers=workers, sap=sap, borders=True, strict=True)
    assert frame["pair"].tolist() == list(range(len(pairs)))
    for row, images in zip(frame.to_dict("records"), pairs, strict=True):
        assert_row(row, evaluate(*images, sap=sap, borders=True, strict=True))


def test_windows_are_cut_inside() -> None:
    pairs = [pair(0), pair(1, side=55)]
    frame = evaluate_many(pairs, windows=quarters, borders=True)
    assert frame["pair"].tolist() == [0] * 4 + [1]
    assert frame["window"].tolist() == [0, 1, 2, 3, 0]
    crops = [(t[w], p[w]) for t, p in pairs for w in quarters(t.shape)]
    for row, crop in zip(frame.to_dict("records"), crops, strict=True):
        assert_row(row, evaluate(*crop, borders=True))


def test_windows_of_transposed_images_and_of_large_ids() -> None:
    true, pred = pair(2)
    expected = evaluate_many([(true, pred)], windows=quarters)["map"].tolist()
    transposed = np.ascontiguousarray(true.T).T, pred
    assert evaluate_many([transposed], windows=quarters)["map"].tolist() == expected
    large = true * 10**12, pred * 10**12
    assert evaluate_many([large], windows=quarters)["map"].tolist() == expected


def test_windows_of_a_volume() -> None:
    true, pred = (np.stack([image, image[::-1]]) for image in pair(3))
    planes = evaluate_many([(true, pred)], windows=lambda shape: [(slice(1), slice(30), slice(9))])
    assert planes["ap50"][0] == evaluate(true[:1, :30, :9], pred[:1, :30, :9]).ap50


@pytest.mark.parametrize("sap", ["paper", "step"])
def test_pooled_is_the_score_of_all_images_side_by_side(sap: str) -> None:
    pairs = [pair(seed) for seed in range(5)] + [(np.zeros((60, 60), int),) * 2]
    pooled = evaluate_many(pairs, pool="sum", sap=sap)
    assert (pooled["n_scored"][0], pooled["both_empty"][0]) == (6, 1)
    side_by_side = tuple(
        np.concatenate([(p[side] + 1000 * k) * (p[side] > 0) for k, p in enumerate(pairs)])
        for side in (0, 1)
    )
    row = pooled.to_dict("records")[0]
    together = evaluate(*side_by_side, sap=sap)
    # Background is one segment in one image, and one in each of several.
    apart = {"rand_error", "voi_split", "voi_merge"}
    for name in vars(together).keys() - apart:
        assert row[name] == pytest.approx(getattr(together, name), abs=1e-12, nan_ok=True), name


def test_pooled_adds_information_within_images() -> None:
    pairs = [pair(0), pair(1)]
    each = [evaluate(*images) for images in pairs]
    pooled = evaluate_many(pairs, pool="sum")
    assert pooled["voi_split"][0] == pytest.approx(np.mean([s.voi_split for s in each]))
    assert pooled["n_true"][0] == sum(s.n_true for s in each)


def test_a_generator_is_read_as_needed() -> None:
    alive = 0
    most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            if self.base is None:
                alive -= 1

    def load() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal alive, most
        for _ in range(200):
            image = Counted((8, 8), dtype=np.int64)
            image[:] = 1
            alive += 1
            most = max(most, alive)
            yield image, image

    assert evaluate_many(load(), workers=1)["ap50"].tolist() == [1.0] * 200
    assert most <= 5 * PAIRS_A_TASK


def test_nothing_to_score() -> None:
    frame = evaluate_many([])
    assert len(frame) == 0
    assert {"pair", "ap50", "map", "sap", "both_empty"} <= set(frame.columns)
    assert evaluate_many([], pool="sum")["n_scored"].tolist() == [0]
    assert len(evaluate_many([pair(0)], windows=lambda _: [])) == 0


def test_a_bad_pair_is_named() -> None:
    with pytest.raises(ValueError, match="pair 1: true and pred must be label images of one shape"):
        evaluate_many([pair(0), (np.ones((2, 2), int), np.ones((2, 3), int))])
    with pytest.raises(TypeError, match="pair 0: true must be a label image"):
        evaluate_many([(np.array(["a"]), np.array([1]))])
    with pytest.raises(ValueError, match="pair 0: a window has one slice for each axis"):
        evaluate_many([pair(0)], windows=lambda _: [(slice(3),)])


def test_bad_options_are_refused() -> None:
    with pytest.raises(ValueError, match="found 'mean'"):
        evaluate_many([pair(0)], pool="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="workers must be 1 or more, found 0"):
        evaluate_many([pair(0)], workers=0)
