"""What the tests of a cache's file do to it, and what they put in its place."""

import threading
from concurrent.futures import Future

from outlast.cache import SqliteTier
from outlast.registry import Registry


def reopen(face, cache, path, **options):
    """Close a cache and make another on the same file, as a new process would."""
    face.close(cache)
    face.registry = Registry()
    return face.make(disk=SqliteTier(path), **options)


def hold_writer(tier):
    """Keep the writer thread busy until the returned event is set."""
    go = threading.Event()
    tier._database.write(lambda db: go.wait(10))
    return go


def never(key):
    """Be a loader that must not be asked."""
    raise AssertionError(key)


def failed(error):
    """Return a future that failed."""
    future = Future()
    future.set_exception(error)
    return future
