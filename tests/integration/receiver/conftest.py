"""A database for each test, each driver, and each kind of server side in turn."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path

import pytest

from outlast.http import Receiver

sys.path.append(str(Path(__file__).parent))

from drivers import Apsw, Place, Psycopg, PsycopgAsync, Sqlite3
from sides import Asgi, Wsgi


@pytest.fixture
def sqlite_place(tmp_path):
    """A new SQLite file."""
    return Place(str(tmp_path / "app.db"))


@pytest.fixture
def postgres_place(postgres_server):
    """A new schema."""
    schema = f"s{uuid.uuid4().hex}"
    postgres_server.execute(f"CREATE SCHEMA {schema}")
    return Place(postgres_server.address(options=f"-csearch_path%3D{schema}"))


@pytest.fixture(params=[Sqlite3, Apsw, Psycopg, PsycopgAsync], ids=["sqlite3", "apsw", "psycopg", "psycopg-async"])
def driver(request):
    """Each driver in turn, before a database that has the tables."""
    name = "postgres_place" if issubclass(request.param, Psycopg) else "sqlite_place"
    driver = request.param(request.getfixturevalue(name).prepare(request.param.library), Receiver())
    yield driver
    driver.close()


@pytest.fixture(params=["sqlite_place", "postgres_place"], ids=["sqlite", "postgres"])
def place(request):
    """Each database in turn, with the tables."""
    return request.getfixturevalue(request.param).prepare()


@pytest.fixture(params=[Asgi, Wsgi], ids=["asgi", "wsgi"])
def side(request, place):
    """Each kind of server side, on each database, around the script."""
    side = request.param(place)
    side.serve()
    yield side
    side.close()


@pytest.fixture
def asgi(place):
    """The server side in tasks."""
    side = Asgi(place)
    side.serve()
    yield side
    side.close()
