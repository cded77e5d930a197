"""Tables for pages on models: what each is, what ran here or why not, and what it took."""

from collections.abc import Iterable

import pandas as pd

from imc_helpers.data.manifest import StudySetting, model_record
from imc_helpers.data.predictions import find_models, read_run
from imc_helpers.models.availability import why_not
from imc_helpers.patching import MODES

DESCRIPTION = (
    "model",
    "version",
    "takes",
    "made for",
    "scaling",
    "trained on",
    "parameters",
    "licence",
    "weights",
)
"""Columns of `describe_models`."""
RUNS = ("model", "ran on", *MODES, "cells", "not run")
"""Columns of `describe_runs`."""


def describe_models(keys: Iterable[str]) -> pd.DataFrame:
    """Set models of the manifest side by side.

    Parameters
    ----------
    keys
        Models in ``data_manifest/models.yml``.

    Returns
    -------
    pandas.DataFrame
        One row per model: ``model``, ``version``, ``takes`` (planes, in its order), ``made for``
        (pixel size), ``scaling``, ``trained on``, ``parameters``, ``licence``, ``weights``.
    """
    records = [model_record(key) for key in keys]
    rows = [
        {
            "model": record.title,
            "version": record.version,
            "takes": ", ".join(record.inputs) or None,
            "made for": None if record.um_per_px is None else f"{record.um_per_px:g} µm/px",
            "scaling": record.normalisation or None,
            "trained on": record.trained_on or None,
            "parameters": record.size or None,
            "licence": record.license,
            "weights": record.weights_license or None,
        }
        for record in records
    ]
    return pd.DataFrame(rows, columns=DESCRIPTION)


def describe_doubts(keys: Iterable[str]) -> pd.DataFrame:
    """List what the manifest says of models and nobody could check.

    Parameters
    ----------
    keys
        Models in ``data_manifest/models.yml``.

    Returns
    -------
    pandas.DataFrame
        One row per statement: ``model``, ``what``, ``why``.
    """
    rows = [
        {"model": record.title, "what": doubt.what, "why": doubt.why}
        for record in map(model_record, keys)
        for doubt in record.unverified
    ]
    return pd.DataFrame(rows, columns=["model", "what", "why"])


def describe_study_settings(keys: Iterable[str]) -> pd.DataFrame:
    """Set what the study states of its models beside what is done here, setting by setting.

    Parameters
    ----------
    keys
        Models in ``data_manifest/models.yml``; those that the study does not run have no rows.

    Returns
    -------
    pandas.DataFrame
        One row per model and setting: ``model``, ``setting``, ``the study`` (empty where it states
        nothing), ``here``, ``as stated`` (``"yes"``, ``"in part"`` where the study leaves a part of
        it open, ``"not stated"``, or ``"no"``), ``why``.
    """
    rows = [
        {
            "model": record.title,
            "setting": one.setting,
            "the study": one.stated or None,
            "here": one.here,
            "as stated": _as_stated(one),
            "why": one.why or None,
        }
        for record in map(model_record, keys)
        for one in record.study
    ]
    return pd.DataFrame(rows, columns=["model", "setting", "the study", "here", "as stated", "why"])


def _as_stated(setting: StudySetting) -> str:
    if setting.deviates:
        return "no"
    if not setting.stated:
        return "not stated"
    return "in part" if setting.why else "yes"


def describe_remarks(cohorts: Iterable[str], keys: Iterable[str]) -> pd.DataFrame:
    """List what differed, in the runs on this machine, from what was asked for.

    Parameters
    ----------
    cohorts, keys
        Cohorts and models of the manifest.

    Returns
    -------
    pandas.DataFrame
        One row per model and remark: ``model``, ``remark``.
    """
    pairs = [(cohort, mode) for cohort in cohorts for mode in MODES]
    rows = []
    for key in keys:
        runs = [run for c, mode in pairs if (run := read_run(c, key, mode)) is not None]
        for remark in dict.fromkeys(remark for run in runs for remark in run.remarks):
            rows.append({"model": model_record(key).title, "remark": remark})
    return pd.DataFrame(rows, columns=["model", "remark"])


def describe_runs(cohorts: Iterable[str], keys: Iterable[str]) -> pd.DataFrame:
    """Say for every model what ran here, on what, and what it found; or why nothing did.

    Parameters
    ----------
    cohorts, keys
        Cohorts and models of the manifest.

    Returns
    -------
    pandas.DataFrame
        One row per model: ``model``, ``ran on`` (device), ``whole`` and ``patch`` (cohorts with
        finished masks), ``cells`` (in all whole images), ``not run`` (the reason and the command
        that would help, empty where it ran on all it covers).
    """
    cohorts = list(cohorts)
    rows = []
    for key in keys:
        record = model_record(key)
        runs = {
            mode: [run for c in cohorts if (run := read_run(c, key, mode)) is not None]
            for mode in MODES
        }
        found = [run for mode in MODES for run in runs[mode]]
        covered = [c for c in cohorts if record.covers(c)]
        devices = dict.fromkeys(run.device or "files" for run in found)
        rows.append(
            {
                "model": record.title,
                "ran on": ", ".join(devices) or None,
                **{mode: len(runs[mode]) for mode in MODES},
                "cells": sum(s.cells for run in runs["whole"] for s in run.samples),
                "not run": _why_not_all(key, covered, len(found)),
            }
        )
    return pd.DataFrame(rows, columns=RUNS)


def _why_not_all(key: str, covered: list[str], found: int) -> str | None:
    if found == len(MODES) * len(covered):
        return None if covered else "it has no masks for these cohorts"
    return why_not(key) or "no finished run here: `make book` runs it"


def speed(cohorts: Iterable[str], keys: Iterable[str]) -> pd.DataFrame:
    """Return what each model took on whole images, from the records of its runs.

    Parameters
    ----------
    cohorts, keys
        Cohorts and models of the manifest; masks that came as files were not timed and are left
        out.

    Returns
    -------
    pandas.DataFrame
        One row per model and cohort: ``cohort``, ``model``, ``device``, ``device_name``,
        ``threads``, ``megapixels``, ``seconds``, ``s_per_megapixel``, ``library_share`` (of the
        seconds), ``load_s``, ``peak_mb`` (resident, of the whole process), ``peak_gpu_mb``.
    """
    rows = []
    for cohort in cohorts:
        for key, run in find_models(cohort, keys, "whole").items():
            if not run.device:
                continue
            megapixels = sum(sample.megapixels for sample in run.samples)
            seconds = sum(sample.seconds for sample in run.samples)
            library = sum(sample.library_seconds for sample in run.samples)
            rows.append(
                {
                    "cohort": cohort,
                    "model": key,
                    "device": run.device,
                    "device_name": run.device_name,
                    "threads": run.threads,
                    "megapixels": megapixels,
                    "seconds": seconds,
                    "s_per_megapixel": seconds / megapixels,
                    "library_share": library / seconds,
                    "load_s": run.load_seconds,
                    "peak_mb": run.peak_memory_mb,
                    "peak_gpu_mb": run.peak_gpu_memory_mb,
                }
            )
    return pd.DataFrame(rows)
