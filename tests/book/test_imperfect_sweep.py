"""The grid of imperfect labels, at the study's size: it plans, and nothing of it runs here."""

from pathlib import Path

import sweeps
from project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])


def test_the_grid_is_the_paper_s():
    planned = sweeps.resolve(PROJECT, "imperfect_labels", "full", {}, {}, 1)
    assert planned.device == "cuda"
    assert not any(point.why_not for point in planned.points)
    settings = [point.settings for point in planned.points]
    assert {one["base"] for one in settings} == {32}
    assert {one["batch"] for one in settings} == {64}
    plain = {"kernel_px": 0, "also": "", "rounds": 0, "loss": "soft Dice", "order": "at random"}
    plain = [one for one in settings if all(one[key] == value for key, value in plain.items())]
    assert len({one["missing"] for one in plain}) == 13
    assert {one["seed"] for one in settings} == {0, 1, 2}
    transfer = {(one["missing"], one["with_also"]) for one in settings if one["also"]}
    assert len(transfer) == 8


def test_small_points_run_on_a_cpu():
    assert sweeps.resolve(PROJECT, "imperfect_labels", "demo", {}, {}, 1).device == "cpu"
