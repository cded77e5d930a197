"""Dice-XMBD's sweep at the program's size: it plans, and nothing of it runs here."""

from pathlib import Path

import sweeps
from project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])


def test_the_dice_grid_is_the_program_s():
    planned = sweeps.resolve(PROJECT, "dice_xmbd", "full", {}, {}, 1)
    assert planned.device == "cuda"
    assert not any(point.why_not for point in planned.points)
    settings = [point.settings for point in planned.points]
    sizes = {(one["base"], one["patch_px"], one["batch"], one["rate"]) for one in settings}
    assert sizes == {(64, 512, 4, 3e-4)}
    assert {one["epochs"] for one in settings} == {80}
    assert {one["variant"] for one in settings} == {"paper", "program"}
    assert {one["augmentation"] for one in settings} == {"varied", "none", "turned"}
    assert {one["seed"] for one in settings} == {0, 1, 2}


def test_small_dice_points_run_on_a_cpu():
    assert sweeps.resolve(PROJECT, "dice_xmbd", "demo", {}, {}, 1).device == "cpu"
