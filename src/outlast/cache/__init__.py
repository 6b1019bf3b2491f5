"""Answer reads from the best source left, and say which it was.

A `Cache` keeps values in memory and, if told so, in a file; loads what is missing or old, once for each key at a
time; and answers with a stale value while the source fails or is slow, within the windows of its `Freshness`.
`SyncCache` is the same for threads.
"""

from outlast.cache._cache import Cache
from outlast.cache._codec import Codec, MsgspecCodec
from outlast.cache._result import CacheSnapshot, Loaded, Result, Source
from outlast.cache._sieve import Memory
from outlast.cache._sqlite_tier import SqliteTier
from outlast.cache._sync_cache import SyncCache
from outlast.engines import Freshness

__all__ = [
    "Cache",
    "CacheSnapshot",
    "Codec",
    "Freshness",
    "Loaded",
    "Memory",
    "MsgspecCodec",
    "Result",
    "Source",
    "SqliteTier",
    "SyncCache",
]
