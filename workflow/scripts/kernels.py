"""Start kernels: a plain one, or one after another that begin with their imports done."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from nbformat import NotebookNode

from imc_helpers.models.availability import CORE_KERNEL
from project import Project

WARM = Path(__file__).with_name("warm.py")
HOST = "IMC_BOOK_HOST"
"""Environment variable: the socket of the process that forks kernels for the pages of a run."""
NO_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Keeps an import from starting a thread, which would forbid to fork: pandas loads Arrow, whose
allocator starts one to give memory back."""
COMPILED = "imc_helpers.metrics:warm_up"
"""What loads compiled code, once for all kernels of notebooks that use the package."""
PATIENCE_S = 600.0
"""How long the imports may take: minutes, where they compile and others compute as well."""


class KernelError(Exception):
    """A kernel is not there or does not start."""


@contextmanager
def kernels(
    project: Project, name: str, device: str, modules: Iterable[str] = ()
) -> Iterator[Path]:
    """Prepare for kernels of one name, and yield the folder for their connection files.

    The path of a socket may have about 100 characters, so the folder stands with the system's
    temporary files. A kernel of the same name that the user installed must not take the place of
    the book's own.

    Parameters
    ----------
    project
        The checkout.
    name
        Name of the Jupyter kernel.
    device
        ``"cpu"`` or ``"cuda"``.
    modules
        What to import once for all kernels, where the system allows it (`warm`); nothing is
        imported beforehand when it is empty.

    Raises
    ------
    KernelError
        If there is no such kernel.
    """
    with tempfile.TemporaryDirectory(prefix=socket_prefix(project)) as temporary:
        folder = Path(temporary)
        others = os.environ.get("JUPYTER_PATH")
        changed = {
            "JUPYTER_PATH": os.pathsep.join([temporary, *([others] if others else [])]),
            # Start-up files of the user's own IPython are no part of the book.
            "IPYTHONDIR": str(folder / "ipython"),
        }
        if device == "cpu":
            # A library that finds a GPU would use it.
            changed["CUDA_VISIBLE_DEVICES"] = ""
        with _environment(changed):
            _describe(folder, CORE_KERNEL, [sys.executable, "-m", "ipykernel_launcher", "-f"])
            modules, spec, host = tuple(modules), _find(name), os.environ.get(HOST, "")
            if modules and sys.platform == "linux" and "ipykernel_launcher" in spec.argv:
                with _warm(folder / "warm", spec, modules):
                    _describe(folder, name, _stand_in(folder / "warm"))
                    yield folder
            else:
                if (name, device) == (CORE_KERNEL, "cpu") and Path(host).is_socket():
                    # The run's host may have been killed: that costs time, and no page.
                    _describe(folder, name, _stand_in(Path(host), "--kernel-or-start"))
                yield folder


@contextmanager
def host(project: Project, modules: Iterable[str]) -> Iterator[None]:
    """Let the pages of a run share one process that has done their imports.

    Their jobs find it by the environment; `kernels` asks it for every plain kernel of the core
    environment on the CPU. Other systems than Linux do without.
    """
    modules = tuple(modules)
    if not modules or sys.platform != "linux":
        yield
        return
    with tempfile.TemporaryDirectory(prefix=socket_prefix(project)) as temporary:
        socket = Path(temporary) / "host"
        quiet = {"CUDA_VISIBLE_DEVICES": "", "IPYTHONDIR": f"{temporary}/ipython"}
        spec = KernelSpec(argv=[sys.executable], env=quiet)
        with _warm(socket, spec, modules), _environment({HOST: str(socket)}):
            yield


def imports_of(*sources: str | NotebookNode) -> tuple[str, ...]:
    """Return the modules that some code imports, wherever in it, in order.

    Parameters
    ----------
    *sources
        Text of modules, or notebooks; a notebook's cells of magic commands are passed over.
    """
    found: dict[str, None] = {}
    for source in sources:
        for text in [source] if isinstance(source, str) else _code(source):
            try:
                nodes = list(ast.walk(ast.parse(text)))
            except SyntaxError:
                continue
            for node in nodes:
                if isinstance(node, ast.Import):
                    found |= dict.fromkeys(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found[node.module] = None
    return tuple(found)


def socket_prefix(project: Project) -> str:
    """Return how the names of this checkout's folders of sockets begin."""
    return f"imcb-{hashlib.sha256(str(project.root).encode()).hexdigest()[:8]}-"


@contextmanager
def _warm(socket: Path, spec: KernelSpec, modules: tuple[str, ...]) -> Iterator[None]:
    """Run the process that forks kernels, with the interpreter of a kernel's description."""
    ours = [COMPILED] if any(name.startswith("imc_helpers") for name in modules) else []
    server = subprocess.Popen(
        [spec.argv[0], str(WARM), str(socket), *modules, *ours],
        # Closed when this process ends, however it does: then the other one ends, and its kernels.
        stdin=subprocess.PIPE,
        env={**os.environ, **spec.env, **NO_THREADS},
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not socket.exists():
            if (status := server.poll()) is not None:
                raise KernelError(
                    f"{spec.argv[0]}: the process that forks kernels ended with status {status} "
                    f"while it imported {', '.join(modules)}. Import them by hand to see why"
                )
            if time.monotonic() > deadline:
                raise KernelError(
                    f"{spec.argv[0]}: importing {', '.join(modules)} took more than "
                    f"{PATIENCE_S:g} s"
                )
            time.sleep(0.02)
        yield
    finally:
        assert server.stdin is not None
        server.stdin.close()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:  # still at its imports
            server.kill()
            server.wait()


def _stand_in(socket: Path, how: str = "--kernel") -> list[str]:
    """Return the command of what stands for a kernel that is forked elsewhere."""
    # -I -S: nothing is looked for and nothing is loaded, so that it starts at once.
    return [sys.executable, "-I", "-S", str(WARM), how, str(socket)]


def _describe(folder: Path, name: str, command: list[str]) -> None:
    """Write a kernel's description where Jupyter looks first."""
    spec = folder / "kernels" / name / "kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "argv": [*command, "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    spec.write_text(json.dumps(description), encoding="utf-8")


def _find(name: str) -> KernelSpec:
    try:
        return KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        raise KernelError(f"no kernel `{name}` here: `make kernel-{name}`") from None


def _code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@contextmanager
def _environment(changed: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
