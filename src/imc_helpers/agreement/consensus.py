"""The cells on which annotators agree: a mask out of several masks."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from skimage.segmentation import relabel_sequential

from imc_helpers.errors import InputError
from imc_helpers.metrics import contingency_table


def consensus(masks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the cells that most annotators drew, each as most of them drew it.

    Cells of two annotators can be the same cell when their IoU is over one half. Such pairs are
    joined from the most alike to the least, and a pair is left apart where joining it would put two
    cells of one annotator into one. So a cell of the consensus has at most one cell of each. Of
    each such group, the pixels that more than half of all annotators gave to it are kept.

    Parameters
    ----------
    masks
        (H, W) label images of one sample, two or more.

    Returns
    -------
    numpy.ndarray
        (H, W) uint32.

    Raises
    ------
    InputError
        If there are fewer than two.

    Notes
    -----
    Of pairs that are exactly as alike, the one comes first whose cells begin first in the image,
    row by row. So ids play no part; the order of the masks does only where that is a tie as well.
    """
    if len(masks) < 2:
        raise InputError(f"consensus: expected two masks or more, found {len(masks)}")
    numbered = [relabel_sequential(mask)[0] for mask in masks]
    starts = np.cumsum([0, *(int(mask.max(initial=0)) for mask in numbered)])
    groups = _one_to_one(numbered, starts)
    votes = np.stack(
        [
            np.where(mask > 0, np.r_[0, groups[a:b] + 1][mask], 0)
            for mask, a, b in zip(numbered, starts[:-1], starts[1:], strict=True)
        ]
    )
    # What more than half of the annotators say is the median of what all say.
    middle = np.sort(votes, axis=0)[len(masks) // 2]
    most = 2 * (votes == middle).sum(axis=0) > len(masks)
    return relabel_sequential(np.where(most, middle, 0))[0].astype(np.uint32)


def _one_to_one(masks: Sequence[np.ndarray], starts: np.ndarray) -> np.ndarray:
    """Give each cell of all masks the number of its group, with one cell of a mask at most.

    Cells are counted through all masks; those of a mask begin at its start, in the order of ids.
    """
    cells = range(int(starts[-1]))
    group = np.array(cells, np.int64)
    members = {cell: [cell] for cell in cells}
    owners = {cell: {int(np.searchsorted(starts, cell, side="right"))} for cell in cells}
    for one, two in _most_alike_first(masks, starts):
        into, from_ = int(group[one]), int(group[two])
        if owners[into].isdisjoint(owners[from_]):
            group[members[from_]] = into
            members[into] += members.pop(from_)
            owners[into] |= owners.pop(from_)
    return group


def _most_alike_first(masks: Sequence[np.ndarray], starts: np.ndarray) -> list[tuple[int, int]]:
    """List the pairs of cells of two masks with an IoU over one half."""
    begins = [np.unique(mask[mask > 0], return_index=True)[1] for mask in masks]
    begins = [np.flatnonzero(mask)[first] for mask, first in zip(masks, begins, strict=True)]
    pairs = []
    for j, i in combinations(range(len(masks)), 2):
        table = contingency_table(masks[j], masks[i])
        same = 2 * table.intersection > table.union
        for iou, a, b in zip(table.iou[same], table.i[same], table.j[same], strict=True):
            where = sorted((int(begins[j][a]), int(begins[i][b])))
            pairs.append((-iou, *where, j, i, int(starts[j] + a), int(starts[i] + b)))
    return [(one, two) for *_, one, two in sorted(pairs)]
