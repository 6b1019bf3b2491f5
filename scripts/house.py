"""What the house checks have in common: reading modules, naming places, reporting findings.

A check is a function from the folder that holds the `outlast` package to a list of findings, one line each. Taking the
folder as an argument is what lets the tests plant violations in a copy.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"

Check = Callable[[Path], list[str]]


def modules(folder: Path) -> Iterator[Path]:
    """Yield every Python file below `folder`, in a stable order."""
    return iter(sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts))


def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.AST) -> Iterator[tuple[int, str, tuple[str, ...] | None]]:
    """Yield (line, module, names) for each import, wherever it stands; names is None for a plain `import module`.

    `importlib.import_module("module")` with a literal name counts as an import too.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from ((node.lineno, alias.name, None) for alias in aliases)
            case ast.ImportFrom(module=str(module), level=0, names=aliases):
                yield node.lineno, module, tuple(alias.name for alias in aliases)
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.Constant(value=str(module)), *_]
            ):
                if name in {"import_module", "__import__"}:
                    yield node.lineno, module, None
            case _:
                pass


def room(path: Path, source: Path) -> str:
    """Return the top-level room that a module of the package belongs to; `__init__` for the package's own face."""
    return path.relative_to(source / "outlast").parts[0].removesuffix(".py")


def report(check: Check, done: str) -> int:
    """Run `check` on the folder named on the command line (default `src`), print the findings, return the exit code."""
    findings = check(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else SOURCE)
    print("\n".join(findings) if findings else done)
    return 1 if findings else 0
