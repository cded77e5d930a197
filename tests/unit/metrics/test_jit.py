"""Compiled code on disk: processes that compile at one time leave what others can load."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from filelock import FileLock

MODULE = """
import sys, numpy as np
from imc_helpers.metrics._jit import kernel

@kernel
def twice(values):
    return values[0] * 2

print(twice(np.full(1, 3, sys.argv[1])))
"""
DTYPES = ("uint8", "int16", "int32", "int64", "float32", "float64")


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(MODULE)
    return path


def start(module, dtype):
    return subprocess.Popen([sys.executable, str(module), dtype], stdout=subprocess.PIPE, text=True)


def test_code_compiled_for_several_types_at_once_is_loaded_as_what_it_is(module):
    for process in [start(module, dtype) for dtype in DTYPES]:
        assert float(process.communicate(timeout=300)[0]) == 6
    files = sorted(path.name for path in (module.parent / "__pycache__").glob("*.nbc"))
    assert len(files) == len(DTYPES), "each has its own file, and the index knows all"
    for dtype in DTYPES:
        assert float(start(module, dtype).communicate(timeout=300)[0]) == 6
    assert sorted(p.name for p in (module.parent / "__pycache__").glob("*.nbc")) == files


def test_a_process_waits_until_another_has_added_what_it_compiled(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "waiting.py").write_text(MODULE.rpartition("print")[0])
    import waiting

    folder = tmp_path / "__pycache__"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / ".lock"):
        other = threading.Thread(target=waiting.twice, args=(np.ones(1),))
        other.start()
        other.join(timeout=5)
        assert other.is_alive()
        assert not list(folder.glob("*.nbc"))
    other.join()
    assert len(list(folder.glob("*.nbc"))) == 1
