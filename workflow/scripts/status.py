"""The status page: what each notebook of an edition took, on what, and when."""

from collections.abc import Mapping

from stamp import Stamp

ROW = "| [](chapters/{}.ipynb) | {:.1f} | {:.0f} | {} | {} | {} |"


def page(edition: str, stamps: Mapping[str, Stamp]) -> str:
    """Return the page as MyST Markdown.

    Parameters
    ----------
    edition
        Name of the edition.
    stamps
        Stamp of each chapter, in the order of the book.
    """
    rows = [
        ROW.format(chapter, s.seconds, s.peak_memory_mb, s.device, s.python, s.finished)
        for chapter, s in stamps.items()
    ]
    total = sum(s.seconds for s in stamps.values())
    return "\n".join(
        [
            "# Status",
            "",
            f"Every notebook of the `{edition}` edition ran to its end and passed the gate: no "
            "error, no warning, made from the text and the code that stand in the repository.",
            f"Together they ran for {total:.0f} s, not counting downloads.",
            "",
            "| Page | Run time (s) | Peak memory (MB) | Device | Python | Finished (UTC) |",
            "|---|--:|--:|---|---|---|",
            *rows,
            "",
            "Run time is from the start of the kernel to the end of the last cell. Peak memory is "
            "the kernel's largest resident set.",
            "",
        ]
    )
