"""Keep real time out of the fast rings: nothing in tests/unit and tests/properties may really sleep.

Those tests run on a manual clock or a virtual loop. `time.sleep` and `asyncio.sleep` may be called with a literal 0
only, which yields and does not wait; any other way to get hold of `time.sleep` is refused too.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from house import ROOT, modules, parse

RINGS = ("unit", "properties")


def violations(tests: Path) -> list[str]:
    """Return one line for each call below `tests` that may really sleep."""
    found: list[str] = []
    for path in (path for ring in RINGS for path in modules(tests / ring)):
        tree = parse(path)
        found += [f"{path.relative_to(tests.parent)}:{line}: {what}" for line, what in _naps(tree)]
    return found


def _naps(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="time" | "asyncio" as module, names=names):
                if any(alias.name == "sleep" for alias in names):
                    yield node.lineno, f"call {module}.sleep by its full name, so that this check can see it"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time" | "asyncio" as module), attr="sleep"), args=args):
                if not (len(args) == 1 and isinstance(args[0], ast.Constant) and args[0].value == 0):
                    yield node.lineno, f"{module}.sleep really sleeps; use ManualClock or the virtual loop"
            case _:
                pass


def main() -> int:
    """Print the findings for the folder named on the command line (default `tests`), return the exit code."""
    found = violations(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "tests")
    print("\n".join(found) if found else "no unit or property test really sleeps")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
