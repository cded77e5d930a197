"""Train one model of the book's own: ``python train.py MODEL --device D --minutes N``."""

import argparse
import os
import sys
from pathlib import Path

import gpu
from imc_helpers.data.manifest import model_record
from imc_helpers.errors import InputError
from imc_helpers.models.training.fit import train_model
from project import Project
from segment import NOTE
from tether import tether


def make(project: Project, model: str, device: str) -> None:
    """Train a model; its weights appear whole, with a note of what they were made from.

    Raises
    ------
    InputError
        If the model is not one that the build trains.
    """
    made_from = project.weights_digest(model)
    device = device if model_record(model).gpu else "cpu"
    with gpu.mine(device):
        folder = train_model(model, device)
    (folder / NOTE).write_text(made_from, encoding="utf-8")


def forget_stale(project: Project, model: str) -> None:
    """Remove the record of a training that today's files would not repeat.

    Without it the weights count as missing.
    """
    training = project.weights(model)
    note = training.with_name(NOTE)
    if not note.is_file() or note.read_text(encoding="utf-8") != project.weights_digest(model):
        training.unlink(missing_ok=True)


def main() -> None:
    """Train one model in a process group of its own, under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="key in data_manifest/models.yml")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    try:
        make(Project(Path.cwd()), arguments.model, arguments.device)
    except InputError as error:
        sys.exit(f"{arguments.model}: {error}")


if __name__ == "__main__":
    main()
