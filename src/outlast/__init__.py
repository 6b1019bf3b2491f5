"""Keep a Python program working while the things it depends on fail.

Reads keep answering, from the best source left. Writes are never lost: they wait in an outbox until they are delivered.
You can see why: every decision on the way is a typed event.

Every public name is loaded when it is first used, so `import outlast` itself costs next to nothing and needs nothing
outside the standard library.
"""

from typing import TYPE_CHECKING

__all__ = [
    "Backoff",
    "Bulkhead",
    "Cache",
    "CircuitBreaker",
    "CircuitOpenError",
    "CircuitState",
    "Fallback",
    "Freshness",
    "Hedge",
    "Outbox",
    "OutlastError",
    "Pipeline",
    "RateLimit",
    "Retry",
    "Store",
    "Timeout",
    "__version__",
    "deadline",
]

if TYPE_CHECKING:
    from outlast.cache import Cache
    from outlast.engines import Backoff, CircuitState, Freshness
    from outlast.errors import CircuitOpenError, OutlastError
    from outlast.outbox import Outbox
    from outlast.policies import (
        Bulkhead,
        CircuitBreaker,
        Fallback,
        Hedge,
        Pipeline,
        RateLimit,
        Retry,
        Timeout,
        deadline,
    )
    from outlast.store import Store

    __version__: str
else:
    # Public name -> the room that defines it. A new name is added here, above for type checkers, and to __all__.
    _ROOMS = {
        "Backoff": "outlast.engines",
        "Bulkhead": "outlast.policies",
        "Cache": "outlast.cache",
        "CircuitBreaker": "outlast.policies",
        "CircuitOpenError": "outlast.errors",
        "CircuitState": "outlast.engines",
        "Fallback": "outlast.policies",
        "Freshness": "outlast.engines",
        "Hedge": "outlast.policies",
        "Outbox": "outlast.outbox",
        "OutlastError": "outlast.errors",
        "Pipeline": "outlast.policies",
        "RateLimit": "outlast.policies",
        "Retry": "outlast.policies",
        "Store": "outlast.store",
        "Timeout": "outlast.policies",
        "deadline": "outlast.policies",
    }

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value = version("outlast")
        elif name in _ROOMS:
            from importlib import import_module

            value = getattr(import_module(_ROOMS[name]), name)
        else:
            raise AttributeError(f"module 'outlast' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
