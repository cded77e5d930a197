"""Weights that are not those of the network, and what else keeps a model from loading."""

import pickle
import sys

import pytest

from imc_helpers.errors import InputError
from imc_helpers.models.checkpoint import load_state, read_weights
from imc_helpers.models.torchvision_ops import need_torchvision

torch = pytest.importorskip("torch", reason="torch is not installed here")


class Touch:
    """Pickled, it is a command that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def network():
    return torch.nn.Linear(3, 2)


def test_weights_come_into_the_network(network, tmp_path):
    other = torch.nn.Linear(3, 2)
    torch.save({"state_dict": other.state_dict()}, tmp_path / "net.pt")
    load_state(network, tmp_path / "net.pt", key="state_dict")
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"weight": torch.zeros(2, 3)},
        {"weight": torch.zeros(2, 4), "bias": torch.zeros(2)},
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)},
        [1, 2],
    ],
    ids=["nothing", "one lacks", "other shape", "one too many", "a list"],
)
def test_other_weights_are_refused(network, tmp_path, state):
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"net\.pt: not the weights of this network"):
        load_state(network, tmp_path / "net.pt")
    with pytest.raises(InputError, match="'state_dict'|not the weights"):
        load_state(network, tmp_path / "net.pt", key="state_dict")


def test_what_may_lack(network, tmp_path):
    weight = torch.ones(2, 3)
    torch.save({"weight": weight, "more": weight}, tmp_path / "net.pt")
    load_state(network, tmp_path / "net.pt", may_lack="bias")
    assert torch.equal(network.weight, weight)
    with pytest.raises(InputError, match="it lacks bias"):
        load_state(network, tmp_path / "net.pt", may_lack="other")


def test_a_file_cannot_run_code(tmp_path):
    made = tmp_path / "made"
    torch.save({"weight": Touch(made)}, tmp_path / "net.pt")
    with pytest.raises(InputError):
        read_weights(tmp_path / "net.pt")
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Touch(made)))
    with pytest.raises(InputError):
        read_weights(tmp_path / "net.pt")
    assert not made.exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 broken"])
def test_what_is_no_file_of_weights(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    with pytest.raises(InputError, match="Get the file again"):
        read_weights(tmp_path / "net.pt")


def test_a_torchvision_that_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match="make kernel-NAME"):
        need_torchvision()
