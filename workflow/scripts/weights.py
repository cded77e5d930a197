"""Download a model's published weights: ``make weights-MODEL``."""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import pooch
import requests
from tqdm import tqdm

from imc_helpers.data.download import mirror_path
from imc_helpers.data.manifest import ModelRecord, WeightsFile, model_record
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.models.registry import weights_dir

_DEEPCELL = "users.deepcell.org"
"""Gives its files to holders of a token, by a request of its own."""
_CHUNK = 1 << 20
_TIMEOUT_S = 60


def download(key: str) -> list[Path]:
    """Download the weights of a model that are not there yet, each whole and checked.

    Returns
    -------
    list of pathlib.Path
        One path a file, under ``weights/MODEL``.

    Raises
    ------
    InputError
        If there is no such model, it has no weights to download, or a token is missing.
    DownloadError
        If a file cannot be reached, or is not the one described. Nothing false is kept.
    """
    record = model_record(key)
    if record.training is not None:
        raise InputError(f"model {key!r} is trained by the build: `make book` does it")
    if not record.weights:
        raise InputError(f"model {key!r} has no weights to download (source: {record.source})")
    return [_one(file, record, weights_dir(key)) for file in record.weights]


def _one(file: WeightsFile, record: ModelRecord, folder: Path) -> Path:
    path = folder / file.name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".part-", dir=folder) as scratch:
            part = Path(scratch) / "part"
            _receive(file, record, part)
            _check(part, file)
            part.replace(path)
    elif file.hash is not None:
        _check(path, file)
    found = f"sha256:{pooch.file_hash(str(path))}"
    if file.hash is None:
        print(f"{path}: {path.stat().st_size} bytes; nobody published a hash, found {found}")
    else:
        print(f"{path}: {path.stat().st_size} bytes, as the manifest says")
    return path


def _receive(file: WeightsFile, record: ModelRecord, part: Path) -> None:
    mirrored = mirror_path(file.url)
    if mirrored is not None:
        if not mirrored.is_file():
            raise DownloadError(
                f"{mirrored}: not in the mirror (IMC_BOOK_MIRROR is set, so the network is not "
                f"asked). Add the file, or unset IMC_BOOK_MIRROR to download {file.url}"
            )
        part.write_bytes(mirrored.read_bytes())
        return
    headers = {"Accept-Encoding": "identity"}
    try:
        url = file.url
        if record.token:
            token = _token(file, record)
            if urlsplit(url).hostname == _DEEPCELL:
                url = _signed_address(url, token)
                headers["User-Agent"] = "Wget/1.20 (linux-gnu)"  # what DeepCell's own clients say
            else:
                headers["Authorization"] = f"Bearer {token}"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as reply:
            reply.raise_for_status()
            total = int(reply.headers.get("Content-Length", 0)) or file.size
            with (
                part.open("wb") as out,
                tqdm(total=total, unit="B", unit_scale=True, desc=file.name, disable=None) as bar,
            ):
                for chunk in reply.iter_content(_CHUNK):
                    out.write(chunk)
                    bar.update(len(chunk))
    except requests.RequestException as error:
        raise DownloadError(
            f"{file.url}: {error}. Check the connection and run it again, or put the file at "
            f"weights/MODEL/{file.name} by hand"
        ) from None
    if total is not None and part.stat().st_size != total:
        raise DownloadError(f"{file.url}: broke off after {part.stat().st_size} of {total} bytes")


def _token(file: WeightsFile, record: ModelRecord) -> str:
    if not (token := os.environ.get(record.token)):
        raise InputError(
            f"{file.url}: asks for a token; set the environment variable {record.token}"
        )
    return token


def _signed_address(url: str, token: str) -> str:
    """Ask DeepCell where a file lies; the answer holds for a while, and takes no token.

    The manifest's address is ``https://users.deepcell.org/api/getData/?s3_key=KEY``. Their service
    wants the key in the body of a POST.
    """
    parts = urlsplit(url)
    reply = requests.post(
        urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
        data=dict(parse_qsl(parts.query)),
        headers={"X-Api-Key": token},
        timeout=_TIMEOUT_S,
    )
    reply.raise_for_status()
    return str(reply.json()["url"])


def _check(path: Path, file: WeightsFile) -> None:
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise DownloadError(f"{path}: {size} bytes, and the manifest says {file.size}")
    if file.hash is not None:
        algorithm, _, digest = file.hash.partition(":")
        found = pooch.file_hash(str(path), alg=algorithm)
        if found != digest:
            raise DownloadError(
                f"{path}: not the file of the manifest: {algorithm} {found}, expected {digest}. "
                "Remove it, if it is there, and run it again"
            )


def main() -> None:
    """Download the weights of one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="key in data_manifest/models.yml")
    try:
        download(parser.parse_args().model)
    except (DownloadError, InputError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
