"""Take a `postgresql://` address apart, and never show its password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from outlast.errors import ConfigError
from outlast.storage._extras import require
from outlast.storage._layouts import Dialect

SCHEMES: Final = ("postgresql://", "postgres://")
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# A server that is gone without a word is noticed after a minute, also by one who waits for its answer, which the probes
# of an idle connection do not see to; that would take a quarter of an hour.
_DEFAULTS: Final = {
    "connect_timeout": "5",
    "application_name": "outlast",
    "client_encoding": "UTF8",  # whatever the database's own is, or texts may come as bytes
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}


def driver(purpose: str) -> ModuleType:
    """Import psycopg.

    Raises:
        MissingExtraError: It is not installed.
    """
    return require("psycopg", extra="postgres", purpose=purpose)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Hold where a database is.

    Args:
        name: What it is called towards users, without user and password.
        schema: The schema of our tables.
        words: What libpq connects by; it may hold a password.
    """

    name: str
    schema: str
    words: dict[str, Any] = field(repr=False)


def is_address(where: object) -> bool:
    """Tell whether something names a PostgreSQL database and not a file."""
    return isinstance(where, str) and where.startswith(SCHEMES)


def parse_address(text: str) -> PostgresAddress:
    """Take an address apart.

    Args:
        text: As libpq takes it, with `?schema=` for the schema of our tables. Default `outlast`.

    Raises:
        ConfigError: It is no address; the text is not shown, because it may hold a password.
        MissingExtraError: psycopg is not installed.
    """
    psycopg = driver("a PostgreSQL outbox")
    try:
        parts = urlsplit(text)
        asked = parts.query.replace("+", "%2B")  # libpq means a plus sign by it, and a form a space
        pairs = parse_qsl(asked, keep_blank_values=True, strict_parsing=bool(asked))
        query = urlencode([pair for pair in pairs if pair[0] != "schema"], quote_via=quote)
        words = psycopg.conninfo.conninfo_to_dict(urlunsplit(parts._replace(query=query)))
        _check_whole(parts.fragment, words)
    except (ValueError, psycopg.Error):
        raise ConfigError(
            "is no PostgreSQL address; write postgresql://user:password@host:port/database, with special characters of "
            "the password written as %XX (it is not shown here)",
            path="address",
        ) from None  # what libpq says may quote the password
    schema = dict(pairs).get("schema", "outlast")
    postgres_dialect(schema)
    return PostgresAddress(_name(words, schema), schema, {**_DEFAULTS, **words})


def _check_whole(fragment: str, words: dict[str, Any]) -> None:
    """Refuse an address that a special character has cut at the wrong place, so that a part of the password is a name.

    Raises:
        ValueError: It seems to be.
    """
    names = f"{words.get('host', '')}{words.get('dbname', '')}"
    if fragment or "@" in names or not re.fullmatch(r"[0-9,]*", str(words.get("port", ""))):
        raise ValueError


def postgres_dialect(schema: str) -> Dialect:
    """Return how the tables of a schema are named.

    Raises:
        ConfigError: It cannot be the name of a schema.
    """
    if not _SCHEMA.fullmatch(schema):
        raise ConfigError(f"is small letters, digits and _, not {schema!r}", path="schema")
    return Dialect("postgres", f'"{schema}".')


def _name(words: dict[str, Any], schema: str) -> str:
    host = words.get("host") or words.get("hostaddr") or ""
    port = f":{words['port']}" if "port" in words else ""
    name = f"postgresql://{host}{port}/{words.get('dbname', '')}"
    return name if schema == "outlast" else f"{name}?schema={schema}"
