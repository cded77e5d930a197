"""``python -m imc_helpers.readers COHORT …``: prepare cohorts of the manifest under ``data/``."""

import argparse
import sys

from imc_helpers.errors import DownloadError, InputError
from imc_helpers.readers.cohorts import prepare


def main() -> int:
    """Prepare the cohorts named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m imc_helpers.readers", description=__doc__)
    parser.add_argument("cohort", nargs="+", help="key in data_manifest/cohorts.yml")
    for key in parser.parse_args().cohort:
        try:
            print(prepare(key))
        except (DownloadError, InputError) as error:
            print(f"{key}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
