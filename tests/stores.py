"""The places at which a test may open an outbox, and what may happen there from outside."""

import os
import time
from contextlib import closing

import apsw


class SqlitePlace(os.PathLike):
    """A file, to be opened by its path."""

    kind = "sqlite"

    def __init__(self, path, *, inside=False):
        self.path = path
        self.beside = ""
        self.schema = "outlast"
        self.prefix = "outlast_" if inside else ""

    def __fspath__(self):
        return str(self.path)

    def __str__(self):
        return str(self.path)

    def another(self, name):
        """Return another place, the same one for the same name."""
        return SqlitePlace(self.path.with_name(f"{name}.db"), inside=bool(self.prefix))

    def execute(self, statement, *bindings):
        """Run a statement from outside, `$op` standing for a table, and return its rows."""
        # Not by the sqlite3 of Python: two copies of SQLite in one process undo each other's locks.
        with closing(apsw.Connection(str(self.path))) as connection:
            connection.set_busy_timeout(30_000)
            return list(connection.execute(statement.replace("$", self.prefix), bindings))

    def plan(self, statement, bindings):
        """Return the steps of a statement that read a whole table."""
        rows = self.execute(f"EXPLAIN QUERY PLAN {statement}", *bindings)
        return [row[3] for row in rows if row[3].startswith("SCAN") and row[3] != "SCAN found"]

    def refuse(self, entity):
        """Let the store refuse each write of an entity."""
        self.execute(
            f"CREATE TRIGGER c BEFORE INSERT ON op WHEN new.entity = '{entity}' BEGIN SELECT raise(ABORT, 'no'); END"
        )

    def fill(self, box, table):
        """Leave no room for further rows of a table."""
        box.core.database.write(lambda db: db.pragma("max_page_count", db.pragma("page_count"))).result(10)

    def free(self, box, table):
        """Make room again."""
        box.core.database.write(lambda db: db.pragma("max_page_count", 1_000_000)).result(10)

    def lock(self, box, seconds):
        """Keep everybody else from writing for a while; returns a future of the end."""
        return box.core.database.write(lambda db: time.sleep(seconds))


class PostgresPlace(str):
    """A schema of a server, to be opened by its address."""

    kind = "postgres"
    __slots__ = ("names", "server")

    def __new__(cls, server, names=None):
        place = super().__new__(cls, server.fresh())
        place.server, place.names = server, {} if names is None else names
        return place

    @property
    def schema(self):
        """Return the name of the schema."""
        return self.partition("schema=")[2]

    @property
    def beside(self):
        """Return what the names of tables beside those of the outbox begin with."""
        return f"{self.schema}."

    @property
    def libpq(self):
        """Return the address without what is ours."""
        return self.partition("?")[0]

    def another(self, name):
        """Return another place, the same one for the same name."""
        if name not in self.names:
            self.names[name] = PostgresPlace(self.server, self.names)
        return self.names[name]

    def execute(self, statement, *bindings):
        """Run a statement from outside, `$op` standing for a table, and return its rows."""
        statement = statement.replace("$", f"{self.schema}.").replace("?", "%s")
        return self.server.execute(statement, *bindings)

    def plan(self, statement, bindings):
        """Return the steps of a statement that read a whole table."""
        text = statement.replace("$", f"{self.schema}.").replace("%", "%%").replace("?", "%s")
        rows = self.server.execute_without_scans(f"EXPLAIN {text}", *bindings)
        return [row[0] for row in rows if "Seq Scan" in row[0]]

    def refuse(self, entity):
        """Let the store refuse each write of an entity."""
        self._trigger("op", f"IF new.entity = '{entity}' THEN RAISE 'no'; END IF; RETURN new;")

    def _trigger(self, table, body):
        name = f"{self.schema}.{table}"
        self.server.execute(
            f"CREATE FUNCTION {self.schema}.planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
            f" CREATE TRIGGER planted BEFORE INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION {self.schema}.planted()"
        )

    def fill(self, box, table):
        """Let the server say, for each further row of a table, that its disk is full."""
        self._trigger(table, "RAISE 'no space left on device' USING ERRCODE = '53100';")

    def free(self, box, table):
        """Make room again."""
        self.server.execute(f"DROP FUNCTION {self.schema}.planted() CASCADE")

    def lock(self, box, seconds):
        """Keep everybody else from writing for a while; returns a future of the end."""
        table = f"LOCK TABLE {self.schema}.op IN ACCESS EXCLUSIVE MODE"
        return box.core.database.write(lambda db: (db.execute(table), time.sleep(seconds)))
