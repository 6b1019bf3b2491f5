"""The typed store: reads through the cache, writes through the outbox."""

from outlast.store._backend import Backend, Document, HttpBackend
from outlast.store._config import StoreConfig
from outlast.store._result import StoreResult, StoreSource
from outlast.store._store import Store

__all__ = ["Backend", "Document", "HttpBackend", "Store", "StoreConfig", "StoreResult", "StoreSource"]
