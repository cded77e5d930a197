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
    [
        (["wave", "no_such_module"], "True"),
        (["pandas", "imc_helpers.metrics", "wave"], "True"),
        (["threaded", "wave"], "False"),
    ],
    ids=["imported", "with tables and compiled code", "an import starts a thread"],
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


@linux
@pytest.mark.slow
def test_the_pages_of_a_run_share_a_host_and_nothing_else(project):
    """A page's kernel is forked; what it does to a module, the next one does not see."""
    do = "import wave; print(hasattr(wave, 'touched')); wave.touched = True; "
    before = set(psutil.Process().children())
    with kernels.host(project, ["wave"]):
        (server,) = set(psutil.Process().children()) - before
        for _ in range(2):
            with kernels.kernels(project, "python3", "cpu") as folder:
                touched, imported, parent, *_ = ask(folder, do + CODE)
            assert (touched, imported, parent) == ("False", "True", str(server.pid))
        server.kill()
        server.wait()
        with kernels.kernels(project, "python3", "cpu") as folder:
            _, _, parent, *_ = ask(folder, do + CODE)
        assert parent == str(os.getpid()), "one that is started as ever"
    assert kernels.HOST not in os.environ


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("name", "device"), [("python3", "cuda"), ("other", "cpu")])
def test_only_plain_kernels_on_the_cpu_are_forked_by_the_host(project, monkeypatch, name, device):
    with kernels.host(project, ["wave"]):
        host = os.environ[kernels.HOST]
        monkeypatch.setattr(kernels, "_find", lambda _: kernels.KernelSpec(argv=["other"]))
        for asked, forked in ((("python3", "cpu"), True), ((name, device), False)):
            with kernels.kernels(project, *asked) as folder:
                described = folder / "kernels" / asked[0] / "kernel.json"
                assert (described.is_file() and host in described.read_text()) == forked


def test_a_host_with_nothing_to_import_is_none(project):
    with kernels.host(project, []):
        assert kernels.HOST not in os.environ


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
