"""The demands by theme, in the order of the page; a fault for each is in the module of the same name in mutants/."""

import importlib

THEMES = (
    "breaker_states",
    "breaker_probes",
    "breaker_stale",
    "breaker_verdicts",
    "breaker_windows",
    "breaker_streams",
    "breaker_callables",
    "breaker_world",
    "retry_attempts",
    "retry_waits",
    "retry_streams",
    "retry_load",
    "timeout_limits",
    "timeout_cancellation",
    "bulkhead_slots",
    "bulkhead_queue",
    "rate_limit",
    "hedge",
    "fallback",
    "single_flight",
)


def load():
    """Return the demands by name."""
    for theme in THEMES:
        importlib.import_module(f"rows.{theme}")
    return importlib.import_module("demand").ROWS
