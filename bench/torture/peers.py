"""The same kills for queues that people use today: `make torture-peers`.

Each is used as its documentation says, on SQLite with its own defaults. One process takes what was queued, does what is
to be done, which is a synced line in a ledger, and says that it is done where the library has a way to say so. It is
killed again and again in the middle of that: half of the times between the effect and the end of the taking, half at a
random moment. In the end one process takes what is left, without a repair by hand.

Usage: `python bench/torture/peers.py [--ops N] [--kills N] [--seed N] [--json] [--no-write]`
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAUSE = 0.001
COLUMNS = ("kills", "ops", "lost", "stuck", "never", "twice")


class Huey:
    """huey 3, `SqliteHuey`: a worker dequeues a task and executes it; dequeuing removes it."""

    name = "huey"

    def __init__(self, folder):
        from huey import SqliteHuey

        self.huey = SqliteHuey("torture", filename=f"{folder}/huey.db")
        self.effect = None
        self.task = self.huey.task()(self._run)

    def _run(self, number):
        self.effect(number)

    def put(self, number):
        self.task(number)

    def take(self, effect):
        self.effect = effect
        task = self.huey.dequeue()
        if task is None:
            return False
        self.huey.execute(task)
        return True

    def held(self):
        return 0


class Litequeue:
    """litequeue: `pop` locks a message, `done` marks it as done."""

    name = "litequeue"

    def __init__(self, folder):
        from litequeue import LiteQueue

        self.queue = LiteQueue(f"{folder}/lite.db")

    def put(self, number):
        self.queue.put(str(number))

    def take(self, effect):
        message = self.queue.pop()
        if message is None:
            return False
        effect(int(message.data))
        self.queue.done(message.message_id)
        return True

    def held(self):
        return self.queue.conn.execute("SELECT count(*) FROM Queue WHERE status = 1").fetchone()[0]


class PersistQueue:
    """persist-queue, `SQLiteAckQueue`: `get`, then `ack`; what was not acknowledged comes back at the next opening."""

    name = "persist-queue"

    def __init__(self, folder):
        from persistqueue import SQLiteAckQueue

        self.queue = SQLiteAckQueue(f"{folder}/persist", auto_resume=True)

    def put(self, number):
        self.queue.put(number)

    def take(self, effect):
        from persistqueue import Empty

        try:
            number = self.queue.get(block=False)
        except Empty:
            return False
        effect(number)
        self.queue.ack(number)
        return True

    def held(self):
        return self.queue.unack_count()


QUEUES = {kind.name: kind for kind in (Huey, Litequeue, PersistQueue)}


def consume(kind, folder, aim, before, ready):
    """Take until nothing is left, and die at the aim-th effect, if there is an aim."""
    ledger = os.open(f"{folder}/ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    queue, begun = kind(folder), 0

    def effect(number):
        nonlocal begun
        begun += 1
        time.sleep(random.uniform(0, 2 * PAUSE))  # the work
        if begun == aim and before:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(ledger, f"{number}\n".encode())
        os.fdatasync(ledger)
        if begun == aim:
            os.kill(os.getpid(), signal.SIGKILL)

    os.write(ready, b"x")
    while queue.take(effect):
        pass


def child(work):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def torture(kind, ops, kills, seed):
    """Kill consumers of one queue and count what became of its writes."""
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        os.waitpid(child(lambda: produce(kind, folder, ops)), 0)
        killed = sum(kill_one(kind, folder, number % 3, dice, ops // kills) for number in range(kills))
        one_left(kind, folder)
        seen = Counter(int(line) for line in Path(folder, "ledger").read_text().split())
        stuck = int(held(kind, folder))
    missing = ops - len(seen)
    twice = sum(count > 1 for count in seen.values())
    lost = max(0, missing - stuck)
    return {"kills": killed, "ops": ops, "lost": lost, "stuck": stuck, "never": missing - lost, "twice": twice}


def kill_one(kind, folder, turn, dice, share):
    """Start a consumer and kill it at its turn: before an effect, after one, or at a random moment."""
    reading, writing = os.pipe()
    aim = dice.randint(1, max(2, share)) if turn < 2 else 0
    pid = child(lambda: consume(kind, folder, aim, turn == 0, writing))
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    if turn == 2:
        time.sleep(dice.uniform(0, 0.01))
        os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def one_left(kind, folder):
    """Let one process take all that can be taken."""
    os.waitpid(child(lambda: consume(kind, folder, 0, False, os.open(os.devnull, os.O_WRONLY))), 0)


def produce(kind, folder, ops):
    queue = kind(folder)
    for number in range(ops):
        queue.put(number)


def held(kind, folder):
    """Ask a queue in another process how many it holds back for somebody who is dead."""
    reading, writing = os.pipe()
    os.waitpid(child(lambda: os.write(writing, str(kind(folder).held()).encode())), 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return pipe.read() or 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ops", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-write", dest="write", action="store_false")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        import huey  # noqa: F401 - before the forks, so that they start quickly
        import litequeue  # noqa: F401
        import persistqueue  # noqa: F401

        found = {name: torture(kind, options.ops, options.kills, options.seed) for name, kind in QUEUES.items()}
        print(json.dumps(found))
        return
    import others

    done = subprocess.run((others.python(), __file__, *sys.argv[1:], "--inside"), stdout=subprocess.PIPE, check=True)
    show(json.loads(done.stdout), options)


def show(found, options):
    if options.json:
        print(json.dumps(found))
    else:
        print(f"{'queue':15}" + "".join(f"{column:>7}" for column in COLUMNS))
        for name, row in found.items():
            print(f"{name:15}" + "".join(f"{row[column]:7}" for column in COLUMNS))
    if options.write:
        import page

        page.write(peers=found)


if __name__ == "__main__":
    main()
