"""Published weights: ``make weights-MODEL``, or ``python -m imc_helpers.models.weights MODEL``."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import pooch
import requests

from imc_helpers.data.download import Request, download
from imc_helpers.data.manifest import model_record
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.models.registry import weights_dir

_DEEPCELL = "users.deepcell.org"
"""Gives its files to holders of a token, by a request of its own."""
_TIMEOUT_S = 60


def download_weights(key: str) -> list[Path]:
    """Download the weights of a model that are not there yet, each whole and checked.

    Parameters
    ----------
    key
        Model in the manifest.

    Returns
    -------
    list of pathlib.Path
        One path per file, under ``weights/MODEL``.

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
    return [
        download(
            file.url,
            weights_dir(key),
            file.name,
            size=file.size,
            known_hash=file.hash,
            request=partial(_request, file.url, record.token),
        )
        for file in record.weights
    ]


def _request(url: str, variable: str) -> Request:
    """Ask with the user's token, where the model has a variable for one, as its server wants it."""
    if not variable:
        return Request(url)
    if not (token := os.environ.get(variable)):
        raise InputError(f"{url}: asks for a token; set the environment variable {variable}")
    if urlsplit(url).hostname != _DEEPCELL:
        return Request(url, {"Authorization": f"Bearer {token}"})
    # What DeepCell's own clients say.
    return Request(_signed_address(url, token), {"User-Agent": "Wget/1.20 (linux-gnu)"})


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Download the weights of one model, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="key in data_manifest/models.yml")
    model = parser.parse_args(arguments).model
    try:
        paths = download_weights(model)
    except (DownloadError, InputError) as error:
        sys.exit(str(error))
    for path, file in zip(paths, model_record(model).weights, strict=True):
        checked = (
            f"nobody published a hash, found sha256:{pooch.file_hash(str(path))}"
            if file.hash is None
            else "as the manifest says"
        )
        print(f"{path}: {path.stat().st_size} bytes; {checked}")


if __name__ == "__main__":
    main()
