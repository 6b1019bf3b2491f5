"""One pipeline per key: own state, bounded, and nobody's protection dropped for a newcomer."""

import asyncio
import gc
import threading

import pytest

from outlast.errors import BulkheadFullError, CircuitOpenError, ConfigError, DuplicateNameError
from outlast.policies import Bulkhead, CircuitBreaker, KeyedPipeline, Pipeline, Retry, Timeout
from outlast.registry import Registry


def make(face, max_keys=3, *policies):
    """A keyed pipeline with a breaker that opens at once, keyed by the first argument."""
    policies = policies or (CircuitBreaker("host", failure_threshold=1, **face.around, registry=face.registry),)
    pipeline = Pipeline("api", *policies, registry=face.registry)
    return pipeline.keyed(lambda host, *_: host, max_keys=max_keys, registry=face.registry)


def fail(_):
    """Be away."""
    raise ConnectionError


def answer(host):
    """Answer."""
    return f"hello from {host}"


def trip(face, keyed, *hosts):
    """Open the circuits of some keys."""
    for host in hosts:
        with pytest.raises(ConnectionError):
            face.call(keyed, face.function(fail), host)


def test_each_key_has_a_state_of_its_own(face):
    """One key's open circuit is nobody else's, and the rejection says whose it was."""
    keyed = make(face)
    trip(face, keyed, "a")

    with pytest.raises(CircuitOpenError) as caught:
        face.call(keyed, face.function(answer), "a")

    assert (caught.value.key, caught.value.operation) == ("a", "host[a]")
    assert face.call(keyed, face.function(answer), "b") == "hello from b"
    assert [event.source for event in face.seen.events if event.event_type == "CircuitOpened"] == ["host[a]"]


def test_decorated_functions_share_the_keys(face):
    """Functions that are decorated with it meet the same state, now and after a key was forgotten."""
    keyed = make(face, 1)
    bad, good = keyed(face.function(fail)), keyed(face.function(answer))
    assert face.run(good, "a") == "hello from a"
    assert face.run(good, "b") == "hello from b"
    with pytest.raises(ConnectionError):
        face.run(bad, "b")
    with pytest.raises(CircuitOpenError):
        face.run(good, "b")


def test_the_least_recently_used_is_forgotten(face):
    """When all places are taken, the key that was not used for longest goes."""
    keyed = make(face, 2)
    for host in "abac":
        face.call(keyed, face.function(answer), host)

    snapshot = keyed.snapshot()
    assert list(snapshot.members) == ["a", "c"]
    assert (len(keyed), snapshot.evicted, snapshot.refused) == (2, 1, 0)


def test_open_circuits_are_not_forgotten(face):
    """A key whose circuit is open stays, though it was not used for longest."""
    keyed = make(face, 2)
    trip(face, keyed, "a")
    for host in "bc":
        face.call(keyed, face.function(answer), host)

    assert list(keyed.snapshot().members) == ["a", "c"]
    with pytest.raises(CircuitOpenError):
        face.call(keyed, face.function(answer), "a")


def test_when_nobody_is_at_rest_the_newcomer_is_refused(face):
    """The bound holds and no open circuit is dropped: the call with the new key is refused."""
    keyed = make(face, 2)
    trip(face, keyed, "a", "b")

    with pytest.raises(BulkheadFullError, match="all 2 keys are in use or have open circuits") as caught:
        face.call(keyed, face.function(answer), "c")

    assert caught.value.key == "c"
    assert (len(keyed), keyed.snapshot().refused) == (2, 1)
    keyed.of("a").policies[0].reset()
    assert face.call(keyed, face.function(answer), "c") == "hello from c"


def test_a_key_can_be_forgotten_by_hand(face):
    """Forgetting makes room, whatever the state; a key that is forgotten begins anew."""
    keyed = make(face, 1)
    trip(face, keyed, "a")

    assert (keyed.forget("a"), keyed.forget("a")) == (True, False)
    assert face.call(keyed, face.function(answer), "b") == "hello from b"


def test_rejections_of_others_are_not_claimed(face):
    """A rejection that comes out of the function itself does not get this key."""
    keyed = make(face)
    other = CircuitBreaker("other", registry=face.registry, **face.around)
    other.force_open()

    with pytest.raises(CircuitOpenError) as caught:
        face.call(keyed, other(face.function(answer)), "a")

    assert (caught.value.policy, caught.value.key) == ("other", None)


async def test_calls_under_way_keep_their_key():
    """A key with a call in it is not forgotten, and is again at rest when the call was cancelled."""
    registry = Registry()
    keyed = Pipeline("api", Retry(), registry=registry).keyed(lambda host: host, max_keys=1, registry=registry)

    async def hang(_):
        await asyncio.sleep(99)

    call = asyncio.create_task(keyed.acall(hang, "a"))
    await asyncio.sleep(0)
    assert not keyed.idle()
    with pytest.raises(BulkheadFullError):
        await keyed.acall(hang, "b")
    call.cancel()
    await asyncio.wait([call])

    assert keyed.idle()
    assert keyed.of("b").name == "api[b]"


