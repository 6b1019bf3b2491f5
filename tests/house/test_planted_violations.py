"""Break the rules of the house on purpose, in a copy, and see the gate that holds each of them fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import exemptions
import libraries
import module_size
import sleeping
from house import ROOT, SOURCE
from unmeasured import UNMEASURED

PURITY = (sys.executable, str(ROOT / "scripts" / "engine_purity.py"), "src")
LAYERS = (str(Path(sys.executable).with_name("lint-imports")), "--no-cache")


class Copy:
    """A copy of the source and its settings, with the means to plant in it and to run a gate on it."""

    def __init__(self, root, *left_out):
        self.root = root
        self.source = root / "src"
        shutil.copytree(SOURCE, self.source, ignore=shutil.ignore_patterns("__pycache__", *left_out))
        shutil.copy(ROOT / "pyproject.toml", root)

    def plant(self, module, line):
        """Add a line to a module, which is made first where it does not exist."""
        path = self.source.joinpath("outlast", *module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        for face in (path.parent / "__init__.py", path):
            face.touch()
        path.write_text(f"{path.read_text()}\n{line}\n")

    def run(self, gate):
        """Run a gate's command on the copy; the measuring of coverage stays outside."""
        environment = {**UNMEASURED, "PYTHONPATH": str(self.source)}
        return subprocess.run(gate, cwd=self.root, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path):
    """A fresh copy for one test."""
    return Copy(tmp_path)


