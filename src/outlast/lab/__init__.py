"""Fault lab: an example API, a proxy that breaks it, a workload, and observers that count what came of it.

Every part is a module that runs as a process of its own (`python -m outlast.lab.proxy --help`). Nothing is imported
here, so that the observer, which judges the rest, loads without any of it.
"""

from __future__ import annotations

__all__: list[str] = []
