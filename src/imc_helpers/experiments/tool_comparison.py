"""Other packages' metrics beside ours, from what ``make bench`` measured."""

import textwrap

import pandas as pd


def compare_tools(measured: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Set the tools of ``make bench`` side by side, a column per size of image.

    Parameters
    ----------
    measured
        The rows that ``make bench`` writes.

    Returns
    -------
    table : pandas.DataFrame
        One row per tool that ran: ``tool``, ``version``, ``work``, and for each size the time for a
        pair with, in brackets, how many times that of ours. A tool that scores sap is held against
        ours with sap. Where a tool failed, its note.
    absent : list of str
        Tools that ran on no size.
    """
    ran = measured["seconds_a_pair"].notna().groupby(measured["tool"]).transform("any")
    sap = measured["work"].str.contains("sap on paper")
    times = measured["times_ours_with_sap"].where(sap, measured["times_ours"])
    shown = [
        f"{seconds:.2g} s ({float(f'{ratio:.2g}'):,g}x)"
        if pd.notna(seconds)
        else textwrap.shorten(str(note), 60)
        for seconds, ratio, note in zip(
            measured["seconds_a_pair"], times, measured["note"], strict=True
        )
    ]
    keys = ["tool", "work"]
    table = (
        measured.assign(shown=shown)[ran]
        .pivot_table(index=keys, columns="size", values="shown", aggfunc="first", sort=False)
        .reindex(columns=list(measured["size"].unique()))
    )
    versions = measured[ran].groupby(keys, sort=False)["version"].first()
    table.insert(0, "version", versions)
    return table.reset_index(), sorted(set(measured["tool"]) - set(measured["tool"][ran]))
