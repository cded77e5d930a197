"""Published weights: what the command does, without the network."""

import hashlib
from io import BytesIO

import pytest
import requests

from imc_helpers.data.manifest import WeightsFile, model_record
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.models import weights
from imc_helpers.models.weights import download_weights


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
    if known:
        with pytest.raises(DownloadError, match="not the file of the manifest"):
            download_weights("cyto3")
        assert not list(path.parent.iterdir())


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
