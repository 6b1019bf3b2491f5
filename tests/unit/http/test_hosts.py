"""The pipelines of a transport, one for each origin, and not more than so many."""

from __future__ import annotations

import gc
import threading

import httpx2
import pytest

from outlast.errors import ConfigError
from outlast.http import ResilientTransport, default_pipeline
from outlast.http._hosts import OTHERS, Hosts
from outlast.policies import CircuitBreaker, Pipeline, Retry
from outlast.registry import DEFAULT_REGISTRY, Registry


def use(hosts, *origins):
    """Use the pipelines of some origins, one after the other."""
    for origin in origins:
        with hosts.use(origin) as pipeline:
            found = pipeline
    return found


def test_each_origin_has_its_own():
    """The factory is asked once for each origin."""
    asked = []
    hosts = Hosts(lambda origin: asked.append(origin) or Retry(), 10)

    assert use(hosts, "a", "b", "a", "b") is hosts.pipelines()["b"]
    assert asked == ["a", "b"]


def test_the_one_used_longest_ago_makes_room():
    """No more are kept than allowed."""
    hosts = Hosts(lambda origin: Retry(), 2)

    use(hosts, "a", "b", "a", "c")

    assert list(hosts.pipelines()) == ["a", "c"]


def test_a_busy_one_stays():
    """What is in use is not forgotten; further origins share one pipeline meanwhile."""
    hosts = Hosts(lambda origin: Retry(), 1)

    with hosts.use("a"):
        first, second = use(hosts, "b"), use(hosts, "c")
        assert (first is second, list(hosts.pipelines())) == (True, ["a", OTHERS])
    use(hosts, "b")

    assert list(hosts.pipelines()) == [OTHERS, "b"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_open_circuit_stays(wrapped):
    """To forget an open circuit would be to close it."""
    breakers = {}

    def make(origin):
        breakers[origin] = CircuitBreaker()
        return Pipeline(origin, Retry(), breakers[origin], registry=Registry()) if wrapped else breakers[origin]

    hosts = Hosts(make, 1)
    use(hosts, "a")
    breakers["a"].force_open()
    use(hosts, "b")
    assert list(hosts.pipelines()) == ["a", OTHERS]

    breakers["a"].reset()
    use(hosts, "b")
    assert list(hosts.pipelines()) == [OTHERS, "b"]


def test_a_factory_that_fails_is_asked_again():
    """Nothing half-made stays behind."""
    answers = iter([RuntimeError("no"), Retry()])

    def make(origin):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    hosts = Hosts(make, 1)

    with pytest.raises(RuntimeError):
        use(hosts, "a")
    assert hosts.pipelines() == {}
    assert isinstance(use(hosts, "a"), Retry)


def test_threads_get_the_same_one():
    """Those who come while it is made wait for it; the factory runs once, and outside of the lock."""
    begun, go_on, found = threading.Event(), threading.Event(), []

    def make(origin):
        begun.set()
        assert go_on.wait(5)
        return Retry()

    hosts = Hosts(make, 10)
    threads = [threading.Thread(target=lambda: found.append(use(hosts, "a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(5)
    assert hosts.pipelines() == {}
    go_on.set()
    for thread in threads:
        thread.join(5)

    assert len(found) == 4
    assert len({id(pipeline) for pipeline in found}) == 1


def test_not_less_than_one():
    """A transport without any pipeline is refused."""
    with pytest.raises(ConfigError, match="at least 1"):
        Hosts(default_pipeline, 0)


def test_the_default_is_shared_and_registered():
    """Two transports of a process know the same about an origin, and so does the registry."""
    origin = "http://shared.example:8080"
    got = {"inner": httpx2.MockTransport(lambda request: httpx2.Response(200))}
    transports = [ResilientTransport(**got), ResilientTransport(**got)]
    for transport in transports:
        with httpx2.Client(transport=transport) as client:
            client.get(f"{origin}/x")

    first, second = (transport.pipelines()[origin] for transport in transports)
    assert first is second is DEFAULT_REGISTRY.get("pipeline", f"http {origin}")
    assert [type(policy) for policy in first.policies] == [Retry, CircuitBreaker]

    del first, second, client, transport, transports
    gc.collect()
    with pytest.raises(ConfigError):
        DEFAULT_REGISTRY.get("pipeline", f"http {origin}")


def test_origins_are_told_apart():
    """Scheme, host and port make an origin; the path does not."""
    transport = ResilientTransport(
        httpx2.MockTransport(lambda request: httpx2.Response(200)), pipeline=lambda origin: Retry()
    )
    with httpx2.Client(transport=transport) as client:
        for url in ("http://a/x", "http://a/y", "http://a:81/x", "https://a/x", "http://b/x"):
            client.get(url)

    assert list(transport.pipelines()) == ["http://a", "http://a:81", "https://a", "http://b"]
