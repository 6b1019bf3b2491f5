"""What every policy does with class methods, and with those who would copy it."""

import copy
import pickle

import pytest

from outlast.policies import (
    AdaptiveLimit,
    AdaptiveThrottle,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    SingleFlight,
    Timeout,
)
from outlast.registry import Registry


def pipeline():
    """Make one of two policies."""
    return Pipeline("methods", Retry(), CircuitBreaker(), registry=Registry())


MAKERS = {
    "adaptive-limit": AdaptiveLimit,
    "adaptive-throttle": AdaptiveThrottle,
    "bulkhead": Bulkhead,
    "chaos": lambda: Chaos(rate=0.0, fault=ConnectionError),
    "circuit-breaker": CircuitBreaker,
    "fallback": lambda: Fallback(value="instead"),
    "hedge": lambda: Hedge(delay=1.0, idempotent=True),
    "keyed": lambda: pipeline().keyed(lambda *_: "key", registry=Registry()),
    "pipeline": pipeline,
    "rate-limit": lambda: RateLimit(100),
    "retry": Retry,
    "single-flight": lambda: SingleFlight(key=lambda *args: args),
    "timeout": lambda: Timeout(5.0, mode="cooperative"),
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS)
def policy(request):
    """One of each kind."""
    return request.param()


def test_class_and_static_methods_can_be_decorated_in_either_order(policy):
    """A policy above @classmethod or @staticmethod is bound like one below it."""

    class Client:
        @policy
        @classmethod
        def above_class(cls, number):
            return (cls, number)

        @classmethod
        @policy
        def below_class(cls, number):
            return (cls, number)

        @policy
        @staticmethod
        def above_static(number):
            return number

        @staticmethod
        @policy
        def below_static(number):
            return number

    for client in (Client, Client()):
        assert client.above_class(1) == client.below_class(1) == (Client, 1)
        assert client.above_static(2) == client.below_static(2) == 2


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
def test_a_policy_is_not_copied(policy, duplicate):
    """Two objects that share half of a state would both be wrong; the error says what to do instead."""
    with pytest.raises(TypeError, match=f"{type(policy).__name__} cannot be copied.* fresh"):
        duplicate(policy)


def test_functions_that_are_decorated_are_copied_as_ever(policy):
    """A decorated function stays one object, as every function does."""

    def fn():
        return "fine"

    decorated = policy(fn)

    assert copy.deepcopy(decorated) is decorated
