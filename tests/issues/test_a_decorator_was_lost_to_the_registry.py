"""A named policy that was used as a decorator only was gone from the registry, though its function went on using it."""

import gc

import pytest

from outlast.errors import CircuitOpenError, DuplicateNameError
from outlast.policies import Bulkhead, CircuitBreaker, Pipeline, Retry
from outlast.registry import Registry
from outlast.testing import force_open


def decorated(registry, shape):
    """Decorate a function of some shape with a breaker that nothing else holds."""

    async def later():
        yield 1

    def items():
        yield 1

    async def soon():
        return 1

    breaker = CircuitBreaker("payments", registry=registry)
    return breaker({"sync": lambda: 1, "async": soon, "generator": items, "async generator": later}[shape])


@pytest.mark.parametrize("shape", ["sync", "async", "generator", "async generator"])
def test_a_decorator_is_found_by_its_name(shape):
    """As long as the function lives its breaker does: it is found, forced open, and keeps its name."""
    registry = Registry()
    fn = decorated(registry, shape)
    gc.collect()

    with pytest.raises(DuplicateNameError):
        CircuitBreaker("payments", registry=registry)
    with force_open("payments", registry=registry):
        if shape == "sync":
            with pytest.raises(CircuitOpenError):
                fn()

    del fn
    gc.collect()
    CircuitBreaker("payments", registry=registry)


def test_a_pipeline_and_all_in_it_are_found():
    """The same for a pipeline, and for a second policy around the first."""
    registry = Registry()

    @Bulkhead(name="outer", registry=registry)
    @Pipeline("whole", Retry(), CircuitBreaker("inner", registry=registry), registry=registry)
    def fn():
        return 1

    gc.collect()

    assert fn() == 1
    found = [
        registry.get(*each) for each in (("bulkhead", "outer"), ("pipeline", "whole"), ("circuit_breaker", "inner"))
    ]
    assert [each.name for each in found] == ["outer", "whole", "inner"]
