"""What goes in: dtypes, layouts, ids, and input that is refused."""

import numpy as np
import pytest

from imc_helpers.metrics import ContingencyTable, contingency_table, evaluate

TRUE = np.array([[1, 1, 0, 2], [1, 1, 2, 2], [0, 3, 3, 3]])
PRED = np.array([[5, 5, 5, 0], [5, 0, 7, 7], [0, 7, 7, 7]])


def content(table: ContingencyTable) -> list[list[int]]:
    columns = (table.true_ids, table.true_areas, table.pred_ids, table.pred_areas)
    return [column.tolist() for column in (*columns, table.i, table.j, table.intersection)]


def test_table_by_hand() -> None:
    table = contingency_table(TRUE, PRED)
    assert (table.n_true, table.n_pred, table.n_pixels) == (3, 2, 12)
    assert content(table) == [[1, 2, 3], [4, 3, 3], [5, 7], [4, 5], [0, 1, 2], [0, 1, 1], [3, 2, 3]]
    assert table.union.tolist() == [5, 6, 5]
    assert table.pairs == [(0, 0, 3, 3 / 5), (1, 1, 2, 2 / 6), (2, 1, 3, 3 / 5)]


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", ">u2", "i2", ">i4", "u4", "i8", ">u8", "f4", "f8"]
)
def test_any_dtype_and_byte_order(dtype: str) -> None:
    expected = content(contingency_table(TRUE, PRED))
    assert content(contingency_table(TRUE.astype(dtype), PRED)) == expected
    assert content(contingency_table(TRUE, PRED.astype(dtype))) == expected
    assert content(contingency_table(TRUE.astype(dtype), PRED.astype(dtype))) == expected


def test_any_memory_layout() -> None:
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 6, (2, 7, 8, 9))
    expected = content(contingency_table(true, pred))
    wide = np.zeros((14, 8, 18), np.int32)
    wide[::2, :, ::-2] = true
    for view in (
        np.asfortranarray(true),
        wide[::2, :, ::-2],
        true.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    ):
        assert content(contingency_table(view, pred)) == expected
        assert content(contingency_table(pred, view)) == content(contingency_table(pred, true))


@pytest.mark.parametrize("shape", [(504,), (7, 72), (7, 8, 9), (2, 3, 4, 21), (1, 1, 7, 8, 9)])
def test_any_number_of_axes(shape: tuple[int, ...]) -> None:
    true, pred = np.random.default_rng(1).integers(0, 9, (2, 504))
    expected = content(contingency_table(true, pred))
    assert content(contingency_table(true.reshape(shape), pred.reshape(shape))) == expected


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.uint32])
def test_large_ids_come_back(dtype: type) -> None:
    top = int(np.iinfo(dtype).max)
    ids = np.array([0, top, 70_000, top - 1, 3], dtype)
    true, pred = np.random.default_rng(2).integers(0, 5, (2, 40, 40))
    table = contingency_table(ids[true], ids[pred])
    assert table.true_ids.tolist() == [3, 70_000, top - 1, top]
    small = np.array([0, 4, 2, 3, 1])
    assert content(table)[1::2] == content(contingency_table(small[true], small[pred]))[1::2]
    assert table.pairs == contingency_table(small[true], small[pred]).pairs


def test_more_labels_than_a_table_starts_with() -> None:
    # Every pixel its own pair: the hash table has to grow several times.
    true = np.arange(300 * 300).reshape(300, 300) + 1
    pred = true.T
    table = contingency_table(true, pred)
    assert table.n_true == table.n_pred == len(table.i) == 300 * 300
    assert (table.intersection == 1).all()
    assert (table.pred_ids[table.j] == pred[np.divmod(table.true_ids[table.i] - 1, 300)]).all()
    far = contingency_table(true * 10**9, pred * 10**9)
    assert (far.true_ids == table.true_ids * 10**9).all()
    assert (far.j == table.j).all()


def test_one_object_under_many() -> None:
    pred = np.arange(1, 2501).reshape(50, 50)[::-1]
    table = contingency_table(np.ones((50, 50), int), pred)
    assert table.pred_ids[table.j].tolist() == list(range(1, 2501))
    assert contingency_table(pred, np.ones((50, 50), int)).j.tolist() == [0] * 2500


@pytest.mark.parametrize("shape", [(0,), (0, 5), (4, 0), (2, 0, 3), (1, 2, 0, 3)])
def test_images_without_pixels(shape: tuple[int, ...]) -> None:
    table = contingency_table(np.zeros(shape, int), np.zeros(shape, int))
    assert (table.n_true, table.n_pred, table.n_pixels, table.pairs) == (0, 0, 0, [])


def test_input_is_left_as_it_is() -> None:
    true, pred = TRUE.copy(), PRED.copy()
    true.setflags(write=False)
    evaluate(true, pred, borders=True)
    assert (pred == PRED).all()


def test_borders_by_hand() -> None:
    # The middle pixel of a 3 x 3 cell is inside; the rest touch something else. Pixels at the edge
    # of the image do not touch what lies beyond it.
    true = np.zeros((5, 4), int)
    true[1:4, :3] = 1
    pred = np.ones((5, 4), int)
    table = contingency_table(true, pred, borders=True)
    assert table.borders == (7, 0, 0)
    assert contingency_table(true, true, borders=True).borders == (7, 7, 7)
    assert contingency_table(true, pred).borders is None


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (TRUE > 0, "is boolean.*label it first with skimage.measure.label"),
        (TRUE - 1, "found -1: give ignored pixels the id 0"),
        ((TRUE - 1).astype(np.int8), "found -1"),
        (TRUE + 0.5, "whole numbers, found 1.5"),
        (np.where(TRUE == 2, np.nan, TRUE), "NaN or infinity"),
        (np.where(TRUE == 2, np.inf, TRUE), "NaN or infinity"),
        (TRUE * 1e30, "beyond 2\\*\\*63"),
        (TRUE[:2], "one shape"),
        (TRUE[np.newaxis], "one shape"),
    ],
)
def test_bad_labels_are_refused_by_name(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match="true.*" + message):
        contingency_table(image, PRED)
    with pytest.raises(ValueError, match="pred.*" + message):
        contingency_table(PRED, image)


@pytest.mark.parametrize("image", [TRUE.astype(str), TRUE.astype(complex), TRUE.astype(object)])
def test_what_is_no_number_is_refused(image: np.ndarray) -> None:
    with pytest.raises(TypeError, match="pred must be a label image of whole numbers"):
        contingency_table(TRUE, image)


def test_single_values_and_deep_borders_are_refused() -> None:
    with pytest.raises(ValueError, match="single value"):
        contingency_table(1, 1)
    deep = np.ones((2, 2, 2, 2), int)
    with pytest.raises(ValueError, match="at most 3 axes, found 4"):
        contingency_table(deep, deep, borders=True)
