"""Bring the cohorts of an edition here: ``python get_data.py EDITION [--only COHORT]``.

Says first what is to be downloaded and whether the disk holds it. What it makes is what ``make
book`` would have made, so that finds it in place.
"""

import argparse
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import lock
import plan as plans
from imc_helpers.data.archives import in_words
from imc_helpers.data.manifest import load_edition
from imc_helpers.data.paths import data_dir
from imc_helpers.data.readers.published import prepare
from imc_helpers.data.supply import Need, contents, drop_downloads, need, room
from imc_helpers.errors import DownloadError, InputError
from plan import Data
from project import Project
from run import SCRIPTS, job_environment
from tether import tether


def get(project: Project, edition: str, *, only: str = "", drop: bool = False) -> None:
    """Prepare the cohorts of an edition that are not there, and say what is done.

    Parameters
    ----------
    project, edition
        Which edition.
    only
        The one cohort to bring; empty for all.
    drop
        Whether to remove a cohort's downloads once it is converted.

    Raises
    ------
    imc_helpers.errors.DownloadError, imc_helpers.errors.InputError
        If something is wrong with what is asked for, the disk, or the archives of some cohorts;
        the others are brought before it says so.
    """
    tasks = {task.cohort: task for task in plans.resolve_data(project, edition)}
    chosen = _chosen(tasks, edition, only)
    needs: dict[str, Need] = {}
    failed: dict[str, str] = {}
    for cohort in chosen:
        if _is_stale(project, tasks[cohort]):
            with _noting(failed, cohort):
                needs[cohort] = need(cohort)
                print(needs[cohort].sentence())
    if needs:
        data_dir().mkdir(exist_ok=True)
        print(room(needs.values(), shutil.disk_usage(data_dir()).free), flush=True)
    for cohort in chosen:
        with _noting(failed, cohort):
            if cohort in needs:
                print(f"{cohort}: is ready in {project.relative(prepare(cohort))}", flush=True)
            elif cohort not in failed:
                print(f"{cohort}: is there already")
            if drop and cohort not in failed and (size := drop_downloads(cohort)):
                print(f"{cohort}: its downloads are removed, {in_words(size)}")
    if failed:
        names = ", ".join(failed)
        raise DownloadError("\n".join([*failed.values(), f"Not brought: {names}. Run it again"]))


@contextmanager
def _noting(failed: dict[str, str], cohort: str) -> Iterator[None]:
    """Note what is wrong with one cohort, so that the others are brought all the same."""
    try:
        yield
    except (DownloadError, InputError) as error:
        failed[cohort] = f"{cohort}: {error}"


def print_contents(edition: str, *, only: str = "") -> int:
    """Print what the archive records of an edition hold, and return 1 when something is wrong."""
    cohorts = _chosen(load_edition(edition).made, edition, only)
    lines = [line for cohort in cohorts for line in contents(cohort)]
    print("\n".join(lines))
    return int(any(line.startswith("!") for line in lines))


def _chosen(cohorts: Iterable[str], edition: str, only: str) -> list[str]:
    if only and only not in cohorts:
        raise InputError(f"ONLY={only}: the edition {edition!r} has {', '.join(cohorts)}")
    return [only] if only else list(cohorts)


def _is_stale(project: Project, task: Data) -> bool:
    """Say whether `make book` would make a cohort: it is not there, or older than its digest."""
    made = project.root / "data" / task.cohort / "images.csv"
    newest = max((project.root / digest).stat().st_mtime_ns for digest in task.digest)
    return not made.is_file() or made.stat().st_mtime_ns < newest


def main() -> None:
    """Bring data, or print what there would be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("--only", metavar="COHORT", default="", help="this cohort alone")
    parser.add_argument("--list", action="store_true", help="print what the archives hold")
    parser.add_argument("--drop", action="store_true", help="remove downloads once converted")
    arguments = parser.parse_args()
    tether()
    project = Project(SCRIPTS.parents[1])
    try:
        if arguments.list:
            sys.exit(print_contents(arguments.edition, only=arguments.only))
        with lock.acquire(project.root), job_environment(project):
            get(project, arguments.edition, only=arguments.only, drop=arguments.drop)
    except (DownloadError, InputError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
