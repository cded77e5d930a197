"""The imitation of the study's records is the rehearsal's too."""

import importlib.util
from pathlib import Path

import pytest

IMITATION = Path(__file__).resolve().parents[2] / "rehearsal" / "imitation.py"


@pytest.fixture(scope="session")
def rehearsal():
    """The module that writes the imitation."""
    spec = importlib.util.spec_from_file_location("imitation", IMITATION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