@pytest.fixture
def few(tmp_path):
    """A copy of a few rooms, for the gates that look at one module after the other."""
    return Copy(tmp_path, "cache", "cli", "http", "lab", "outbox", "policies", "store", "sync_engine", "testing")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A copy in which nothing is planted."""
    return Copy(tmp_path_factory.mktemp("untouched"))


@pytest.mark.parametrize("gate", [pytest.param(LAYERS, id="layers"), pytest.param(PURITY, id="purity")])
def test_clean_copy_passes(untouched, gate):
    """A gate that fails on anything would prove nothing."""
    done = untouched.run(gate)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        pytest.param(
            "errors", "import outlast.engines", "outlast.errors is not allowed to import outlast.engines", id="up"
        ),
        pytest.param(
            "policies._planted",
            "from outlast.http import _planted",
            "outlast.policies is not allowed to import outlast.http",
            id="up-by-two",
        ),
        pytest.param(
            "clock", "import outlast.config", "outlast.clock is not allowed to import outlast.config", id="sibling"
        ),
        pytest.param(
            "jobs._planted",
            "def late():\n    from outlast.llm import _planted",
            "outlast.jobs is not allowed to import outlast.llm",
            id="sibling-inside-a-function",
        ),
        pytest.param("novelty", "WORDS = ()", "outlast.novelty", id="unlisted-module"),
        pytest.param("_private", "WORDS = ()", "outlast._private", id="unlisted-private-module"),
    ],
)
def test_planted_import_fails_the_layers(copy, module, line, said):
    """An upward import, a sibling import and an unlisted module break the contract, which says where."""
    for room in ("http", "llm"):
        copy.plant(f"{room}._planted", "")
    copy.plant(module, line)

    done = copy.run(LAYERS)

    assert done.returncode != 0
    assert said in done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("import time", "may not import time", id="clock-module"),
        pytest.param("def late():\n    import time", "may not import time", id="inside-a-function"),
        pytest.param("from random import random", "may not import random", id="chance"),
        pytest.param("import asyncio", "may not import asyncio", id="loop"),
        pytest.param("from email.utils import localtime", "may not import email.utils", id="impure-part"),
        pytest.param("from outlast.clock import Clock", "may not import outlast.clock", id="other-room"),
        pytest.param("from outlast import Pipeline", "may not import outlast", id="through-the-face"),
        pytest.param("from . import backoff", "relative", id="relative"),
        pytest.param("def late():\n    __import__('time').time()", "may not import time", id="by-name"),
        pytest.param("def late(clock):\n    return clock.now()", "may not read a clock", id="handed-clock"),
        pytest.param("def late():\n    return datetime.now()", "may not read a clock", id="datetime-now"),
        pytest.param("async def late(): ...", "may not wait", id="async"),
        pytest.param("def late():\n    global seen", "may not keep state", id="global"),
        pytest.param("def late():\n    print('opened')", "may not call print()", id="output"),
    ],
)
def test_planted_impurity_fails_the_engines(copy, line, said):
    """An engine that reaches for time, chance, the outside or a loop fails the purity gate."""
    copy.plant("engines.planted", line)

    done = copy.run(PURITY)

    assert done.returncode == 1
    assert "engines/planted.py" in done.stdout
    assert said in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        pytest.param("outbox._planted", "import apsw", "apsw may be imported in storage only", id="wrong-room"),
        pytest.param("storage._planted", "import pymongo", "pymongo is in no row", id="unknown-library"),
        pytest.param("cache._planted", "from outlast import Store", "not through outlast", id="through-the-face"),
        pytest.param(
            "policies._planted",
            "import importlib\nimportlib.import_module('redis.asyncio')",
            "redis may be imported in storage only",
            id="by-name",
        ),
    ],
)
def test_planted_library_fails(few, module, line, said):
    """A library outside of its rooms is found, however it is imported."""
    few.plant(module, line)

    assert [finding for finding in libraries.violations(few.source) if said in finding] != []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("x = 1  # type: ignore", "without the code", id="type-ignore-without-code"),
        pytest.param("x = 1  # noqa", "without the code", id="noqa-without-code"),
        pytest.param("x = 1  # pragma: no cover", "without its reason", id="pragma-without-reason"),
        pytest.param("# mypy: ignore-errors", "belongs in pyproject.toml", id="whole-file"),
        pytest.param("x = 1  # noqa: F841\n" * 90, "fewer than 2", id="too-many"),
    ],
)
def test_planted_exemption_fails(few, line, said):
    """A comment that silences a tool needs its code or reason, and there are few of them."""
    few.plant("clock", line)

    assert [finding for finding in exemptions.violations(few.source) if said in finding] != []


def test_coded_exemptions_pass(tmp_path):
    """One silencing comment with its code, and a pragma with its reason, are fine in a large enough package."""
    module = tmp_path / "outlast" / "room.py"
    module.parent.mkdir()
    silenced = ["x = f()  # type: ignore[no-any-return]", "y = g()  # pragma: no cover - only on Windows"]
    module.write_text("\n".join([*silenced, *["z = 1"] * 600, ""]))

    assert exemptions.violations(tmp_path) == []


def test_planted_long_module_fails(few):
    """A module of more than 400 lines is refused, one of more than 250 is only mentioned."""
    few.plant("engines.long", "x = 1\n" * 401)
    few.plant("engines.longish", "x = 1\n" * 260)

    assert [finding for finding in module_size.violations(few.source) if "long" in finding] == [
        "outlast/engines/long.py: 403 lines, more than 400"
    ]
    assert [warning for warning in module_size.warnings(few.source) if "longish" in warning] != []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        pytest.param("time.sleep(0.1)", 1, id="time"),
        pytest.param("time.sleep(pause)", 1, id="variable"),
        pytest.param("time.sleep(0)", 0, id="yield"),
        pytest.param("from time import sleep", 1, id="short-name"),
        pytest.param("asyncio.run(asyncio.sleep(1))", 1, id="real-loop"),
        pytest.param("asyncio.Runner().run(asyncio.sleep(1))", 1, id="real-runner"),
        pytest.param("async def test():\n    await asyncio.sleep(1)", 0, id="virtual-loop"),
        pytest.param("asyncio.Runner(loop_factory=VirtualLoop).run(asyncio.sleep(1))", 0, id="own-virtual-loop"),
    ],
)
def test_planted_sleep_fails(tmp_path, line, found):
    """A unit test that really sleeps is found; yielding is not sleeping."""
    test = tmp_path / "tests" / "unit" / "test_planted.py"
    test.parent.mkdir(parents=True)
    test.write_text(f"{line}\n")

    assert len(sleeping.violations(tmp_path / "tests")) == found
