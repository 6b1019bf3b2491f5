"""The only importers of database drivers, and what they need to know of the machine."""

from outlast.storage._connection import Connection, Cursor
from outlast.storage._extras import require
from outlast.storage._host import FileLock, boot_id
from outlast.storage._sqlite import FileFormat, SqliteDatabase

__all__ = ["Connection", "Cursor", "FileFormat", "FileLock", "SqliteDatabase", "boot_id", "require"]
