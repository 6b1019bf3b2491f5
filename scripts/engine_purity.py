"""Hold the engines pure: no clock, no chance, no input or output, no threads, no event loop.

An engine may import the error types, its fellow engines, and the short list of the standard library below. It may not
reach the outside by a built-in either, nor ask a clock that somebody handed to it: `now` is a parameter.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from house import imports, modules, parse, report

STANDARD = frozenset(
    {
        "__future__",
        "abc",
        "array",
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "itertools",
        "json",
        "math",
        "types",
        "typing",
    }
)
"""Modules of the standard library that hold no clock, chance, input or output, threads or loops."""

PARTS = {"email.utils": frozenset({"mktime_tz", "parsedate_to_datetime", "parsedate_tz"})}
"""Modules of which only these names are pure."""

OUTSIDE = frozenset({"__import__", "breakpoint", "eval", "exec", "globals", "input", "open", "print"})
"""Built-ins that reach outside of the engine."""

CLOCKS = frozenset({"monotonic", "now", "perf_counter", "time", "today", "utcnow"})
"""Methods that read a clock, on whatever object."""


def violations(source: Path) -> list[str]:
    """Return one line for each impure spot in the engines below `source`."""
    found: list[str] = []
    for path in modules(source / "outlast" / "engines"):
        tree = parse(path)
        spots = sorted({*_imports(tree), *_spots(tree)})
        found += [f"{path.relative_to(source)}:{line}: {what}" for line, what in spots]
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for line, module, names in imports(tree):
        if not _allowed(module, names):
            listed = f" ({', '.join(names)})" if names else ""
            yield line, f"an engine may not import {module}{listed}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "an engine may not import by a relative name"


def _allowed(module: str, names: tuple[str, ...] | None) -> bool:
    if module in PARTS:
        return names is not None and PARTS[module].issuperset(names)
    if module == "outlast._lazy":
        return True  # loads modules, no more
    if module == "outlast":
        return names is not None and {"engines", "errors"}.issuperset(names)
    room = ".".join(module.split(".")[:2])
    return module in STANDARD or room in {"outlast.engines", "outlast.errors"}


def _spots(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in OUTSIDE:
                yield node.lineno, f"an engine may not call {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                yield node.lineno, f"an engine may not read a clock: .{name}()"
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield node.lineno, "an engine may not wait: async belongs in its face"
            case ast.Global():
                yield node.lineno, "an engine may not keep state in its module: global"
            case _:
                pass


if __name__ == "__main__":
    sys.exit(report(violations, "engines are pure"))
