"""Keep real time out of the fast rings: nothing in tests/unit and tests/properties may really sleep.

`time.sleep` may be called with a literal 0 only, which yields and does not wait. `asyncio.sleep` is free in an
`async def` test, since tests/conftest.py runs those on a loop whose time is virtual; but a module that starts an event
loop of its own (`asyncio.run` and the like, without a `loop_factory`) may then call it with a literal 0 only.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from house import ROOT, modules, parse

RINGS = ("unit", "properties")
LOOPS = frozenset({"Runner", "new_event_loop", "run"})


def violations(tests: Path) -> list[str]:
    """Return one line for each call below `tests` that may really sleep."""
    found: list[str] = []
    for path in (path for ring in RINGS for path in modules(tests / ring)):
        tree = parse(path)
        real = {"time", "asyncio"} if _starts_a_loop(tree) else {"time"}
        found += [f"{path.relative_to(tests.parent)}:{line}: {what}" for line, what in _naps(tree, real)]
    return found


def _starts_a_loop(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="asyncio"), attr=name), keywords=keywords):
                if name in LOOPS and not any(keyword.arg == "loop_factory" for keyword in keywords):
                    return True
            case _:
                pass
    return False


def _naps(tree: ast.Module, real: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="time" | "asyncio" as module, names=names):
                if any(alias.name in {"sleep", *LOOPS} for alias in names):
                    yield (
                        node.lineno,
                        f"call it by its full name, {module}.{names[0].name}, so that this check can see it",
                    )
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr="sleep"), args=args) if module in real:
                if not (len(args) == 1 and isinstance(args[0], ast.Constant) and args[0].value == 0):
                    yield node.lineno, f"{module}.sleep really sleeps here; use ManualClock or the virtual loop"
            case _:
                pass


def main() -> int:
    """Print the findings for the folder named on the command line (default `tests`), return the exit code."""
    found = violations(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "tests")
    print("\n".join(found) if found else "no unit or property test really sleeps")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
