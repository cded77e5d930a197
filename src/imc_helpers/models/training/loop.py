"""The loop that trains a network: the same weights from the same seed, also after a kill."""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, Dataset, Sampler

from imc_helpers.errors import InputError
from imc_helpers.models.checkpoint import load_state
from imc_helpers.models.training.augmentation import AUGMENTATIONS, Augmentation
from imc_helpers.models.training.losses import LOSSES, is_finite
from imc_helpers.models.training.patches import Patches

WEIGHTS, ABOUT, CURVE = "best.pt", "fit.json", "curve.csv"
"""Files of a finished training; ``last.ckpt`` beside them belongs to one that was interrupted."""
_LAST = "last.ckpt"


@dataclass(frozen=True)
class FitSettings:
    """How long and by what a network is trained."""

    loss: str = "soft Dice"
    """A name of `imc_helpers.models.training.losses.LOSSES`."""
    epochs: int = 50
    batch: int = 64
    rate: float = 0.01
    """Of Adam."""
    augmentation: str = "none"
    """A name of `imc_helpers.models.training.augmentation.AUGMENTATIONS`."""
    seed: int = 0
    chosen_by: str = "dice"
    """What chooses the epoch: ``"dice"``, the Dice coefficient of the pixels of the first plane, or
    ``"loss"``, both of the images for validation."""
    patience: int | None = None
    """Epochs without a lower loss in validation after which the rate falls to a tenth."""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"loss {self.loss!r}: expected one of {', '.join(LOSSES)}")
        if self.augmentation not in AUGMENTATIONS:
            raise InputError(
                f"augmentation {self.augmentation!r}: expected one of {', '.join(AUGMENTATIONS)}"
            )
        if self.chosen_by not in ("dice", "loss"):
            raise InputError(f"chosen_by {self.chosen_by!r}: expected dice or loss")
        if self.epochs < 1 or self.batch < 2:
            raise InputError(
                f"training: {self.epochs} epochs of batches of {self.batch}; expected an epoch or "
                "more, and batches of two or more, since batch normalisation compares patches"
            )


