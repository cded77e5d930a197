"""The tether: a process ends with its parent, or when time is up, and takes its children along."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import tether

SCRIPTS = Path(tether.__file__).parent
SLEEP = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(99)'])"
)


@pytest.fixture
def sleeper(tmp_path: Path) -> Path:
    """Folder with a module that waits for a child that sleeps."""
    (tmp_path / "sleeper.py").write_text(SLEEP)
    return tmp_path


def family(process: psutil.Popen, size: int) -> list[psutil.Process]:
    for _ in range(300):
        found = process.children(recursive=True)
        if len(found) >= size:
            return [process, *found]
        time.sleep(0.1)
    raise AssertionError(f"only {found}")


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_it_ends_with_its_parent(sleeper):
    command = [sys.executable, str(SCRIPTS / "tether.py"), "-m", "sleeper"]
    code = f"import subprocess; subprocess.run({command!r})"
    parent = psutil.Popen(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(sleeper)}, stderr=subprocess.DEVNULL
    )
    everyone = family(parent, 2)
    parent.kill()
    parent.wait()
    assert gone(everyone)


def test_it_ends_when_time_is_up(sleeper):
    code = f"import tether; tether.tether(0.5)\n{SLEEP}"
    process = psutil.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SCRIPTS)},
        stderr=subprocess.PIPE,
        text=True,
    )
    everyone = [process, *process.children(recursive=True)]
    _, message = process.communicate(timeout=60)
    assert process.returncode == tether.TIME_OVER
    assert "not finished after 0.5 s" in message
    assert gone(everyone)


def test_it_passes_on_the_status_of_the_module(tmp_path):
    (tmp_path / "seven.py").write_text("import sys; sys.exit(int(sys.argv[1]))")
    command = [sys.executable, str(SCRIPTS / "tether.py"), "-m", "seven", "7"]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, check=False)
    assert done.returncode == 7
