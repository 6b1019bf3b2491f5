import gc

import pytest

from outlast.errors import ConfigError, DuplicateNameError
from outlast.policies import CircuitBreaker
from outlast.registry import Component, HasHealth, HasMetrics, MetricFamily, Registry


class Lamp:
    """A component."""

    def __init__(self, name, registry):
        self.name = name
        registry.register("lamp", self)

    def snapshot(self):
        """Return a state."""
        return f"{self.name} is on"

    def health(self):
        """Be well."""
        return "healthy", ""

    def metric_families(self):
        """Have one."""
        return [MetricFamily("lamps", "gauge", "Lamps that are on.", (({}, 1.0),))]


def test_components_are_found_by_kind_and_name():
    """What is alive is found, listed in order, and shown."""
    registry = Registry()
    desk, attic = Lamp("desk", registry), Lamp("attic", registry)
    breaker = CircuitBreaker("b", registry=registry)

    assert registry.get("lamp", "desk") is desk
    assert registry.components("lamp") == [attic, desk]
    assert registry.components() == [breaker, attic, desk]
    assert registry.snapshot()["lamp", "desk"] == "desk is on"


def test_a_second_live_one_is_refused():
    """A name is taken while its holder lives; the error says how to share the holder."""
    registry = Registry()
    holder = Lamp("desk", registry)

    with pytest.raises(DuplicateNameError, match=r"registry.get\('lamp', 'desk'\)"):
        Lamp("desk", registry)
    assert registry.get("lamp", "desk") is holder


def test_the_dead_are_forgotten():
    """A dead component frees its name and leaves the lists, also when it died in a cycle."""
    registry = Registry()
    lamp = Lamp("desk", registry)
    lamp.itself = lamp
    del lamp
    lamp = Lamp("desk", registry)
    del lamp
    gc.collect()

    assert registry.components() == []
    assert registry.snapshot() == {}


def test_unknown_names_the_known():
    """Asking for what is not there lists what is."""
    registry = Registry()
    lamp = Lamp("desk", registry)

    with pytest.raises(ConfigError, match="there are: desk"):
        registry.get("lamp", "dusk")
    with pytest.raises(ConfigError, match="there are: none"):
        registry.get("chair", lamp.name)


def test_protocols_are_checkable():
    """What a component declares can be found out."""
    lamp = Lamp("desk", Registry())

    assert isinstance(lamp, Component)
    assert isinstance(lamp, HasHealth)
    assert isinstance(lamp, HasMetrics)
    assert not isinstance(object(), Component)
