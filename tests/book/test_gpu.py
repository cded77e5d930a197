"""The GPU: whether there is one, which one a job gets, and when it gets none."""

import os
import subprocess
import sys

import pytest

import gpu

ROWS = ["0, GPU-a, 6000", "1, GPU-b, 20000", "2, GPU-c, 9000"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose ``nvidia-smi`` prints what it is told."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("IMC_BOOK_DEVICE", "SLURM_JOB_ID", gpu.VISIBLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gpu.tempfile, "gettempdir", lambda: str(tmp_path))

    def tell(*rows, status=0):
        tool = tmp_path / "nvidia-smi"
        lines = "\n".join(f"echo '{row}'" for row in rows)
        tool.write_text(f"#!/bin/sh\n{lines}\nexit {status}\n")
        tool.chmod(0o755)

    return tell


def torch_sees(monkeypatch, tmp_path, it):
    """Put a torch that sees a GPU, or none, where a new process finds it first."""
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "torch.py").write_text(
        f"class cuda:\n    @staticmethod\n    def is_available():\n        return {it}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_the_device_can_be_named_and_nothing_else(monkeypatch):
    monkeypatch.setenv("IMC_BOOK_DEVICE", "cuda")
    assert gpu.find_device() == "cuda"
    monkeypatch.setenv("IMC_BOOK_DEVICE", "tpu")
    with pytest.raises(SystemExit, match="expected cpu or cuda, found 'tpu'"):
        gpu.find_device()


def test_a_machine_without_a_gpu_is_a_cpu(monkeypatch, tmp_path):
    monkeypatch.delenv("IMC_BOOK_DEVICE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.find_device() == "cpu"
    with pytest.raises(SystemExit, match="no GPU here"), gpu.mine("cuda"):
        pass


@pytest.mark.parametrize(("sees", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_counts_where_torch_sees_it(machine, monkeypatch, tmp_path, sees, device):
    """A build of torch for the CPU stands beside a driver on many machines."""
    machine(*ROWS)
    torch_sees(monkeypatch, tmp_path, sees)
    assert gpu.find_device() == device


@pytest.mark.parametrize(
    ("rows", "status"),
    [((), 0), (("No devices were found",), 0), (("0, GPU-a, [N/A]",), 0), (ROWS, 9)],
)
def test_a_driver_that_does_not_answer_is_no_gpu(machine, monkeypatch, tmp_path, rows, status):
    machine(*rows, status=status)
    torch_sees(monkeypatch, tmp_path, True)
    assert gpu.find_device() == "cpu"


def test_no_torch_is_no_gpu(machine, monkeypatch):
    machine(*ROWS)
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert gpu.find_device() == "cpu"


@pytest.mark.parametrize(
    ("allowed", "given"),
    [(None, "GPU-b"), ("0,2", "GPU-c"), ("0", "GPU-a"), ("GPU-a, GPU-c", "GPU-c")],
)
def test_the_gpu_that_is_checked_is_the_one_that_is_used(machine, monkeypatch, allowed, given):
    machine(*ROWS)
    if allowed is not None:
        monkeypatch.setenv(gpu.VISIBLE, allowed)
    with gpu.mine("cuda"):
        assert os.environ[gpu.VISIBLE] == given
    assert os.environ.get(gpu.VISIBLE) == allowed
    with pytest.raises(RuntimeError, match="failed"), gpu.mine("cuda"):
        raise RuntimeError("failed")
    assert os.environ.get(gpu.VISIBLE) == allowed


@pytest.mark.parametrize("allowed", ["", "7", "-1"])
def test_no_gpu_is_used_that_the_user_hides(machine, monkeypatch, allowed):
    machine(*ROWS)
    monkeypatch.setenv(gpu.VISIBLE, allowed)
    assert gpu.find_device() == "cpu"
    with pytest.raises(SystemExit, match="no GPU here that a job may use"), gpu.mine("cuda"):
        pass


def test_a_full_gpu_is_an_error_before_anything_is_loaded(machine):
    machine("0, GPU-a, 1000", "1, GPU-b, 3999")
    with pytest.raises(SystemExit, match="3999 MB free, and a job needs 4000"), gpu.mine("cuda"):
        pass
    assert gpu.VISIBLE not in os.environ
    machine("0, GPU-a, 1000", "1, GPU-b, 4000")
    with gpu.mine("cuda"):
        assert os.environ[gpu.VISIBLE] == "GPU-b"


def test_a_job_on_the_cpu_and_one_of_slurm_ask_nobody(machine, monkeypatch):
    machine("0, GPU-a, 0")
    with gpu.mine("cpu"):
        assert gpu.VISIBLE not in os.environ
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv(gpu.VISIBLE, "0")
    with gpu.mine("cuda"):
        assert os.environ[gpu.VISIBLE] == "0", "what Slurm gave it"


def test_jobs_wait_for_one_another(machine, tmp_path):
    machine(*ROWS)
    code = (
        "import sys, tempfile; import gpu; tempfile.tempdir = sys.argv[1]\n"
        "print('asks', flush=True)\n"
        "with gpu.mine('cuda'):\n    print('mine', flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    path = os.pathsep.join(sys.path)
    with gpu.mine("cuda"):
        other = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        assert other.stdout.readline() == "asks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=0.5)
    said, _ = other.communicate(timeout=60)
    assert said == "mine\n"
    assert other.returncode == 0
