"""Make `.venv-bench`: the package, and every peer that can be installed. A second run does nothing.

python benchmarks/install.py
"""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".venv-bench"
# cellpose 4 has the name of cellpose 3: it gets a folder of its own, which `peer_errors.py` puts
# first on its path.
CELLPOSE_4 = "cellpose==4.2.1.1"


def main() -> None:
    """Install the package, then the peers one by one: one that fails is left out, and said so."""
    wanted = (HERE / "requirements.txt").read_text()
    done = FOLDER / "installed.txt"
    if done.exists() and done.read_text() == wanted + CELLPOSE_4:
        return
    venv.create(FOLDER, with_pip=True)
    _pip("-e", str(HERE.parent))
    peers = [line for line in wanted.splitlines() if line and not line.startswith("#")]
    missing = [peer for peer in peers if not _pip(peer, required=False)]
    if not _pip("--no-deps", "--target", str(FOLDER / "cellpose4"), CELLPOSE_4, required=False):
        missing.append(CELLPOSE_4)
    for peer in missing:
        print(f"{peer} cannot be installed here; the tables will say so")
    done.write_text(wanted + CELLPOSE_4)


def _pip(*arguments: str, required: bool = True) -> bool:
    """Run pip in the environment, and tell whether it succeeded."""
    print("installing", arguments[-1], flush=True)
    python = FOLDER / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", *arguments]
    return subprocess.run(command, check=required).returncode == 0


if __name__ == "__main__":
    main()
