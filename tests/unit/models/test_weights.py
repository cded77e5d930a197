"""Published weights: what the command does, without the network."""

import hashlib
from io import BytesIO
from types import SimpleNamespace

import pytest
import requests

from imc_helpers.data.manifest import WeightsFile, model_record
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.models import registry, weights
from imc_helpers.models.first_seen import check_first_seen, first_seen
from imc_helpers.models.weights import download_weights, weights_of_edition


@pytest.mark.parametrize(
    ("model", "message"),
    [("nope", "not in the manifest"), ("watershed", "no weights"), ("cellpose3_phantom", "build")],
)
def test_models_without_weights(model, message):
    with pytest.raises(InputError, match=message):
        download_weights(model)


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
    (path,) = download_weights("cyto3")
    weights.main(["cyto3"])
    assert path == tmp_path / "weights" / "cyto3" / "net"
    assert path.read_bytes() == content
    assert (digest in capsys.readouterr().out) is not known
    path.unlink()
    mirrored.write_bytes(b"other")
    message = "not the file of the manifest" if known else f"first came here on .*{digest}"
    with pytest.raises(DownloadError, match=message):
        download_weights("cyto3")
    assert not path.exists()


def test_a_file_that_changed_where_it_lies_is_never_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    folder = tmp_path / "weights" / "net"
    folder.mkdir(parents=True)
    path = folder / "sub" / "config.json"
    path.parent.mkdir()
    path.write_text("first")
    check_first_seen("net", [path], folder)
    check_first_seen("net", [path], folder)
    digest = hashlib.sha256(b"first").hexdigest()
    assert first_seen("net") == {"sub/config.json": f"sha256:{digest}"}
    path.write_text("second")
    with pytest.raises(DownloadError, match="If its publisher has replaced it and you trust"):
        check_first_seen("net", [path], folder)
    assert path.is_file(), "it was not brought here just now, so it is not taken away"
    assert first_seen("net") == {"sub/config.json": f"sha256:{digest}"}
    assert first_seen("other") == {}


def test_a_model_is_not_loaded_with_weights_that_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    monkeypatch.setattr(registry, "missing_packages", lambda _: "")
    loaded = []
    adapter = SimpleNamespace(load=lambda *given: loaded.append(given))
    monkeypatch.setattr(registry, "adapter_module", lambda _: adapter)
    path = tmp_path / "weights" / "cyto3" / "cyto3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"first")
    registry.load_segmenter("cyto3")
    path.write_bytes(b"second")
    with pytest.raises(DownloadError, match="not the file that first came here"):
        registry.load_segmenter("cyto3")
    assert len(loaded) == 1


def test_all_weights_of_an_edition(tmp_path, monkeypatch, capsys):
    """One that cannot be had does not keep the others from coming."""
    edition = SimpleNamespace(models=["watershed", "cyto3", "mesmer", "cellpose3_phantom"])
    monkeypatch.setattr(weights, "load_edition", lambda _: edition)
    assert weights_of_edition("any") == ["cyto3", "mesmer"]
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    monkeypatch.setenv("IMC_BOOK_MIRROR", str(tmp_path / "mirror"))
    mirrored = tmp_path / "mirror" / "www.cellpose.org" / "models" / "cyto3"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(b"weights")
    with pytest.raises(SystemExit, match="mesmer: .*MultiplexSegmentation"):
        weights.main(["--edition", "any"])
    assert "cyto3: 7 bytes; nobody published a hash" in capsys.readouterr().out


class Reply:
    """What the network answers, in memory."""

    status_code = 200

    def __init__(self, content=b"", url=""):
        self.raw, self.url, self.headers = BytesIO(content), url, {}

    def raise_for_status(self):
        pass

    def json(self):
        return {"url": self.url, "size": "7 B"}

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass


@pytest.mark.parametrize("model", ["mesmer", "cellsam"])
def test_deepcell_says_where_a_file_lies(tmp_path, monkeypatch, model):
    """The token goes to DeepCell alone, and not to the address that it names."""
    (file,) = model_record(model).weights
    key = file.url.partition("s3_key=")[2]
    assert key.endswith(file.name)
    asked = {}

    def post(url, data, headers, timeout):
        asked.update(post=url, data=data, token=headers["X-Api-Key"])
        return Reply(url="https://store.example.org/signed?x=1")

    def get(session, url, headers, stream, timeout):
        asked.update(get=url, headers=headers)
        return Reply(b"another file")

    monkeypatch.delenv("IMC_BOOK_MIRROR", raising=False)
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    monkeypatch.setattr(requests, "post", post)
    monkeypatch.setattr(requests.Session, "get", get)
    monkeypatch.delenv("DEEPCELL_ACCESS_TOKEN", raising=False)
    with pytest.raises(InputError, match="DEEPCELL_ACCESS_TOKEN"):
        download_weights(model)
    assert not asked
    monkeypatch.setenv("DEEPCELL_ACCESS_TOKEN", "secret")
    with pytest.raises(DownloadError, match="not the file of the manifest"):
        download_weights(model)
    assert asked["post"] == "https://users.deepcell.org/api/getData/"
    assert asked["data"] == {"s3_key": key}
    assert asked["token"] == "secret"
    assert asked["get"] == "https://store.example.org/signed?x=1"
    assert "secret" not in str(asked["headers"])


@pytest.fixture
def make_model(monkeypatch):
    def make(file):
        record = model_record("cyto3").model_copy(update={"weights": (file,)})
        monkeypatch.setattr(weights, "model_record", lambda _: record)

    return make


def test_the_command_says_what_is_wrong():
    with pytest.raises(SystemExit, match="'nope'"):
        weights.main(["nope"])
