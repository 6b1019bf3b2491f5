from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from outlast.lab.proxy import FaultProxy

sys.path.append(str(Path(__file__).parent))


class Process:
    """A module of the lab in a process of its own, which says on which port it listens."""

    def __init__(self, module, *arguments):
        self.popen = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.port = self.says()["listening"]

    def says(self):
        return json.loads(self.popen.stdout.readline())

    def tell(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self.says()

    def end(self, with_signal=signal.SIGTERM):
        """Stop the process and return its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(with_signal)
        code = self.popen.wait(10)
        self.popen.stdin.close()
        self.popen.stdout.close()
        return code


@pytest.fixture
def run():
    """Start processes that end with the test."""
    started = []

    def start(module, *arguments):
        started.append(Process(module, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.fixture(scope="session")
def notes_db(tmp_path_factory):
    """Name the database of the shared API."""
    return tmp_path_factory.mktemp("api") / "notes.db"


@pytest.fixture(scope="session")
def api(notes_db):
    """Serve notes for all tests; each uses ids of its own."""
    process = Process("outlast.lab.notes_api", "--db", notes_db, "--notes", 3)
    yield process
    process.end()


@pytest.fixture
def through(api):
    """Run a coroutine function with a proxy before the shared API, and see that nothing is left behind."""

    def play(scenario, **options):
        async def main():
            async with FaultProxy("127.0.0.1", api.port, **options) as proxy:
                await asyncio.wait_for(scenario(proxy), 15)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left
            return proxy

        proxy = asyncio.run(main())
        gc.collect()  # what was left open would warn here, and warnings are errors
        return proxy

    return play
