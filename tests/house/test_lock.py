"""constraints.txt pins what pyproject.toml asks for, and says nothing about where it comes from."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from house import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def requirements():
    """Yield every requirement of the package, its extras, its groups and its build, except its own extras."""
    project = SETTINGS["project"]
    tables = [*project["optional-dependencies"].values(), *SETTINGS["dependency-groups"].values()]
    lines = [project["dependencies"], SETTINGS["build-system"]["requires"], *tables]
    found = [Requirement(line) for table in lines for line in table if isinstance(line, str)]
    return [requirement for requirement in found if requirement.name != "outlast"]


def test_every_line_is_a_pin():
    """Each line is `name==version`, in order: no index, no address, no path."""
    assert [line for line in PINS if not re.fullmatch(r"[a-z0-9.-]+==[A-Za-z0-9.+!]+", line)] == []
    assert sorted(PINS, key=lambda line: line.partition("==")[0]) == PINS


def test_every_requirement_is_pinned_within_its_range():
    """What pyproject.toml names is pinned, at a version that it accepts."""
    pinned = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in PINS)}

    wrong = [
        str(one) for one in requirements() if not one.specifier.contains(pinned.get(canonicalize_name(one.name), ""))
    ]

    assert wrong == []


def test_base_install_has_no_dependencies():
    """Policies, engines and errors need the standard library alone."""
    assert SETTINGS["project"]["dependencies"] == []


def test_all_includes_every_extra():
    """`outlast[all]` brings what any room may ask for."""
    extras = SETTINGS["project"]["optional-dependencies"]

    assert Requirement(extras["all"][0]).extras == extras.keys() - {"all"}
