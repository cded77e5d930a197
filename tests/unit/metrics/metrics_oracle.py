"""Scores by brute force: dense loops, exact fractions, every matching tried. Small images only."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise, product

import numpy as np


class Oracle:
    """What the engine should say of a pair of small label images."""

    def __init__(self, true: np.ndarray, pred: np.ndarray) -> None:
        self.true = [np.flatnonzero(true.ravel() == k) for k in np.unique(true) if k != 0]
        self.pred = [np.flatnonzero(pred.ravel() == k) for k in np.unique(pred) if k != 0]
        self.n_pixels = true.size
        self.shared = {
            (i, j): len(set(t) & set(p))
            for (i, t), (j, p) in product(enumerate(self.true), enumerate(self.pred))
        }
        self.iou = {
            (i, j): Fraction(n, len(self.true[i]) + len(self.pred[j]) - n)
            for (i, j), n in self.shared.items()
            if n > 0
        }
        self.n_true, self.n_pred = len(self.true), len(self.pred)

    def matchings(self) -> Iterator[list[Fraction]]:
        """List the IoUs of every one-to-one matching among pairs that overlap."""

        def extend(i: int, free: frozenset[int]) -> Iterator[list[Fraction]]:
            if i == self.n_true:
                yield []
                return
            yield from extend(i + 1, free)
            for j in free:
                if (i, j) in self.iou:
                    for rest in extend(i + 1, free - {j}):
                        yield [self.iou[i, j], *rest]

        return extend(0, frozenset(range(self.n_pred)))

    def tp(self, threshold: Fraction, *, strict: bool) -> int:
        """Size of the largest matching at a threshold, by trying every choice."""

        @cache
        def best(i: int, free: frozenset[int]) -> int:
            if i == self.n_true:
                return 0
            most = best(i + 1, free)
            for j in free:
                iou = self.iou.get((i, j), Fraction(0))
                if iou > 0 and (iou > threshold if strict else iou >= threshold):
                    most = max(most, 1 + best(i + 1, free - {j}))
            return most

        return best(0, frozenset(range(self.n_pred)))

    def ap_of(self, tp: int) -> Fraction:
        if self.n_true == self.n_pred == 0:
            return Fraction(1)
        return Fraction(tp, self.n_true + self.n_pred - tp)

    def ap(self, threshold: Fraction, *, strict: bool) -> Fraction:
        return self.ap_of(self.tp(threshold, strict=strict))

    def map(self, *, strict: bool) -> Fraction:
        return sum(self.ap(Fraction(k, 100), strict=strict) for k in range(50, 100, 5)) / 10

    def f1(self, threshold: Fraction, *, strict: bool) -> Fraction:
        if self.n_true == self.n_pred == 0:
            return Fraction(1)
        return Fraction(2 * self.tp(threshold, strict=strict), self.n_true + self.n_pred)

    def assignment(self) -> list[Fraction]:
        """IoUs, rising, of the assignment with the largest sum, then the largest sum of squares."""
        return sorted(max(self.matchings(), key=lambda m: (sum(m), sum(x * x for x in m))))

    def sap_paper(self) -> Fraction:
        if self.n_true == self.n_pred == 0:
            return Fraction(1)
        levels = self.assignment()
        if not levels:
            return Fraction(0)
        ap = [self.ap_of(len(levels) - k) for k in range(len(levels))]
        x, y = [Fraction(0), *levels, Fraction(1)], [ap[0], *ap, Fraction(0)]
        return sum(
            ((x[k + 1] - x[k]) * (y[k] + y[k + 1]) / 2 for k in range(len(x) - 1)), Fraction(0)
        )

    def sap_step(self) -> Fraction:
        """Integrate AP(t): constant between neighbouring IoUs, so one probe each is enough."""
        edges = sorted({Fraction(0), Fraction(1), *self.iou.values()})
        return sum(
            (
                (high - low) * self.ap((low + high) / 2, strict=False)
                for low, high in pairwise(edges)
            ),
            Fraction(0),
        )

    def iou_50(self, *, strict: bool) -> Fraction:
        """Summed IoU of a largest matching at .5: the same for each of them."""
        half = Fraction(1, 2)
        kept = (m for m in self.matchings() if all(x > half if strict else x >= half for x in m))
        return sum(max(kept, key=len), Fraction(0))

    def aji(self) -> Fraction:
        if self.n_true == self.n_pred == 0:
            return Fraction(1)
        shared = union = 0
        used: set[int] = set()
        for i in range(self.n_true):
            rivals = [
                (self.iou[i, j], self.shared[i, j], j)
                for j in range(self.n_pred)
                if (i, j) in self.iou
            ]
            if not rivals:
                union += len(self.true[i])
                continue
            best_iou, best_shared, _ = max(rivals)
            shared += best_shared
            union += best_shared / best_iou
            used |= {j for iou, n, j in rivals if (iou, n) == (best_iou, best_shared)}
        union += sum(len(p) for j, p in enumerate(self.pred) if j not in used)
        return Fraction(shared) / union

    def seg(self) -> Fraction:
        if self.n_true == 0:
            return Fraction(int(self.n_pred == 0))
        covered = [
            iou for (i, j), iou in self.iou.items() if 2 * self.shared[i, j] > len(self.true[i])
        ]
        return sum(covered, Fraction(0)) / self.n_true

    def dice(self) -> Fraction:
        size = sum(map(len, self.true)) + sum(map(len, self.pred))
        return Fraction(2 * sum(self.shared.values()), size) if size else Fraction(1)
