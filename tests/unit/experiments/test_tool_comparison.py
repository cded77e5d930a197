"""Tools side by side, from a table made by hand."""

import pandas as pd

from imc_helpers.experiments.tool_comparison import compare_tools


def test_tools_side_by_side():
    measured = pd.DataFrame(
        [
            ("small", "ours", "1", "ap50", 0.001, 1.0, None, None),
            ("small", "peer", "2", "sap on paper", 0.5, 500.0, 250.0, None),
            ("small", "none", None, "ap50", None, None, None, "not installed"),
            ("large", "ours", "1", "ap50", 1.0, 1.0, None, None),
            ("large", "peer", None, "sap on paper", None, None, None, "needs more memory"),
            ("large", "none", None, "ap50", None, None, None, "not installed"),
        ],
        columns=[
            *("size", "tool", "version", "work", "seconds_a_pair"),
            *("times_ours", "times_ours_with_sap", "note"),
        ],
    )
    table, absent = compare_tools(measured)
    assert absent == ["none"]
    assert table.to_dict("records") == [
        {
            "tool": "ours",
            "work": "ap50",
            "version": "1",
            "small": "0.001 s (1x)",
            "large": "1 s (1x)",
        },
        {
            "tool": "peer",
            "work": "sap on paper",
            "version": "2",
            "small": "0.5 s (250x)",
            "large": "needs more memory",
        },
    ]
