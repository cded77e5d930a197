"""Published weights of a model, or of all models of an edition: ``make weights-MODEL``.

A hash that the manifest has is checked. Where it has none, the first download is trusted, its hash
written down, and every later one held against it.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import requests

from imc_helpers.data.download import Request, download
from imc_helpers.data.manifest import WeightsFile, load_edition, model_record
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.models.availability import weights_dir
from imc_helpers.models.first_seen import check_first_seen, first_seen

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
        If a file cannot be reached, or is not the one described, or not the one that first came
        here. Nothing false is kept.
    """
    record = model_record(key)
    if record.training is not None:
        raise InputError(f"model {key!r} is trained by the build: `make book` does it")
    if not record.weights:
        raise InputError(f"model {key!r} has no weights to download (source: {record.source})")
    return [_download(key, file, record.token) for file in record.weights]


def _download(key: str, file: WeightsFile, token: str) -> Path:
    folder = weights_dir(key)
    was_there = (folder / file.name).is_file()
    path = download(
        file.url,
        folder,
        file.name,
        size=file.size,
        known_hash=file.hash,
        request=partial(_request, file.url, token),
    )
    try:
        check_first_seen(key, [path], folder)
    except DownloadError:
        if not was_there:
            path.unlink()
        raise
    return path


def weights_of_edition(edition: str) -> list[str]:
    """Return the models of an edition whose weights are downloaded."""
    return [key for key in load_edition(edition).models if model_record(key).weights]


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
    """Download the weights of models, and say what was found.

    One that cannot be had does not keep the others from coming.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", help="keys in data_manifest/models.yml")
    parser.add_argument("--edition", help="all models of this edition that have weights")
    given = parser.parse_args(arguments)
    failed = []
    try:
        models = [*given.models, *(weights_of_edition(given.edition) if given.edition else [])]
    except InputError as error:
        sys.exit(str(error))
    for model in models:
        try:
            paths = download_weights(model)
        except (DownloadError, InputError) as error:
            failed.append(f"{model}: {error}")
            continue
        known = first_seen(model)
        for path, file in zip(paths, model_record(model).weights, strict=True):
            checked = (
                f"nobody published a hash; this one was written down when it first came: "
                f"{known[file.name]}"
                if file.hash is None
                else "as the manifest says"
            )
            print(f"{path}: {path.stat().st_size} bytes; {checked}", flush=True)
    if not models:
        print("no weights to download")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
