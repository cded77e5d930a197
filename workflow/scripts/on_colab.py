"""Run the book's pages one by one, as Colab would: ``python on_colab.py CHAPTERS``.

Started in an empty folder, with the Python of Colab's image and nothing but the standard library:
the pages themselves install the package. It fails when a page does, or when numpy or torch are not
the ones that were there before.
"""

import json
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

KEPT = ("numpy", "torch")


def pages(chapters: Path) -> list[Path]:
    """Return the notebooks that can be run by themselves.

    Others are run by the flow, or show a sweep that has to be made first.
    """
    found = []
    for path in sorted(chapters.rglob("*.ipynb")):
        about = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("imc_book", {})
        needs_sweep = any(name.startswith("sweeps/") for name in about.get("reads", []))
        if about.get("page", True) and not needs_sweep:
            found.append(path)
    return found


def versions() -> dict[str, str]:
    """Return the versions of what has to stay as it is."""
    there = {one.name: one.version for one in metadata.distributions() if one.name in KEPT}
    return {name: there.get(name, "not installed") for name in KEPT}


def run(page: Path) -> bool:
    """Run a page in the working directory, and say whether it came to its end."""
    start = time.monotonic()
    copy = shutil.copyfile(page, page.name)
    nbconvert = ["-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", copy]
    done = subprocess.run([sys.executable, *nbconvert], check=False)
    said = "failed" if done.returncode else "ran"
    print(f"{page.parent.name}/{page.stem} {said}: {time.monotonic() - start:.0f} s", flush=True)
    return not done.returncode


def main() -> None:
    """Run all pages, and end with status 1 when anything is not as it should be."""
    before = versions()
    whole = [run(page) for page in pages(Path(sys.argv[1]))]
    after = versions()
    if before != after:
        print(f"these were there before: {before}; and are now: {after}")
    sys.exit(not whole or not all(whole) or before != after)


if __name__ == "__main__":
    main()