def fit_network(
    make: Callable[[], nn.Module],
    train: Patches,
    validation: Patches,
    settings: FitSettings,
    folder: Path,
    device: str = "cpu",
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a network, and return it as it was in its best epoch.

    Parameters
    ----------
    make
        Makes the network; it is called with the seed set.
    train, validation
        What it learns from, and what chooses the epoch.
    settings
        How.
    folder
        Where it keeps its state: a training that was interrupted there goes on, and one that was
        finished there is read.
    device
        ``"cpu"``, or ``"cuda"`` for a GPU, where it trains with mixed precision.

    Returns
    -------
    network : torch.nn.Module
        With the weights of the epoch that was best in validation, on the CPU.
    curve : pandas.DataFrame
        One row per epoch: ``epoch``, ``loss`` (mean over batches), ``validation_dice``,
        ``validation_loss``.

    Raises
    ------
    InputError
        If the folder holds another training, or the loss is no number.
    """
    about = {**asdict(settings), "data": _digest(train, validation)}
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = make()
        about["network"] = [[name, *p.shape] for name, p in network.named_parameters()]
        _claim(folder, about)
        if not (folder / WEIGHTS).is_file():
            _train(network, train, validation, settings, folder, device)
    load_state(network, folder / WEIGHTS)
    return network.eval(), pd.read_csv(folder / CURVE)


def _claim(folder: Path, about: dict[str, Any]) -> None:
    """Say whose folder this is, or find that it is another training's."""
    path, text = folder / ABOUT, json.dumps(about, indent=1)
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{folder}: holds the training of another network, or on other images; remove it, "
                "or give another folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice, which is about machines and loggers, off pages and logs."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists", UserWarning)
        warnings.filterwarnings("ignore", ".*num_workers.*")
        warnings.filterwarnings("ignore", ".*LeafSpec")  # its own use of a newer torch
        try:
            yield
        finally:
            log.setLevel(level)


def _train(
    network: nn.Module,
    train: Patches,
    validation: Patches,
    settings: FitSettings,
    folder: Path,
    device: str,
) -> None:
    module = _Module(network, settings)
    best = ModelCheckpoint(
        folder,
        "best",
        monitor=f"validation_{settings.chosen_by}",
        mode="max" if settings.chosen_by == "dice" else "min",
        save_last=True,
        verbose=False,
    )
    made = AUGMENTATIONS[settings.augmentation]
    order = _Order(len(train), settings.seed)
    learn = DataLoader(
        _Numbered(train, made(settings.seed) if made else None),
        batch_size=settings.batch,
        sampler=order,
        # A last batch of one patch has no spread to normalise by.
        drop_last=len(train) % settings.batch == 1,
    )
    check = DataLoader(_Numbered(validation, None), batch_size=settings.batch)
    last = folder / _LAST
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision="16-mixed" if device == "cuda" else "32-true",
            deterministic="warn" if device == "cuda" else True,
            callbacks=[best],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        trainer.fit(module, learn, check, ckpt_path=last if last.is_file() else None)
    chosen = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    state = {name.removeprefix("network."): value for name, value in chosen.items()}
    pd.DataFrame(module.curve).to_csv(folder / CURVE, index=False)
    draft = folder / f"{WEIGHTS}.new"
    torch.save(state, draft)
    draft.replace(folder / WEIGHTS)  # whole or not at all
    for path in folder.glob("*.ckpt"):
        path.unlink()


class _Module(lightning.LightningModule):
    """A network with its loss, its optimiser and its curve."""

    def __init__(self, network: nn.Module, settings: FitSettings) -> None:
        super().__init__()
        self.network = network
        self.curve: list[dict[str, float]] = []
        self._settings = settings
        self._loss = LOSSES[settings.loss]
        self._losses: list[float] = []
        self._counts = torch.zeros(3)
        self._validation: list[tuple[float, int]] = []

    def configure_optimizers(self) -> Any:
        adam = torch.optim.Adam(self.network.parameters(), self._settings.rate)
        if self._settings.patience is None:
            return adam
        lower = ReduceLROnPlateau(adam, patience=self._settings.patience)
        return {
            "optimizer": adam,
            "lr_scheduler": {"scheduler": lower, "monitor": "validation_loss"},
        }

    def on_train_epoch_start(self) -> None:
        self._losses = []

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        # Dropout does not depend on what ran before in this process; loaders draw numbers too.
        place = (self._settings.seed, self.current_epoch, number)
        torch.manual_seed(int(np.random.default_rng(place).integers(2**31)))
        loss = self._loss(self.network(batch["image"]), batch["target"], batch["known"])
        if not is_finite(loss):
            raise InputError(
                f"training: the loss is {loss.item()} in epoch {self.current_epoch + 1}; take a "
                f"lower rate than {self._settings.rate:g}, and look for NaN among the images"
            )
        self._losses.append(float(loss.detach()))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._counts = torch.zeros(3)
        self._validation = []

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        logits = self.network(batch["image"])
        loss = self._loss(logits, batch["target"], batch["known"])
        self._validation.append((float(loss), len(logits)))
        known = batch["known"][:, 0] > 0
        true = (batch["target"][:, 0] > 0.5) & known
        found = (logits[:, 0] > 0) & known
        sums = [(true & found).sum(), true.sum(), found.sum()]
        self._counts += torch.tensor([float(one) for one in sums])

    def on_validation_epoch_end(self) -> None:
        both, true, found = self._counts.tolist()
        dice = 2 * both / (true + found) if true + found else 0.0
        losses, sizes = zip(*self._validation, strict=True)
        loss = float(np.average(losses, weights=sizes))
        self.log_dict({"validation_dice": dice, "validation_loss": loss})
        self.curve.append(
            {
                "epoch": self.current_epoch + 1,
                "loss": float(np.mean(self._losses)),
                "validation_dice": dice,
                "validation_loss": loss,
            }
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["curve"] = self.curve

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.curve = checkpoint["curve"]


class _Numbered(Dataset):
    """Patches by a number that says which patch it is, and in which epoch."""

    def __init__(self, patches: Patches, change: Augmentation | None) -> None:
        self._patches = patches
        self._change = change

    def __len__(self) -> int:
        return len(self._patches)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        i = number % len(self._patches)
        planes = (self._patches.images, self._patches.targets, self._patches.known)
        patch = {
            name: plane[i] for name, plane in zip(("image", "target", "known"), planes, strict=True)
        }
        if self._change is not None:
            patch = self._change(patch, number)
        return {name: torch.as_tensor(np.array(plane)) for name, plane in patch.items()}


class _Order(Sampler):
    """The patches in an order of their own in each epoch; Lightning says which epoch it is."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed, self._epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._n)
        return iter((self._epoch * self._n + order).tolist())


def _digest(*parts: Patches) -> str:
    found = hashlib.sha256()
    for part in parts:
        for planes in (part.images, part.targets, part.known):
            found.update(planes.tobytes())
            found.update(str(planes.shape).encode())
    return found.hexdigest()
