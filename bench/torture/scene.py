"""The counterparts of a play: the bad server, PostgreSQL, and the observer, each in a process of its own."""

import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class BadServer:
    """The server with its script, and its ledger."""

    def __init__(self, folder, seed):
        self.ledger = Path(folder) / "server.jsonl"
        command = (sys.executable, HERE / "server.py", "--ledger", self.ledger, "--seed", str(seed))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
        self.url = f"http://127.0.0.1:{json.loads(self.process.stdout.readline())['port']}"

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.read()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def scene(seed, stores, keep=None):
    """Give a folder, a bad server, and a function from a world's name to the place of its outbox."""
    with contextlib.ExitStack() as stack:
        folder = Path(keep or stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.mkdir(parents=True, exist_ok=True)
        server = BadServer(folder, seed)
        stack.callback(server.close)
        postgres = stack.enter_context(postgres_server()) if "postgres" in stores else None

        def place(kind, world):
            if kind == "sqlite":
                return str(folder / f"{world}.db")
            return postgres.address(schema=world.replace("-", "_"))

        yield folder, server, place


@contextlib.contextmanager
def postgres_server():
    """Run a PostgreSQL that flushes its commits."""
    sys.path.append(str(ROOT / "tests"))
    from postgres_server import PostgresServer

    with PostgresServer.running(fsync="on") as server:
        yield server


def observe(world, server, folder):
    """Let the observer judge a world, and return its verdict."""
    state = folder / "state.json"
    state.write_bytes(server.ask("/_state"))
    command = (
        sys.executable, HERE / "observer.py", "--world", world.name, "--ledgers", world.folder,
        "--server", server.ledger, "--state", state, "--place", world.place,
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr[-800:])
    return json.loads(done.stdout)
