"""A notebook on PostgreSQL, in a schema of its own."""

import sys
from pathlib import Path

import pytest

from outlast.storage import PostgresDatabase

sys.path.append(str(Path(__file__).parent))

from notebook import NOTES


@pytest.fixture
def schema(postgres_server):
    """A schema that does not exist yet."""
    return postgres_server.fresh().partition("schema=")[2]


@pytest.fixture
def open_notes():
    """Open notebooks that are closed with the test."""
    opened = []

    def open_one(address, **options):
        opened.append(PostgresDatabase(address, NOTES, **options))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def notes(open_notes, postgres_server, schema):
    """An open notebook."""
    return open_notes(postgres_server.address(schema=schema))
