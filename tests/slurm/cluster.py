"""A Slurm cluster for a trial: munge, a controller and two nodes, on this machine, in a folder.

``python tests/slurm/cluster.py COMMAND [ARGUMENT ...]`` starts the cluster, runs a command that
finds it, and takes the cluster down, whatever became of the command. Nothing of the system is
changed, and nothing is left. It needs no root, but Slurm and munge, here from Debian:

    apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import psutil

PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "squeue",
    "scancel",
    "sinfo",
    "srun",
    "setpriv",
)
NODES = ("node1", "node2")
PATIENCE_S = 60.0
"""How long to wait for what takes a second or two on an idle machine."""


def missing() -> list[str]:
    """Return which of the programs that a cluster needs are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    """Return where to look for programs: daemons stand where users do not look."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.2)


@dataclass
class Cluster:
    """A controller and two nodes of one core each; the second one says that it has a GPU."""

    folder: Path
    """Holds its settings, state and logs; the path has to be short, for the sake of a socket."""
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Slurm's commands find this cluster."""
        path = os.pathsep.join([str(self.folder / "bin"), _path()])
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def ask(self, *command: str) -> str:
        """Run one of Slurm's commands and return what it says."""
        asked = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        if asked.returncode:
            raise RuntimeError(f"{' '.join(command)}: {asked.stderr.strip()}")
        return asked.stdout.strip()

    def jobs(self, *options: str) -> list[str]:
        """Return the numbers of the jobs that wait or run."""
        return self.ask("squeue", "--noheader", "--format=%A", *options).split()

    def state(self, node: str) -> str:
        """Return the state of a node: ``idle``, ``alloc``, ``down*`` …"""
        return self.ask("sinfo", "--noheader", "--nodes", node, "--format=%T").split()[0]

    def logs(self, lines: int = 10) -> str:
        """Return the last lines of what the daemons wrote."""
        files = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        texts = ((file.name, file.read_text(errors="replace").splitlines()) for file in files)
        return "\n".join(f"{name}:\n" + "\n".join(text[-lines:]) for name, text in texts)

    def start(self) -> None:
        """Start everything, and wait until both nodes are ready."""
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        (self.folder / "controller").mkdir()
        for node in NODES:
            (self.folder / node).mkdir()
        template = Template(Path(__file__).with_name("slurm.conf").read_text(encoding="utf-8"))
        controller, *ports = _free_ports(1 + len(NODES))
        text = template.substitute(
            host=socket.gethostname(),
            user=getpass.getuser(),
            folder=self.folder,
            controller_port=controller,
            port1=ports[0],
            port2=ports[1],
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        (self.folder / "gres.conf").write_text("NodeName=node2 Name=gpu File=/dev/null\n")
        # Snakemake takes SLURM_CONF away from srun, which looks for /etc/slurm/slurm.conf then.
        srun = self.folder / "bin" / "srun"
        srun.parent.mkdir()
        settings = f"SLURM_CONF='{self.folder}/slurm.conf'"
        real = shutil.which("srun", path=_path())
        srun.write_text(f'#!/bin/sh\n{settings} exec "{real}" "$@"\n', encoding="utf-8")
        srun.chmod(0o755)
        munge = {"socket": "socket", "key-file": "key", "pid-file": "pid"}
        munge |= {"log-file": "log", "seed-file": "seed"}
        options = [f"--{name}={self.folder}/munge.{end}" for name, end in munge.items()]
        # --force: others may write to the folder above, that of temporary files.
        self._start("munged", "munged", "--foreground", "--force", *options)
        wait_until((self.folder / "munge.socket").exists, "munge")
        self._start("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        for node in NODES:
            wait_until(lambda node=node: self._is_ready(node), f"{node} to be ready")

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._start(node, "slurmd", "-D", "-N", node)

    def crash(self, node: str) -> None:
        """End a node's daemon and all its jobs at once, as a power cut would."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        _kill(self.processes(f"SLURMD_NODENAME={node}"))

    def stop(self) -> None:
        """End all daemons, and whatever jobs left."""
        for name in ("slurmctld", *NODES, "munged"):
            if daemon := self.daemons.pop(name, None):
                daemon.terminate()
                try:
                    daemon.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        while left := self.processes():
            _kill(left)

    def _start(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                # A daemon ends when this process is killed.
                ["setpriv", "--pdeathsig", "KILL", *command],
                # What a node's daemon starts shows by this name where it belongs.
                env={**self.environment, "SLURMD_NODENAME": name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the command that uses the cluster.
                start_new_session=True,
            )

    def _is_ready(self, node: str) -> bool:
        try:
            return self.state(node) == "idle"
        except RuntimeError:
            return False

    def processes(self, *settings: str) -> list[psutil.Process]:
        """Return the processes of this cluster: daemons, their steps, and what jobs started.

        They show in their environments, whatever parent, group and session they have.
        """
        wanted = {f"SLURM_CONF={self.environment['SLURM_CONF']}", *settings}
        return [process for process in psutil.process_iter() if wanted <= _environment(process.pid)]


def _environment(pid: int) -> set[str]:
    """Return the environment of a process, a ``NAME=VALUE`` each; empty where it is not ours.

    psutil stops at the first empty entry; slurmstepd has one, since it writes itself a title.
    """
    try:
        return set(Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0"))
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return set()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster, and take it down at the end."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    made = Cluster(folder)
    try:
        try:
            made.start()
        except TimeoutError as error:
            raise RuntimeError(f"the cluster did not start: {error}\n{made.logs()}") from None
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Run a command on a cluster."""
    if len(sys.argv) < 2:
        sys.exit("usage: cluster.py COMMAND [ARGUMENT ...]")
    if absent := missing():
        sys.exit(f"not installed: {', '.join(absent)}\n{__doc__}")
    with cluster() as made:
        process = subprocess.Popen(sys.argv[1:], env=made.environment)
        # Ctrl-C reaches the command from the terminal by itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
        status = process.wait()
    sys.exit(status)


if __name__ == "__main__":
    main()
