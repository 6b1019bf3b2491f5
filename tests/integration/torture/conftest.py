import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "bench" / "torture"


def load(name):
    """Load a program of the torture under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"torture_{name}", FOLDER / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def observer():
    """The program that judges."""
    return load("observer")


@pytest.fixture(scope="session")
def points():
    """The program that knows where a process is."""
    return load("points")


@pytest.fixture(scope="session")
def planted():
    """The program that plants faults."""
    return load("planted")


@pytest.fixture
def page(planted, monkeypatch, tmp_path):
    """The program that writes the page, into a folder of the test's own."""
    page = load("page")
    monkeypatch.setitem(sys.modules, "planted", planted)  # by which name the page asks for it
    monkeypatch.setattr(page, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(page, "PAGE", tmp_path / "torture.md")
    return page
