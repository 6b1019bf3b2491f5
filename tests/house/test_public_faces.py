"""Each room has a public face, and `__all__` says exactly what it is."""

import ast
import importlib

import pytest

from house import SOURCE, parse

PACKAGE = SOURCE / "outlast"


def faces():
    """Yield the face of each room: a folder's `__init__`, or a module that is a room by itself."""
    for path in sorted(PACKAGE.iterdir()):
        if path.is_dir() and any(path.glob("*.py")):
            yield path / "__init__.py"
        elif path.suffix == ".py" and not path.name.startswith("__"):
            yield path


def name_of(face):
    """Return the module name of a face."""
    return ".".join(face.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def bound(face):
    """Return the public names that a face binds: those of its own room, and those it hands on from other rooms."""
    module, own, handed_on = name_of(face), set(), set()
    statements = list(parse(face).body)
    for node in statements:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                own.add(name)
            case ast.Assign(targets=targets):
                own |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                own.add(name)
            case ast.ImportFrom(module=str(origin), names=aliases) if origin.startswith("outlast."):
                names = {alias.asname or alias.name for alias in aliases}
                (own if origin.startswith(f"{module}.") else handed_on).update(names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body):
                statements.extend(body)
            case ast.Delete(targets=targets):
                own -= {target.id for target in targets if isinstance(target, ast.Name)}
            case _:
                pass
    public = {name for name in own if not name.startswith("_")}
    return public, handed_on


@pytest.mark.parametrize("face", list(faces()), ids=name_of)
def test_all_is_what_is_visible(face):
    """`__all__` names every public name of a room itself, and else only what the face hands on on purpose."""
    assert face.exists(), f"{name_of(face)} is a folder with modules but without a face"
    module = importlib.import_module(name_of(face))
    own, handed_on = bound(face)

    assert hasattr(module, "__all__"), f"{name_of(face)} has no __all__"
    assert sorted(own - set(module.__all__) - {"__version__"}) == []
    assert sorted(set(module.__all__) - own - handed_on - {"__version__"}) == []


@pytest.mark.parametrize("face", list(faces()), ids=name_of)
def test_all_loads(face):
    """Every name that a room offers is there, lazily loaded ones too."""
    module = importlib.import_module(name_of(face))

    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_no_grab_bags():
    """No module is named after nothing: utils, helpers, common, misc."""
    stems = {path.stem.strip("_") for path in PACKAGE.rglob("*.py")}

    assert stems & {"utils", "util", "helpers", "helper", "common", "misc"} == set()
