"""What `import outlast` costs, and what it offers."""

import ast
import importlib
import subprocess
import sys

import pytest

import outlast
from house import SOURCE, parse

FACE = SOURCE / "outlast" / "__init__.py"


def loaded_by(statement):
    """Return the names of all modules that a bare interpreter holds after `statement`."""
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True, env={}
    )
    return set(done.stdout.split())


def test_import_loads_neither_asyncio_nor_anything_foreign():
    """After `import outlast` there is no asyncio and nothing outside the standard library in sys.modules."""
    ours = {name for name in loaded_by("import outlast") if name.split(".")[0] == "outlast"}
    roots = {name.split(".")[0] for name in loaded_by("import outlast")} - {"outlast", "__main__"}

    assert ours == {"outlast"}
    assert "asyncio" not in roots
    assert roots - sys.stdlib_module_names == set()


def test_errors_need_the_standard_library_alone():
    """The base install has no dependencies: errors and engines import without any."""
    roots = {name.split(".")[0] for name in loaded_by("import outlast.errors, outlast.engines")} - {
        "outlast",
        "__main__",
    }

    assert roots - sys.stdlib_module_names == set()


def test_rooms_load_their_names_when_they_are_used():
    """`import outlast.policies` loads none of its modules, and one policy loads neither the others nor their parts."""
    faces = loaded_by("import outlast.policies, outlast.engines")

    assert {name for name in faces if name.split(".")[0] == "outlast"} == {
        "outlast",
        "outlast._lazy",
        "outlast.engines",
        "outlast.policies",
    }
    one = loaded_by("from outlast.policies import Bulkhead")

    assert "outlast.policies._bulkhead" in one
    assert {"outlast.policies._retry", "outlast.engines.breaker", "outlast.policies._hedge"} & one == set()


@pytest.mark.parametrize("room", ["engines", "policies"])
def test_the_table_of_a_room_is_what_type_checkers_read(room):
    """Each public name comes from the module that the imports for type checkers name."""
    module = importlib.import_module(f"outlast.{room}")
    branches = [
        branch for branch in parse(SOURCE / "outlast" / room / "__init__.py").body if isinstance(branch, ast.If)
    ]
    for_checkers = {
        (node.module.removeprefix(f"outlast.{room}."), alias.name)
        for branch in branches
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert {(home, name) for home, names in module._HOMES.items() for name in names.split()} == for_checkers
    assert sorted(name for _, name in for_checkers) == sorted(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module 'outlast.{room}' has no attribute 'Bulkhed'"):
        _ = module.Bulkhed


def test_at_most_25_public_names():
    """The face of the package stays small."""
    assert len(outlast.__all__) <= 25
    assert len(outlast.__all__) == len(set(outlast.__all__))


def test_every_public_name_loads_from_the_room_that_defines_it():
    """The lazy table, `__all__` and the imports that type checkers read say the same."""
    for_checkers = {
        alias.name: node.module
        for branch in parse(FACE).body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert for_checkers == outlast._ROOMS
    assert sorted([*outlast._ROOMS, "__version__"]) == sorted(outlast.__all__)
    for name, room in outlast._ROOMS.items():
        assert getattr(outlast, name) is getattr(sys.modules[room], name)
        assert name in sys.modules[room].__all__


def test_version_is_the_installed_one():
    """`__version__` comes from the metadata of the distribution."""
    from importlib.metadata import version

    assert outlast.__version__ == version("outlast")
    assert "__version__" in dir(outlast)


def test_unknown_name_is_an_attribute_error():
    """A misspelt name says so in the usual words."""
    with pytest.raises(AttributeError, match="module 'outlast' has no attribute 'CircuitBraker'"):
        _ = outlast.CircuitBraker
