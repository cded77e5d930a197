"""Why a model cannot run here, with the command that helps."""

import pytest

from imc_helpers.errors import InputError
from imc_helpers.models import availability
from imc_helpers.models.availability import why_not
from imc_helpers.models.registry import load_segmenter


def test_missing_weights_name_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    assert why_not("cyto3") == "no cyto3 in weights/cyto3: `make weights-cyto3`"
    with pytest.raises(InputError, match="make weights-cyto3"):
        load_segmenter("cyto3")


def test_a_missing_kernel_names_the_command(monkeypatch):
    monkeypatch.setattr(availability, "_kernel_installed", lambda name: False)
    assert why_not("mesmer") == "no kernel `deepcell` here: `make kernel-deepcell`"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    assert "Python lacks cellpose, torch" in why_not("cyto3")


def test_a_model_that_the_build_trains_can_always_run(monkeypatch, tmp_path):
    monkeypatch.setenv("IMC_BOOK_ROOT", str(tmp_path))
    assert why_not("pixel_forest") == ""
    with pytest.raises(InputError, match="not trained yet"):
        load_segmenter("pixel_forest")


def test_a_classical_model_needs_nothing():
    assert why_not("watershed") == ""