def test_streams_keep_their_key_until_they_end(face):
    """A stream is a call of its key from its first item until it is closed, finished or broken."""
    keyed = make(face, 1, Timeout(5.0, mode="cooperative", **face.around))
    bound = Pipeline("numbers", registry=face.registry).keyed(lambda: "n", max_keys=1, registry=face.registry)
    whole, broken, empty = (
        bound(face.generator(1, 2, 3)),
        bound(face.generator(1, EOFError())),
        bound(face.generator()),
    )

    assert face.take(whole) == [1, 2, 3]
    assert face.take(whole, most=1) == [1]
    assert face.take(empty) == []
    with pytest.raises(EOFError):
        face.take(broken)
    with pytest.raises(EOFError):
        face.take(bound(face.generator(EOFError())))
    assert bound.idle()
    assert keyed.idle()


async def test_a_function_that_returns_an_awaitable():
    """What a plain function gives to await is a call of the key while it is awaited; a future passes as it is."""
    registry = Registry()
    keyed = Pipeline("api", Retry(), registry=registry).keyed(lambda host: host, registry=registry)
    future = asyncio.get_running_loop().create_future()
    future.set_result("later")

    async def soon(host):
        return len(host), keyed.idle()

    def says_nothing(host):
        return soon(host)

    assert await keyed.call(says_nothing, "a") == (1, False)
    assert await keyed.call(lambda host: future, "a") == "later"
    assert keyed.idle()


def test_settings_change_for_all_keys(face):
    """New settings reach the keys that are there, with their counts, and those to come."""
    keyed = make(face, 5, CircuitBreaker(failure_threshold=3, **face.around))
    trip(face, keyed, "a")

    lost = keyed.reconfigure([{"circuit_breaker": {"failure_threshold": 2}}])
    trip(face, keyed, "a", "b", "b")

    assert lost == ()
    for host in "ab":
        with pytest.raises(CircuitOpenError):
            face.call(keyed, face.function(answer), host)


def test_a_member_made_of_old_settings_is_made_again(face):
    """Settings that change while a key's policies are being made reach that key too."""
    keyed = make(face, 5, Bulkhead(3, **face.around))
    template = keyed._template
    fresh = template.fresh

    def late(key):
        member = fresh(key)
        if template.fresh is late:
            template.fresh = fresh
            keyed.reconfigure([{"bulkhead": 9}])
        return member

    template.fresh = late

    assert keyed.of("a").policies[0].settings()["max_concurrent"] == 9


def test_forgotten_keys_leave_nothing_behind(face):
    """After thousands of keys as many are there as fit, in wrapped functions too."""
    keyed = make(face, 4, Bulkhead(3, **face.around))
    fn = keyed(face.function(answer))
    for number in range(2000):
        face.run(fn, f"host-{number}")
    gc.collect()

    alive = [each for each in gc.get_objects() if type(each) is Bulkhead and each.name == "bulkhead"]
    assert len(keyed) == 4
    assert len(alive) <= 4 + 1 + 50  # the template, and what other tests still hold


def test_threads_make_one_member_for_a_key():
    """Threads that meet at a new key get the same policies, and all places are free at the end."""
    registry = Registry()
    keyed = Pipeline("api", Bulkhead(2), registry=registry).keyed(lambda key: key, max_keys=8, registry=registry)
    seen, start = set(), threading.Barrier(8)

    def work():
        start.wait()
        for number in range(300):
            seen.add((number % 4, keyed.of(number % 4)))
            keyed.call(abs, number % 4)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == len(keyed) == 4
    assert keyed.idle()


def test_it_is_a_policy(face):
    """It is registered, described, and can stand in another pipeline, whose linter looks inside."""
    keyed = make(face, 3, Retry(4, **face.around), Timeout(1.0, **face.around))
    outer = Pipeline("outer", keyed, registry=face.registry)

    assert face.registry.get("keyed_pipeline", "api") is keyed
    assert keyed.describe() == "for each of up to 3 keys: pipeline 'api': Retry > Timeout"
    assert outer.explain().worst == keyed._template.explain().worst
    assert [finding.code for finding in outer.lint()] == ["idempotence-not-said"]
    assert repr(keyed).endswith("keys=0, max_keys=3)")
    assert [policy.settings() for policy in keyed.policies] == [policy.settings() for policy in keyed.of("x").policies]
    with pytest.raises(DuplicateNameError):
        keyed._template.keyed(len, registry=face.registry)


@pytest.mark.parametrize(("key", "max_keys"), [(None, 5), (len, 0)], ids=["no-function", "no-room"])
def test_nonsense_is_refused(key, max_keys):
    """A key that is no function and a bound that lets nobody in are refused."""
    with pytest.raises(ConfigError):
        KeyedPipeline(Pipeline("api", registry=Registry()), key, max_keys=max_keys, registry=Registry())


def test_key_that_cannot_be_told_is_the_callers_error(face):
    """An exception of the key function, or a key that is not hashable, comes out as it is."""
    keyed = make(face)

    with pytest.raises(TypeError, match="unhashable"):
        face.call(keyed, face.function(answer), [])
    assert keyed.idle()
