"""Kernels that begin with their imports done."""

import os
import sys

import psutil
import pytest
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import kernels
from project import Project


def test_imports_are_found_wherever_they_are():
    module = (
        "import a.b\n\ndef f():\n    from c.d import e, f\n    import g as h\n\nfrom . import i\n"
    )
    cells = [
        new_markdown_cell("import no"),
        new_code_cell("import j, a.b"),
        new_code_cell("%time 1"),
    ]
    assert kernels.imports_of(module, new_notebook(cells=cells)) == ("a.b", "c.d", "g", "j")


def start(folder, name):
    manager = KernelManager(transport="ipc", connection_file=str(folder / name))
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return manager, client


def ask(folder, code):
    """Start a kernel, and return what it says when it is asked."""
    manager, client = start(folder, "k.json")
    said = []
    try:
        client.execute_interactive(
            code, output_hook=lambda m: said.append(m["content"].get("text", "")), timeout=60
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    return "".join(said).split()


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "threaded.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Project(tmp_path)


CODE = (
    "import os, sys; print('wave' in sys.modules, os.getppid(), sys.path[0] == '', len(sys.argv))"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks kernels")


@linux
@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "imported"),
    [(["wave", "no_such_module"], "True"), (["threaded", "wave"], "False")],
    ids=["imported", "an import starts a thread"],
)
def test_kernels_are_forked_and_gone_with_their_server(project, modules, imported):
    """A module that starts threads cannot be forked with: then nothing is imported beforehand."""
    with kernels.kernels(project, "python3", "cpu") as folder:
        _, _, *ordinary = ask(folder, CODE)
    before = set(psutil.Process().children(recursive=True))
    with kernels.kernels(project, "python3", "cpu", modules) as folder:
        (server,) = set(psutil.Process().children()) - before
        assert ask(folder, CODE) == [imported, str(server.pid), *ordinary]
        manager, client = start(folder, "l.json")
        (kernel,) = server.children()
        client.stop_channels()
    _, alive = psutil.wait_procs([server, kernel], timeout=20)
    assert not alive
    manager.cleanup_resources()


def test_without_modules_a_kernel_is_started_as_ever(project):
    before = dict(os.environ)
    with kernels.kernels(project, "python3", "cpu") as folder:
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
        assert ask(folder, CODE)[1] != "1"
        assert not (folder / "warm").exists()
    assert dict(os.environ) == before


def test_a_kernel_that_is_not_there_is_named_with_what_helps(project):
    with (
        pytest.raises(kernels.KernelError, match="no kernel `none` here: `make kernel-none`"),
        kernels.kernels(project, "none", "cpu"),
    ):
        pass
