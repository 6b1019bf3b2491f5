"""What every test gets: an event loop for `async def` tests, and Hypothesis settings."""

import asyncio
import functools
import gc
import inspect
import os
import signal
import sys
import threading
from pathlib import Path

import hypothesis
import pytest

TESTS = Path(__file__).parent
VIRTUAL = (TESTS / "unit", TESTS / "properties")

sys.path.append(str(TESTS))

# Coverage makes the first example slow, so no deadline. The examples are the same in every run: a check that fails
# fails for everybody. On a second Python few are enough, for what they look for there is another Python and no other
# logic. `OUTLAST_HYPOTHESIS=search make test ARGS=tests/properties` looks for new ones.
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("brief", deadline=None, derandomize=True, print_blob=True, max_examples=20)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("OUTLAST_HYPOTHESIS", "fixed"))


# What a machine has set changes what is shown, where requests go and which server is asked, in every child as well.
COLOURS = ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "GITHUB_ACTIONS")
FOREIGN = (*COLOURS, "COLUMNS", "LINES", "TERMINAL_WIDTH", "OUTLAST_TRACEBACK")
for name in list(os.environ):
    if name in FOREIGN or name.startswith("PG") or name.lower().endswith("_proxy"):
        del os.environ[name]

# Whoever starts the tests in the background of a shell has Ctrl-C ignored, and every process of theirs as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Seven thousand tests and what they import live until the end: nothing of that is garbage, so nobody looks through it.
gc.disable()


def pytest_collection_finish():
    """Leave what was collected out of every later collection of garbage."""
    gc.enable()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run an `async def` test: on virtual time in the fast rings, on a real event loop in the others."""
    factory = virtual_loop if any(ring in pyfuncitem.path.parents for ring in VIRTUAL) else None
    examples = getattr(pyfuncitem.obj, "hypothesis", None)
    if examples is not None and inspect.iscoroutinefunction(examples.inner_test):
        examples.inner_test = blocking(examples.inner_test, factory)
    elif inspect.iscoroutinefunction(pyfuncitem.obj):
        names = pyfuncitem._fixtureinfo.argnames
        blocking(pyfuncitem.obj, factory)(**{name: pyfuncitem.funcargs[name] for name in names})
        return True
    return None


def virtual_loop():
    """Make a loop whose clock jumps to the next timer."""
    from outlast.testing import VirtualLoop

    return VirtualLoop()


def blocking(test, factory):
    """Wrap an async test so that each call of it runs on an event loop of its own."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(test(*args, **kwargs))

    return run


@pytest.fixture(scope="session")
def postgres_server():
    """One PostgreSQL for all tests of this process; whoever wants to stop one starts one of their own."""
    from postgres_server import PostgresServer

    with PostgresServer.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where an outbox may be opened, on each store in turn; there is nothing yet."""
    if request.param == "sqlite":
        from stores import SqlitePlace

        return SqlitePlace(tmp_path / "app.db")
    from stores import PostgresPlace

    return PostgresPlace(request.getfixturevalue("postgres_server"))
