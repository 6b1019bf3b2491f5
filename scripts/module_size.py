"""Hold modules and functions small: 400 lines a module at the very most, a warning above 250; 25 lines a function.

A function's lines are those of its body without the docstring. Long functions are warnings, so that a long table of
cases is not cut in two for the sake of a number; long modules fail.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from house import SOURCE, modules, parse

HARD, SOFT, FUNCTION = 400, 250, 25


def violations(source: Path) -> list[str]:
    """Return one line for each module below `source` that is longer than the hard limit."""
    return [f"{name}: {lines} lines, more than {HARD}" for name, lines in _sizes(source) if lines > HARD]


def warnings(source: Path) -> list[str]:
    """Return one line for each module or function below `source` that is longer than it should be."""
    found = [f"{name}: {lines} lines, aim below {SOFT}" for name, lines in _sizes(source) if SOFT < lines <= HARD]
    for path in modules(source / "outlast"):
        for node, lines in _functions(parse(path)):
            if lines > FUNCTION:
                where = f"{path.relative_to(source)}:{node.lineno}"
                found.append(f"{where}: {node.name} has {lines} lines, aim below {FUNCTION}")
    return found


def _sizes(source: Path) -> Iterator[tuple[Path, int]]:
    for path in modules(source / "outlast"):
        yield path.relative_to(source), len(path.read_text(encoding="utf-8").splitlines())


def _functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def main() -> int:
    """Print what is too long; fail on modules above the hard limit."""
    source = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SOURCE
    too_long = violations(source)
    for line in warnings(source):
        print(f"warning: {line}")
    print("\n".join(too_long) if too_long else f"no module is longer than {HARD} lines")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
