"""Each library behind the same few methods; a module is loaded only when its library is asked for."""

import importlib

HOMES = {
    "outlast": "outlast_adapter",
    "nopanic": "nopanic_adapter",
    "interlock": "interlock_adapter",
    "grit": "grit_adapter",
    "circuitbreaker": "breakers",
    "aiobreaker": "breakers",
    "purgatory": "breakers",
    "pybreaker": "breakers",
    "hyx": "hyx_adapter",
    "tenacity": "retries",
    "stamina": "retries",
}


def load(names):
    """Return the adapters called `names`, or all."""
    found = {}
    for name in names or HOMES:
        module = importlib.import_module(f"adapters.{HOMES[name]}")
        found |= {adapter.name: adapter for adapter in module.ADAPTERS}
    return [found[name] for name in names or HOMES]
