"""Training: the same weights from the same seed, also after a kill; errors that say what to do."""

import numpy as np
import pytest
import torch

from imc_helpers.errors import InputError
from imc_helpers.models.dropout_unet import DropoutUNet, count_parameters, predict
from imc_helpers.models.training import loop
from imc_helpers.models.training.augmentation import Turned, Varied
from imc_helpers.models.training.loop import FitSettings, fit_network
from imc_helpers.models.training.patches import make_patches

SETTINGS = FitSettings(
    epochs=3, batch=2, augmentation="varied", seed=4, patience=0, loss="cross-entropy"
)


def make():
    return DropoutUNet(1, base=2)


@pytest.fixture(scope="module")
def patches():
    rng = np.random.default_rng(0)
    true = rng.random((6, 1, 32, 32)) < 0.3
    images = true + 0.1 * rng.random(true.shape)
    return make_patches(list(images), list(true), 32)


def last_weights(monkeypatch):
    """Catch the weights of the last epoch, which need not be the best."""
    found = []
    save = loop._Module.on_validation_epoch_end
    monkeypatch.setattr(
        loop._Module,
        "on_validation_epoch_end",
        lambda m: (save(m), found.append(weights(m.network).clone()))[0],
    )
    return found


@pytest.fixture(scope="module")
def unbroken(patches, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        last = last_weights(patch)
        network, curve = fit_network(
            make, patches, patches, SETTINGS, tmp_path_factory.mktemp("fit")
        )
    return network, curve, last[-1]


def weights(network):
    return torch.cat([value.double().ravel() for value in network.state_dict().values()])


def test_a_training_that_was_killed_ends_as_an_unbroken_one(
    patches, unbroken, tmp_path, monkeypatch
):
    step, seen = loop._Module.training_step, []

    def killed(module, batch, number):
        seen.append(number)
        if len(seen) == 5:  # in the middle of the second epoch
            raise KeyboardInterrupt("killed")
        return step(module, batch, number)

    monkeypatch.setattr(loop._Module, "training_step", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit_network(make, patches, patches, SETTINGS, tmp_path)
    assert (tmp_path / "last.ckpt").is_file()
    assert not (tmp_path / loop.WEIGHTS).exists()
    monkeypatch.undo()
    last = last_weights(monkeypatch)
    network, curve = fit_network(make, patches, patches, SETTINGS, tmp_path)
    assert len(last) == 2, "the first epoch is not repeated"
    assert torch.equal(last[-1], unbroken[2])
    assert torch.equal(weights(network), weights(unbroken[0]))
    assert curve.equals(unbroken[1])
    assert curve["epoch"].tolist() == [1, 2, 3]
    assert not list(tmp_path.glob("*.ckpt"))


def test_a_finished_training_is_read_and_not_repeated(patches, tmp_path, monkeypatch):
    short = FitSettings(epochs=1, batch=2)
    first, _ = fit_network(make, patches, patches, short, tmp_path)
    monkeypatch.setattr(loop, "_train", None)
    again, _ = fit_network(make, patches, patches, short, tmp_path)
    assert torch.equal(weights(first), weights(again))
    with pytest.raises(InputError, match="another network"):
        fit_network(lambda: DropoutUNet(1, base=4), patches, patches, short, tmp_path)


def test_training_leaves_the_generator_of_others_alone(patches, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    fit_network(make, patches, patches, FitSettings(epochs=1, batch=2), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_no_number_stops_a_training(patches, tmp_path, monkeypatch):
    nan = {**loop.LOSSES, "soft Dice": lambda logits, *_: logits.sum() * float("nan")}
    monkeypatch.setattr(loop, "LOSSES", nan)
    with pytest.raises(InputError, match="loss is nan in epoch 1; take a lower rate"):
        fit_network(make, patches, patches, FitSettings(epochs=1, batch=2), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"loss": "hinge"}, "expected one of soft Dice"),
        ({"batch": 1}, "batches of two or more"),
        ({"augmentation": "bent"}, "expected one of none, turned, varied"),
        ({"chosen_by": "eye"}, "expected dice or loss"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        FitSettings(**wrong)


def test_the_network_learns_what_the_image_shows(unbroken, patches):
    curve = unbroken[1]
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]


def test_the_network_of_the_paper():
    network = DropoutUNet(6)
    rates = [part.p for part in network.modules() if isinstance(part, torch.nn.Dropout)]
    # Two convolutions a level: down to the bottleneck, and up again in reverse.
    assert rates == [
        r for r in (0.1, 0.1, 0.2, 0.2, 0.3, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1) for _ in "12"
    ]
    assert network.down[-1].convs.conv_0.conv.out_channels == 512
    assert 10e6 < count_parameters(network) < 25e6


def test_prediction_does_not_depend_on_the_batch():
    network = DropoutUNet(2, planes=2, base=2)
    image = torch.rand(3, 2, 32, 32)
    found = predict(network, image)
    assert found.shape == (3, 2, 32, 32)
    assert torch.allclose(found, predict(network, image, batch=1), atol=1e-6)


def test_a_patch_and_its_target_are_turned_alike():
    turned = Turned(3)
    plane = np.arange(64.0).reshape(1, 8, 8)
    seen = set()
    for number in range(60):
        moved = {
            k: np.asarray(v)
            for k, v in turned(dict.fromkeys(("image", "target", "known"), plane), number).items()
        }
        assert np.array_equal(moved["image"], moved["target"])
        assert np.array_equal(moved["image"], moved["known"])
        assert sorted(moved["image"].ravel()) == sorted(plane.ravel())
        seen.add(moved["image"].tobytes())
    assert len(seen) == 8, "all that a square can be turned to"
    again = np.asarray(Turned(3)(dict.fromkeys(("image", "target", "known"), plane), 59)["image"])
    assert np.array_equal(again, moved["image"])


def test_the_epoch_is_chosen_by_what_was_asked(patches, tmp_path):
    for chosen_by, best in (("dice", np.argmax), ("loss", np.argmin)):
        settings = FitSettings(epochs=3, batch=2, chosen_by=chosen_by)
        network, curve = fit_network(make, patches, patches, settings, tmp_path / chosen_by)
        logits = network(torch.as_tensor(patches.images)).detach()
        loss = loop.LOSSES["soft Dice"](
            logits, torch.as_tensor(patches.targets), torch.as_tensor(patches.known)
        )
        kept = best(curve[f"validation_{chosen_by}"])
        assert loss.item() == pytest.approx(curve["validation_loss"][kept], abs=1e-4)


def test_a_varied_patch_stays_in_range_and_its_corners_are_not_known():
    varied = Varied(1)
    image = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    target = np.ones((3, 32, 32), np.float32)
    known = np.ones((1, 32, 32), np.float32)
    levels = []
    for number in range(20):
        patch = varied({"image": image, "target": target, "known": known}, number)
        found = {name: np.asarray(plane) for name, plane in patch.items()}
        sure = found["known"][0] > 0
        assert 0.6 < sure.mean() <= 1, "a square turned within itself loses its corners"
        assert set(np.unique(found["known"])) <= {0, 1}
        assert (found["target"] >= 0).all() and (found["target"] <= 1).all()
        assert found["target"][:, sure].mean() > 0.97
        assert found["image"].shape == image.shape
        levels.append(found["image"][:, sure].mean() / image.mean())
    assert min(levels) < 0.75 and max(levels) > 1.15, "darker and brighter"
    again = varied({"image": image, "target": target, "known": known}, 19)
    assert np.array_equal(np.asarray(again["image"]), found["image"])
