"""Kernels of their own, and published weights: what the two commands do, without the network."""

import hashlib
import json
from pathlib import Path

import pytest

import make_kernel
import weights
from imc_helpers.data.manifest import WeightsFile
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.models import registry

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "envs").glob("*.yml")), ids=lambda p: p.stem)
def test_every_environment_can_be_read(path):
    version, groups, _ = make_kernel.read(REPOSITORY, path.stem)
    assert version.startswith("3.")
    assert any(entry.startswith("ipykernel") for entry in groups[0])


def test_an_unknown_kernel():
    with pytest.raises(make_kernel.KernelError, match="'nope'.*there are .*stardist"):
        make_kernel.read(REPOSITORY, "nope")


def test_no_fitting_python(monkeypatch, tmp_path):
    monkeypatch.setattr(make_kernel.shutil, "which", lambda _: None)
    with pytest.raises(make_kernel.KernelError, match=r"needs Python 3\.2"):
        make_kernel._creation("3.2", tmp_path)


def test_a_registered_kernel_is_found(tmp_path, monkeypatch):
    make_kernel.register(tmp_path, "other", Path("/opt/other/bin/python"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    assert registry._kernel_installed("other")
    spec = json.loads((tmp_path / "share/jupyter/kernels/other/kernel.json").read_text())
    assert spec["argv"][0] == "/opt/other/bin/python"


@pytest.mark.parametrize(
    ("model", "message"),
    [("nope", "not in the manifest"), ("watershed", "no weights"), ("cellpose3_phantom", "build")],
)
def test_models_without_weights(model, message):
    with pytest.raises(InputError, match=message):
        weights.download(model)


@pytest.mark.parametrize("known", [True, False])
def test_weights_come_whole_and_checked(tmp_path, monkeypatch, capsys, make_model, known):
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()
    mirrored = tmp_path / "mirror" / "example.org" / "net"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(content)
    monkeypatch.setenv("IMC_BOOK_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    file = WeightsFile(
        url="https://example.org/net", name="net", hash=f"sha256:{digest}" if known else None
    )
    make_model(file)
    (path,) = weights.download("cyto3")
    assert path == tmp_path / "weights" / "cyto3" / "net"
    assert path.read_bytes() == content
    assert (digest in capsys.readouterr().out) is not known
    path.unlink()
    mirrored.write_bytes(b"other")
    if known:
        with pytest.raises(DownloadError, match="not the file of the manifest"):
            weights.download("cyto3")
        assert not list(path.parent.iterdir())


class Reply:
    """What the network answers, in memory."""

    def __init__(self, content=b"", url=""):
        self.content, self.url, self.headers = content, url, {"Content-Length": str(len(content))}

    def raise_for_status(self):
        pass

    def json(self):
        return {"url": self.url, "size": "7 B"}

    def iter_content(self, size):
        yield self.content

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass


@pytest.mark.parametrize("model", ["mesmer", "cellsam"])
def test_deepcell_says_where_a_file_lies(tmp_path, monkeypatch, model):
    """The token goes to DeepCell alone, and not to the address that it names."""
    (file,) = weights.model_record(model).weights
    key = file.url.partition("s3_key=")[2]
    assert key.endswith(file.name)
    asked = {}

    def post(url, data, headers, timeout):
        asked.update(post=url, data=data, token=headers["X-Api-Key"])
        return Reply(url="https://store.example.org/signed?x=1")

    def get(url, headers, stream, timeout):
        asked.update(get=url, headers=headers)
        return Reply(b"another file")

    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    monkeypatch.setattr(weights.requests, "post", post)
    monkeypatch.setattr(weights.requests, "get", get)
    monkeypatch.delenv("DEEPCELL_ACCESS_TOKEN", raising=False)
    with pytest.raises(InputError, match="DEEPCELL_ACCESS_TOKEN"):
        weights.download(model)
    assert not asked
    monkeypatch.setenv("DEEPCELL_ACCESS_TOKEN", "secret")
    with pytest.raises(DownloadError, match="not the file of the manifest"):
        weights.download(model)
    assert asked["post"] == "https://users.deepcell.org/api/getData/"
    assert asked["data"] == {"s3_key": key}
    assert asked["token"] == "secret"
    assert asked["get"] == "https://store.example.org/signed?x=1"
    assert "secret" not in str(asked["headers"])


@pytest.fixture
def make_model(monkeypatch):
    def make(file):
        record = weights.model_record("cyto3").model_copy(update={"weights": (file,)})
        monkeypatch.setattr(weights, "model_record", lambda _: record)

    return make
