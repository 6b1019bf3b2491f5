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
def planted():
    """The program that plants faults."""
    return load("planted")
