"""One outbox, its two contending runners and its producers, all of which are killed again and again."""

import ctypes
import importlib
import json
import math
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from hurry import hurried
from points import (
    CHECKPOINT_PAGES,
    POINTS,
    PRODUCER,
    RARE,
    RUNNER,
    ZOMBIE,
    Board,
    Watch,
    wait_until,
    watch_postgres,
    watch_sqlite,
)
from victim import Job, run

# What the victims need is imported once, before they are forked; the client's parts come lazily otherwise.
for name in ("anyio._backends._asyncio", "apsw", "h11", "httpcore2", "httpx2", "msgspec.json", "psycopg"):
    importlib.import_module(name)

_PR_SET_PDEATHSIG = 1
_LONGEST = 4.0
_OVERSLEPT = 10.0


def fork(work):
    """Run work in a fork of this process, which has imported everything and opened nothing; return its id."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # no child outlives the program
        if os.getppid() == parent:
            work()
            code = 0
    except BaseException as error:
        os.write(2, f"{os.getpid()}: {type(error).__name__}: {error!s:.300}\n".encode())
    finally:
        os._exit(code)


@dataclass
class Victim:
    """A running process and what is to become of it."""

    pid: int
    role: str
    board: Board
    aim: str | None
    act: signal.Signals
    seconds: float  # that it may live at work
    end: float = math.inf
    stopped_at: float = 0.0


@dataclass
class Tally:
    """What was done to a world."""

    kills: Counter = field(default_factory=Counter)  # by role and point
    in_flight: int = 0
    idle: int = 0
    zombies: int = 0
    overslept: int = 0
    failures: list = field(default_factory=list)

    @property
    def total(self):
        return sum(self.kills.values())


class World:
    """Keep the processes of one outbox going and dying.

    Args:
        name: Its name; one that begins with `k` has a server that knows keys.
        kind: `sqlite` or `postgres`.
        place: The outbox.
        folder: For the ledgers.
        url: The server.
        seed: Of the choice of points.
        stops: The share of runners that are stopped and woken up later, and not killed.
        ttl: Of the lease; it must be short where runners are stopped.
    """

    def __init__(self, name, kind, place, folder, url, seed, *, stops=0.0, ttl=30.0):
        self.name, self.kind, self.place, self.stops = name, kind, place, stops
        self.folder = Path(folder) / name
        self.folder.mkdir()
        self.random = random.Random(f"{seed}/{name}")
        self.job = Job(name, place, "", url, keyed=name.startswith("k"), ttl=ttl)
        self.victims = []
        self.tally = Tally()
        self.started = 0

    def step(self):
        """Look after the processes once."""
        for victim in list(self.victims):
            self.look(victim)
        for role in ("runner", "producer"):
            while sum(victim.role == role for victim in self.victims) < 2:
                self.start(role)

    def start(self, role):
        self.started += 1
        board = Board()
        act, aim = self.choose(role)
        most = 1 if (aim or "").startswith(RARE) else 30 if role == "producer" else 10
        pid = self.fork(role, Watch(board, aim, self.random.randint(1, most), act))
        seconds = self.random.uniform(0.02, 0.4) if aim is None else _LONGEST
        self.victims.append(Victim(pid, role, board, aim, act, seconds))

    def choose(self, role):
        """Return what is to be done and at which point, None for a random moment."""
        if role == "runner" and self.random.random() < self.stops:
            fits = [point for point in ZOMBIE if self.job.keyed or point in {"http:all-sent", "http:answered"}]
            return signal.SIGSTOP, self.random.choice(fits)
        if role == "runner" and self.random.random() < 0.2:
            return signal.SIGKILL, None
        points = RUNNER if role == "runner" else PRODUCER
        fits = [point for point in points if self.kind == "sqlite" or point != "checkpoint:writing"]
        return signal.SIGKILL, self.random.choice(fits)

    def fork(self, role, watch):
        name = f"{self.name}-{self.started}"
        ledger = str(self.folder / f"{name}.{role}.jsonl")
        jumps, batches = (self.random.random() < 0.25 for _ in range(2))
        job = replace(self.job, name=name, ledger=ledger, jumps=jumps, batches=batches)
        commits = self.random.choice((0, 10**9))  # lone writes are the loop's from the first on, or never

        def work():
            kept = watch_sqlite(watch) if self.kind == "sqlite" else watch_postgres(watch)
            with hurried(CHECKPOINT_PAGES, commits):
                run(role, job, watch)
            del kept

        return fork(work)

    def look(self, victim):
        """See what became of a process, and kill it when its time has come."""
        pid, status = os.waitpid(victim.pid, os.WNOHANG | os.WUNTRACED)
        if pid and os.WIFSTOPPED(status):
            victim.stopped_at = time.monotonic()
            victim.end = victim.stopped_at + _OVERSLEPT
        elif pid:
            self.ended(victim, status)
        elif victim.stopped_at:
            self.oversleeps(victim)
        elif victim.end == math.inf:
            # A runner begins to work when it gets the lease, a producer when the outbox is open.
            if victim.board["leased" if victim.role == "runner" else "ready"]:
                victim.end = time.monotonic() + victim.seconds
        elif time.monotonic() > victim.end:
            os.kill(victim.pid, signal.SIGKILL)
            self.ended(victim, os.waitpid(victim.pid, 0)[1])

    def oversleeps(self, victim):
        """Wake a stopped runner once another one has taken its lease, and let it live on for a while."""
        taken = any(other.board["leased"] > victim.board["leased"] for other in self.victims if other is not victim)
        if taken or time.monotonic() > victim.end:
            self.tally.zombies += 1
            self.tally.overslept += taken
            victim.stopped_at = 0.0
            victim.end = time.monotonic() + self.random.uniform(0.2, 1.0)
            os.kill(victim.pid, signal.SIGCONT)

    def ended(self, victim, status):
        """Count a death: only one in the middle of work counts as a kill."""
        self.victims.remove(victim)
        if not os.WIFSIGNALED(status):
            self.tally.failures.append(f"{victim.role} {victim.pid} ended by itself with {status}")
            return
        board = victim.board
        if not board.busy and (victim.aim != board.point or victim.act != signal.SIGKILL):
            self.tally.idle += 1
            return
        aimed = victim.aim == board.point and victim.act == signal.SIGKILL
        by = board.point if aimed else "random moment"
        self.tally.kills[f"{victim.role} {by}"] += 1
        self.tally.in_flight += victim.role == "runner" and board["flying"] > 0
        with (self.folder / "kills.log").open("a") as log:
            flying = board["flying"]
            log.write(json.dumps({"role": victim.role, "by": by, "last": board.point, "flying": flying}) + "\n")

    def end(self):
        """End all processes, those that sleep as well."""
        for victim in self.victims:
            os.kill(victim.pid, signal.SIGKILL)
            os.waitpid(victim.pid, 0)
        self.victims.clear()

    def finish(self):
        """Let one process deliver what is left, with nobody killing; tell whether it came to an end."""
        self.end()
        self.started += 1
        pid = self.fork("finish", Watch(Board()))
        status = []

        def over():
            found, state = os.waitpid(pid, os.WNOHANG)
            status.extend([state] if found else [])
            return bool(found)

        # The longer it was played the more may be left, and what goes on without end is to be seen as that.
        if wait_until(over, 30 + self.started / 10):
            return status[0] == 0
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return False


assert set(RUNNER) | set(PRODUCER) <= set(POINTS)  # noqa: S101 - a point that is never passed would never kill
