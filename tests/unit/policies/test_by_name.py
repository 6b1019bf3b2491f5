"""Breakers and bulkheads that need nothing but a name."""

import asyncio
import gc
import inspect
import threading

import pytest

from outlast.errors import CircuitOpenError, ConfigError, DuplicateNameError
from outlast.policies import (
    CircuitBreaker,
    depends_on_bulkhead,
    depends_on_circuit_breaker,
    depends_on_slot,
    execute_with_bulkhead,
    execute_with_circuit_breaker,
    named_bulkhead,
    named_circuit_breaker,
)
from outlast.registry import DEFAULT_REGISTRY, Registry


def away():
    """Be away."""
    raise ConnectionError


def test_calls_of_one_name_share_one_breaker(face):
    """The first call makes it, later ones need no settings, sync or async."""
    registry = face.registry
    execute = execute_with_circuit_breaker
    for _ in range(2):
        with pytest.raises(ConnectionError):
            run(face, execute, away, registry, failure_threshold=2)

    with pytest.raises(CircuitOpenError):
        run(face, execute, away, registry)
    assert registry.get("circuit_breaker", "mail").state.value == "open"


def run(face, execute, body, registry, **settings):
    """Execute by name in the colour of the face."""
    fn = face.function(body)
    if face.colour == "sync":
        return execute(fn, "mail", registry=registry, **settings)

    async def go():
        return await execute(fn, "mail", registry=registry, **settings)

    return face.runner.run(go())


def test_bulkhead_shows_how_busy_it_is(face):
    """Utilisation and queue depth are readable while calls run."""
    registry = face.registry
    bulkhead = named_bulkhead("mail", registry=registry, max_concurrent=4)

    assert run(face, execute_with_bulkhead, lambda: (bulkhead.utilisation, bulkhead.queue_depth), registry) == (0.25, 0)
    assert (bulkhead.utilisation, bulkhead.queue_depth) == (0.0, 0)


def test_settings_that_disagree_are_refused():
    """The same name with other settings shows both, and changes nothing."""
    registry = Registry()
    execute_with_circuit_breaker(dict, "db", registry=registry, failure_threshold=5, open_for=300)

    with pytest.raises(ConfigError, match=r"alive with failure_threshold=5, and this call says failure_threshold=3"):
        execute_with_circuit_breaker(dict, "db", registry=registry, failure_threshold=3, open_for=300)
    with pytest.raises(ConfigError, match=r"db.failure_treshold: unknown setting") as caught:
        execute_with_circuit_breaker(dict, "db", registry=registry, failure_treshold=3)
    assert caught.value.suggestion == "failure_threshold"
    with pytest.raises(ConfigError, match="max_concurrent=10, and this call says max_concurrent=5"):
        named_bulkhead("db", registry=registry) and named_bulkhead("db", registry=registry, max_concurrent=5)


def test_what_was_made_in_code_is_shared_too():
    """A breaker that stands under the name already is the one."""
    registry = Registry()
    breaker = CircuitBreaker("db", failure_threshold=9, registry=registry)

    assert named_circuit_breaker("db", registry=registry, failure_threshold=9) is breaker


def test_it_stays_until_it_is_dropped():
    """Nobody holds it but the registry, until that lets go."""
    registry = Registry()
    named_bulkhead("db", registry=registry)
    gc.collect()
    assert [each.name for each in registry.components()] == ["db"]

    registry.drop("bulkhead", "db")
    registry.drop("bulkhead", "never was there")
    gc.collect()
    assert registry.components() == []


def test_threads_make_one():
    """Threads that meet at a new name get the same."""
    registry, seen, start = Registry(), [], threading.Barrier(8)

    def work():
        start.wait()
        seen.extend(named_bulkhead(f"b{number}", registry=registry) for number in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(each) for each in seen}) == 50


def test_a_name_that_another_thread_took_meanwhile():
    """Who comes second takes the first one's; a factory that never succeeds is not tried for ever."""
    registry = Registry()
    winner = []

    def late():
        if not winner:
            winner.append(CircuitBreaker("db", registry=registry))
            raise DuplicateNameError
        raise AssertionError

    assert registry.shared("circuit_breaker", "db", late) is winner[0]
    with pytest.raises(DuplicateNameError):
        registry.shared("circuit_breaker", "other", raise_duplicate)


def raise_duplicate():
    """Never succeed."""
    raise DuplicateNameError


async def test_dependencies_take_no_arguments():
    """A framework may call them without knowing anything, and gets the same object every time."""
    registry = Registry()
    breaker = depends_on_circuit_breaker("db", registry=registry, failure_threshold=2)
    bulkhead = depends_on_bulkhead("db", registry=registry)
    slot = depends_on_slot("db", registry=registry)

    assert [len(inspect.signature(each).parameters) for each in (breaker, bulkhead, slot)] == [0, 0, 0]
    assert breaker() is breaker() is named_circuit_breaker("db", registry=registry)
    assert inspect.isasyncgenfunction(slot)
    held = slot()
    assert (await anext(held)) is bulkhead()
    assert bulkhead().utilisation == 0.1
    with pytest.raises(asyncio.CancelledError):
        await held.athrow(asyncio.CancelledError())
    assert bulkhead().utilisation == 0.0


def test_default_registry_is_the_shared_one():
    """Without a registry the default one is used."""
    execute_with_bulkhead(dict, "test-by-name-default")
    execute_with_circuit_breaker(dict, "test-by-name-default")

    assert DEFAULT_REGISTRY.get("bulkhead", "test-by-name-default").utilisation == 0
    for kind in ("bulkhead", "circuit_breaker"):
        DEFAULT_REGISTRY.drop(kind, "test-by-name-default")
