"""One job of a run: ``python job.py EDITION TASK [NAME ...] --minutes N``.

Snakemake starts it; what there is to do stands in the edition's plan.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import execute
import gpu
import parameters
import plan as plans
from imc_helpers.errors import DownloadError, InputError
from imc_helpers.patching import MODES
from kernels import KernelError, imports_of, kernels
from plan import Page, Plan
from project import SEGMENT, Project, read_chapter
from tether import tether

# What only one kind of job needs is imported by it: the others start sooner without.
# ruff: noqa: PLC0415

_T = TypeVar("_T")


def data(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Prepare a cohort."""
    from imc_helpers.data.readers.published import prepare

    (cohort,) = arguments.names
    prepare(cohort)


def weights(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Train a model."""
    from imc_helpers.models.training.fit import train_model

    (model,) = arguments.names
    task = _of(plan.trainings, model)
    with gpu.mine(task.device):
        train_model(model, task.device)


def segment(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Run a model on all cohorts, once for each mode."""
    from points import adapter_texts

    (model,) = arguments.names
    task = _of(plan.segmentations, model)
    source = project.source(SEGMENT)
    modules = imports_of(read_chapter(source), *adapter_texts(project, [task.adapter]))
    with gpu.mine(task.device), kernels(project, task.kernel, task.device, modules) as sockets:
        for mode in MODES:
            job = execute.Job(
                source=source,
                target=project.segmented(model, mode),
                parameters={
                    "cohorts": list(task.made_from),
                    "model": model,
                    "mode": mode,
                    "device": task.device,
                    "made_from": list(task.made_from.values()),
                },
                kernel=task.kernel,
                device="",
                made_from="",
                page=False,
            )
            execute.execute(project, job, sockets)


def score(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Score some samples of a cohort: every so many, so that each job gets as much."""
    from imc_helpers.agreement.score_table import score_cohort, write_scores
    from imc_helpers.data.readers.published import open_cohort

    cohort, number = arguments.names
    task = _of(plan.scorings, cohort)
    opened = open_cohort(cohort)
    samples = opened.ids[int(number) :: task.chunks]
    write_scores(score_cohort(opened, task.models, samples=samples), arguments.output)


def merge(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Put the tables of a cohort's parts together."""
    from imc_helpers.agreement.score_table import merge_scores, write_scores

    (cohort,) = arguments.names
    task = _of(plan.scorings, cohort)
    folder = project.root / "_build" / plan.edition / "scores" / cohort
    parts = [folder / f"{number}.parquet" for number in range(task.chunks)]
    write_scores(merge_scores(parts), arguments.output)


def viewer(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Make the viewer's pages of some samples of a cohort: every so many, as for the scores."""
    from imc_helpers.data.readers.published import open_cohort
    from imc_helpers.figures.viewer.links import samples_file
    from imc_helpers.figures.viewer.pages import write_pages

    cohort, number = arguments.names
    task = _of(plan.viewings, cohort)
    opened = open_cohort(cohort)
    pages = write_pages(
        opened,
        task.models,
        samples_file(plan.edition, cohort).with_suffix(""),
        edition=plan.edition,
        title=plan.title,
        samples=opened.ids[int(number) :: task.chunks],
    )
    pages.to_csv(arguments.output, index=False)


def list_viewer(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Put the lists of a cohort's viewer pages together."""
    import pandas as pd

    (cohort,) = arguments.names
    task = _of(plan.viewings, cohort)
    folder = project.root / "_build" / plan.edition / "viewer" / cohort
    parts = [pd.read_csv(folder / f"{n}.csv", dtype={"sample": str}) for n in range(task.chunks)]
    listed = pd.concat(parts).sort_values("sample")
    listed.to_csv(arguments.output, index=False)


def export(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Write what a lab takes home of a cohort."""
    from imc_helpers.data.readers.published import open_cohort
    from imc_helpers.own_study.exports import export as write_exports

    (cohort,) = arguments.names
    folder = project.root / "results" / plan.edition / "export" / cohort
    models = _of(plan.exports, cohort).models
    write_exports(open_cohort(cohort), models, folder, n_jobs=arguments.threads)


def points(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Run some points of a sweep."""
    from points import run_points

    name, number = arguments.names
    sweep = plan.sweep(name)
    ids = set(sweep.chunks[int(number)])
    chosen = [point for point in sweep.points if point.id in ids]
    if failed := run_points(project, sweep, chosen, arguments.memory):
        sys.exit(f"{len(failed)} of {len(chosen)} points failed")


def table(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Collect a sweep; fails when a point that can run here has no result."""
    from points import collect

    (name,) = arguments.names
    if failed := collect(project, plan.sweep(name)):
        sys.exit("\n".join(f"{text}: {reason}" for text, reason in failed.items()))


def page(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Run the notebook of a page."""
    (name,) = arguments.names
    run_page(project, plan, plan.page(name), project.executed(plan.edition, name))


def run_page(project: Project, plan: Plan, task: Page, target: Path) -> None:
    """Run a page's notebook on its kernel."""
    job = execute.Job(
        source=project.source(task.name),
        target=target,
        parameters=task.parameters,
        kernel=task.kernel,
        device=task.device,
        made_from=task.made_from,
        edition=plan.edition,
    )
    with gpu.mine(task.device), kernels(project, task.kernel, task.device) as sockets:
        execute.execute(project, job, sockets)


def book(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Render the book."""
    from book import build
    from report import write_report

    build(project, plan)
    write_report(project, plan)


def overview(project: Project, plan: Plan, arguments: argparse.Namespace) -> None:
    """Show a sweep's table on a page of its own."""
    from book import write_single_page

    (name,) = arguments.names
    target = project.executed(plan.edition, f"sweep/{name}")
    run_page(project, plan, plans.overview_page(project, plan, plan.sweep(name)), target)
    write_single_page(target, project.sweep_page(plan.edition, name), title=f"Sweep {name}")


def _of(tasks: Sequence[_T], name: str) -> _T:
    """Return the task about a cohort or a model."""
    return next(
        one for one in tasks if name in (getattr(one, "cohort", ""), getattr(one, "model", ""))
    )


TASKS: dict[str, Callable[[Project, Plan, argparse.Namespace], None]] = {
    task.__name__: task
    for task in (
        data,
        weights,
        segment,
        score,
        merge,
        viewer,
        list_viewer,
        export,
        points,
        table,
        page,
        book,
        overview,
    )
}


def main() -> None:
    """Do one job in a process group of its own, under a wall clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("edition")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--output", type=Path, help="file to write, of tasks that do not know it")
    parser.add_argument("--threads", type=int, default=1, help="processes that share the work")
    parser.add_argument("--memory", type=int, default=0, help="most memory of a point, MB")
    parser.add_argument("--minutes", type=float, required=True)
    arguments = parser.parse_args()
    os.setpgid(0, 0)
    tether(60 * arguments.minutes)
    project = Project(Path.cwd())
    try:
        TASKS[arguments.task](project, plans.read(project, arguments.edition), arguments)
    except (
        execute.ChapterError,
        parameters.ParameterError,
        KernelError,
        InputError,
        DownloadError,
    ) as error:
        what = f"chapters/{arguments.names[0]}.py" if arguments.task == "page" else arguments.task
        sys.exit(f"{' '.join([what, *arguments.names[arguments.task == 'page' :]])}: {error}")


if __name__ == "__main__":
    main()
