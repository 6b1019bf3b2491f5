"""A small database on PostgreSQL, and the jobs that tests give it."""

from outlast.storage import FileFormat

NOTES = FileFormat("notebook", 0x6E6F7465, 1, ("CREATE TABLE $note (id BIGINT PRIMARY KEY, text TEXT)",))


def add(number, text="x"):
    """Make a job that stores a note."""
    return lambda db: db.execute("INSERT INTO note VALUES (?, ?)", (number, text)).get


def ids(db):
    """Be a job that reads the ids."""
    return [row[0] for row in db.execute("SELECT id FROM note ORDER BY id")]
