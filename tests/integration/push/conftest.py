from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from commands import Result
from outlast import cli
from unmeasured import UNMEASURED

PUSH = (sys.executable, "-W", "error", "-m", "outlast.cli", "push")


def start(*arguments, **options):
    """Start `outlast push` as a process of its own, in a group of its own."""
    return subprocess.Popen(
        [*PUSH, *map(str, arguments)],
        stdin=options.pop("stdin", subprocess.DEVNULL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process):
    """Wait for the end of a push and return what it said; no push may ever end in a traceback."""
    out, err = process.communicate(timeout=150)
    assert "Traceback" not in err
    return Result(process.returncode, out, err)


def rows(outbox, query):
    """Read from an outbox file with the standard library, which shares no code with the engine."""
    connection = sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


class Process:
    """A module of the lab in a process of its own, which says on which port it listens."""

    def __init__(self, module, *arguments):
        self.popen = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", module, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=UNMEASURED | {"PYTHONUNBUFFERED": "1"},
        )
        self.port = self.says()["listening"]

    def says(self):
        return json.loads(self.popen.stdout.readline())

    def tell(self, **fault):
        self.popen.stdin.write(json.dumps(fault) + "\n")
        self.popen.stdin.flush()
        return self.says()

    def end(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        self.popen.wait(10)
        self.popen.stdin.close()
        self.popen.stdout.close()


@dataclass
class Notes:
    """The example API, seen through its own database."""

    db: Path
    port: int

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/notes/{{id}}"

    def effects(self):
        """Return (note, write) of every change that was ever applied, in order."""
        return rows(self.db, "SELECT note, write_id FROM effects ORDER BY seq")

    def stored(self):
        """Return the notes by id."""
        return {note: json.loads(body) for note, body in rows(self.db, "SELECT note, body FROM notes WHERE body != ''")}


@pytest.fixture
def run():
    """Start processes of the lab that end with the test."""
    started = []

    def start_one(module, *arguments):
        started.append(Process(module, *arguments))
        return started[-1]

    yield start_one
    for process in started:
        process.end()


@pytest.fixture
def notes(run, tmp_path):
    """An example API of the test's own, empty."""
    db = tmp_path / "notes.db"
    return Notes(db, run("outlast.lab.notes_api", "--db", db).port)


@pytest.fixture
def proxy(run, notes):
    """A proxy before the API, which fails as told."""
    return run("outlast.lab.proxy", "--upstream", f"127.0.0.1:{notes.port}")


@pytest.fixture
def lines(tmp_path):
    """Write notes to `in.jsonl`."""

    def write(count, text="hello", name="in.jsonl"):
        path = tmp_path / name
        path.write_text(
            "".join(json.dumps({"id": f"n{i}", "write": f"w{i}", "text": text}) + "\n" for i in range(count))
        )
        return path

    return write


@dataclass
class Server:
    """A scripted HTTP server: every request takes the next answer, the last one for ever."""

    answers: list = field(default_factory=lambda: [(200, {}, b"")])
    seen: list = field(default_factory=list)
    port: int = 0

    def next_answer(self, request):
        self.seen.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def server():
    """Run a scripted server for the length of a test."""
    script = Server()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                answer = script.next_answer((self.command, self.path, dict(self.headers), body))
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        script.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield script
        http.shutdown()
        thread.join()


@pytest.fixture
def push(capsys, monkeypatch):
    """Run `outlast push` to its end in this process, which takes a tenth of the time of one of its own."""

    def run(*arguments, text="", cwd=None):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
            if cwd is not None:
                patch.chdir(cwd)
            with pytest.raises(SystemExit) as ended:
                cli.main(["push", *map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Result(int(ended.value.code), said.out, said.err)

    return run


@pytest.fixture(name="start")
def start_fixture():
    """Start `outlast push`; what still runs at the end of the test is killed."""
    started = []

    def begin(*arguments, **options):
        started.append(start(*arguments, **options))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(name="finish")
def finish_fixture():
    """Wait for the end of a push."""
    return finish


@pytest.fixture(name="rows")
def rows_fixture():
    """Read from an outbox file without the engine."""
    return rows
