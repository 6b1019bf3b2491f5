"""A breaker held its lock while the user's function ran, so that threads waited for each other (pybreaker #3)."""

import threading

from outlast.policies import CircuitBreaker


def test_threads_run_side_by_side():
    """Calls in several threads are all inside the function at the same time."""
    breaker, together = CircuitBreaker(), threading.Barrier(5, timeout=10)
    threads = [threading.Thread(target=breaker.call, args=(together.wait,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not together.broken
    assert breaker.snapshot().calls == 5
