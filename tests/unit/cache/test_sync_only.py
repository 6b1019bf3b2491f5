import contextvars
import os
import threading

import pytest

from outlast.cache import Freshness, SyncCache
from outlast.cache._threads import LoadThreads
from outlast.errors import DeadlineExceededError, ForkedError, OutlastError
from outlast.policies import deadline, remaining
from outlast.registry import Registry


def make(**numbers):
    """Make a cache of its own registry."""
    return SyncCache("users", freshness=Freshness(**numbers), registry=Registry())


def test_storm_of_threads_loads_each_key_once():
    """However the threads meet, a key is loaded once."""
    calls, lock, together = [], threading.Lock(), threading.Barrier(16)

    def load(key):
        with lock:
            calls.append(key)
        return key * 2

    def work():
        together.wait()
        found.extend(cache.get_or_load(key, load) for key in range(50))

    with make() as cache:
        found = []
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(calls) == list(range(50))
    assert sorted(found) == sorted([key * 2 for key in range(50)] * 16)


def test_loader_sees_the_callers_context():
    """Context variables of the reader are visible in the loader, and what the loader sets stays there."""
    tenant = contextvars.ContextVar("tenant", default="none")
    tenant.set("acme")

    def load(key):
        seen = tenant.get()
        tenant.set("changed")
        return seen

    with make() as cache:
        assert cache.get_or_load("k", load) == "acme"
    assert tenant.get() == "acme"


def test_hung_loads_do_not_keep_close_or_exit_waiting():
    """Threads of loads are daemons, and closing waits for them no longer than a load may take."""
    never, seen = threading.Event(), []

    def load(key):
        seen.append(threading.current_thread().daemon)
        never.wait()

    cache = make(load_timeout=0.02)
    with pytest.raises(DeadlineExceededError):
        cache.read("k", load)
    cache.close()

    assert seen == [True]
    never.set()


def test_more_loads_than_threads_wait_their_turn():
    """Loads beyond the number of threads are queued, and an idle thread is used again."""
    threads, done, seen = LoadThreads("test", 2), threading.Barrier(2), []

    def job():
        seen.append(threading.current_thread().name)
        if len(seen) == 6:
            finished.set()

    finished = threading.Event()
    threads.submit(done.wait)
    threads.submit(done.wait)
    for _ in range(6):
        threads.submit(job)
    assert finished.wait(10)
    threads.close(10)
    threads.submit(job)

    assert len(seen) == 6
    assert not [thread for thread in threading.enumerate() if thread.name == "test"]


def test_loader_that_raises_beyond_exceptions_still_ends_its_load():
    """A loader that asks for the end of the program ends its load only; its readers do not wait."""

    def load(key):
        raise SystemExit

    with make() as cache:
        with pytest.raises(OutlastError, match=r"the loader of 'k' raised SystemExit\(\)"):
            cache.read("k", load)
        assert cache.get_or_load("k", str) == "k"


def test_cache_from_before_a_fork_is_refused():
    """A child process may not use its parent's cache, and closing it there does nothing."""
    with make() as cache:
        cache.put("k", "v")
        child = os.fork()
        if child == 0:
            try:
                cache.peek("k")
            except ForkedError:
                cache.close()
                os._exit(0 if not cache._core._shelf.closed else 2)
            os._exit(1)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 0
        assert cache.peek("k").value == "v"


def test_the_deadline_of_the_first_reader_is_not_the_load_s():
    """A load serves whoever joins it, so the little time of the one who began it does not limit it."""
    with make() as cache, deadline(5.0):
        assert cache.read("k", lambda _: remaining() or "none").value == "none"
