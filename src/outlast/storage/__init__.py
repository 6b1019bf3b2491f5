"""The only importers of database drivers, and what they need to know of the machine."""

from outlast.storage._borrowed import Borrowed, borrow, is_open_beside, recognise
from outlast.storage._cells import StoredRow
from outlast.storage._connection import Connection, Cursor, Session
from outlast.storage._database import Database, Lock
from outlast.storage._extras import require
from outlast.storage._host import FileLock, boot_id
from outlast.storage._layouts import Dialect, FileFormat
from outlast.storage._postgres import PostgresDatabase
from outlast.storage._postgres_address import is_address, postgres_dialect
from outlast.storage._quarantine import check_closed, check_unchanged, publish, quarantine, stamps
from outlast.storage._reading import Reading, open_reading
from outlast.storage._salvage import SalvageReader
from outlast.storage._scratch import scratch
from outlast.storage._sqlite import SqliteDatabase
from outlast.storage._writer import Batch, Failed

__all__ = [
    "Batch",
    "Borrowed",
    "Connection",
    "Cursor",
    "Database",
    "Dialect",
    "Failed",
    "FileFormat",
    "FileLock",
    "Lock",
    "PostgresDatabase",
    "Reading",
    "SalvageReader",
    "Session",
    "SqliteDatabase",
    "StoredRow",
    "boot_id",
    "borrow",
    "check_closed",
    "check_unchanged",
    "is_address",
    "is_open_beside",
    "open_reading",
    "postgres_dialect",
    "publish",
    "quarantine",
    "recognise",
    "require",
    "scratch",
    "stamps",
]
