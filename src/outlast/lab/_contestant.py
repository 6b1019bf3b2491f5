"""One application with an API of its own and a proxy in between, each a process on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outlast.lab._faults import Fault, dump_fault

_READY_WITHIN: Final = 20.0
_END_WITHIN: Final = 10.0
_API: Final = "outlast.lab.notes_api"
_PROXY: Final = "outlast.lab.proxy"


@dataclass(slots=True)
class Tail:
    """Count what a growing ledger says, for display only; the verdict is the observer's.

    Args:
        path: The ledger.
    """

    path: Path
    answered: int = 0
    unanswered: int = 0
    stale: int = 0
    acknowledged: int = 0
    refused: int = 0
    _position: int = 0

    def read_on(self) -> None:
        """Count the lines that have come since the last time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._position)
            *lines, torn = file.read().split(b"\n")
            self._position = file.tell() - len(torn)
        for line in lines:
            entry = json.loads(line)
            self.answered += entry.get("answered") is True
            self.unanswered += entry.get("answered") is False
            self.stale += entry.get("stale") is True
            self.acknowledged += entry["kind"] == "ack"
            self.refused += entry["kind"] == "refused"


@dataclass(slots=True)
class Contestant:
    """Start, break, kill and end the processes of one side of the play.

    Args:
        name: What it is called.
        module: The module of the application.
        folder: Where its files go.
        options: Further command-line options of the application.
    """

    name: str
    module: str
    folder: Path
    options: tuple[str, ...] = ()
    tail: Tail = field(init=False)
    _api: asyncio.subprocess.Process | None = None
    _proxy: asyncio.subprocess.Process | None = None
    _app: asyncio.subprocess.Process | None = None
    _arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tail = Tail(self.ledger)

    @property
    def ledger(self) -> Path:
        """Return the ledger of the application."""
        return self.folder / "ledger.jsonl"

    @property
    def api_db(self) -> Path:
        """Return the database of the API."""
        return self.folder / "api.db"

    @property
    def pids(self) -> dict[str, int]:
        """Return the process ids by part."""
        parts = {"api": self._api, "proxy": self._proxy, "app": self._app}
        return {name: process.pid for name, process in parts.items() if process is not None}

    async def set_up(self, *, notes: int, seed: int, plant: str | None) -> None:
        """Start the API and the proxy.

        Raises:
            RuntimeError: One of them did not start.
        """
        planted = ("--plant", plant) if plant else ()
        self._api = await self._start(_API, "--db", str(self.api_db), "--port", "0", "--notes", str(notes),
                                      "--neighbour-every", "1.0", "--until-eof", *planted)  # fmt: skip
        upstream = f"127.0.0.1:{await self._listening(self._api, _API)}"
        self._proxy = await self._start(_PROXY, "--upstream", upstream, "--port", "0", "--seed", str(seed),
                                        "--log", str(self.folder / "proxy.jsonl"))  # fmt: skip
        port = await self._listening(self._proxy, _PROXY)
        self._arguments = ("--api", f"http://127.0.0.1:{port}", "--ledger", str(self.ledger), "--notes", str(notes),
                           "--seed", str(seed), *self.options)  # fmt: skip

    async def start_app(self, *, seconds: float, epoch: float) -> None:
        """Start the application."""
        self._app = await self._start(self.module, *self._arguments, "--seconds", str(seconds), "--epoch", str(epoch))

    async def _start(self, module: str, *arguments: str) -> asyncio.subprocess.Process:
        with self._log(module).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip

    async def _listening(self, process: asyncio.subprocess.Process, module: str) -> int:
        line = b""
        try:
            if process.stdout is not None:
                async with asyncio.timeout(_READY_WITHIN):
                    line = await process.stdout.readline()
            return int(json.loads(line)["listening"])
        except (ValueError, KeyError, TimeoutError) as error:
            raise RuntimeError(f"{module} of {self.name} did not start{self.last_words(module)}") from error

    def check_app(self) -> None:
        """Find out whether the application has died of itself.

        Raises:
            RuntimeError: It has, and with an error.
        """
        if self._app is not None and self._app.returncode:
            code, said = self._app.returncode, self.last_words()
            raise RuntimeError(f"the application of {self.name} ended in the middle of the play, code {code}{said}")

    def last_words(self, module: str | None = None) -> str:
        """Return the last line of a program's log, after a colon; empty when it has written nothing.

        Args:
            module: The module of the program. Default: the application.
        """
        log = self._log(module or self.module)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
        return f": {lines[-1]}" if lines else ""

    def _log(self, module: str) -> Path:
        return self.folder / f"{module.rpartition('.')[2]}.log"

    async def set_fault(self, fault: Fault) -> None:
        """Let the proxy break the connection in this way from now on."""
        if self._proxy is not None and self._proxy.stdin is not None and self._proxy.stdout is not None:
            self._proxy.stdin.write(json.dumps(dump_fault(fault)).encode() + b"\n")
            await self._proxy.stdin.drain()
            await self._proxy.stdout.readline()

    async def kill_app(self) -> None:
        """End the application with SIGKILL."""
        if self._app is not None and self._app.returncode is None:
            self._app.kill()
            await self._app.wait()

    async def app_ended(self, within: float) -> bool:
        """Wait for the application to end by itself; tell whether it did, and without an error."""
        if self._app is None:
            return False
        try:
            async with asyncio.timeout(within):
                return await self._app.wait() == 0
        except TimeoutError:
            await self.kill_app()
            return False

    async def close(self) -> None:
        """End whatever still runs."""
        await asyncio.gather(*(_end(process) for process in (self._app, self._proxy, self._api) if process is not None))


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_END_WITHIN):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()


def sealed_and_unsettled(outbox: Path) -> int:
    """Return how many writes of an outbox were sealed for sending and have no recorded outcome yet.

    Args:
        outbox: The file; looked at from outside, read-only.
    """
    try:
        with closing(sqlite3.connect(f"{outbox.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)) as database:
            return int(database.execute("SELECT count(*) FROM seal").fetchone()[0])
    except sqlite3.Error:
        return 0


__all__ = ["Contestant", "Tail", "sealed_and_unsettled"]
