"""Read a YAML file and remember on which line everything stands."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from outlast.errors import ConfigError, MissingExtraError


def join(path: str, step: str | int) -> str:
    """Return the path of something inside of something: `a.b` or `a[0]`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step


@dataclass(frozen=True, slots=True)
class Document:
    """Hold what a YAML file says, and where it says it.

    Args:
        file: The file as it was named.
        value: Mappings, lists and plain values. Keys are always text.
        lines: The line of each path, from 1.
    """

    file: str
    value: Any
    lines: dict[str, int] = field(default_factory=dict[str, int])

    def line_of(self, path: str) -> int:
        """Return the line of a path, or of the nearest thing around it.

        >>> Document("f", {}, {"a": 3, "a[0]": 4}).line_of("a[0].no.such")
        4
        """
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)

    @contextmanager
    def located(self) -> Generator[None]:
        """Add the file and the line to every ConfigError of a block."""
        try:
            yield
        except ConfigError as error:
            if not error.file:
                error.file, error.line = self.file, self.line_of(error.path)
            raise


def read_yaml(file: str | Path) -> Document:
    """Read a YAML file with plain values alone; nothing in it can make an object or run anything.

    Args:
        file: Its path.

    Raises:
        ConfigError: It cannot be read, is no YAML, names a key twice, or contains itself.
        MissingExtraError: PyYAML is not installed.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(file)) from error
    yaml = _yaml()
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        return _document(loader, node, str(file))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be understood"
        line = None if mark is None else mark.line + 1
        raise ConfigError(f"is not YAML: {problem}", file=str(file), line=line) from error


def _yaml() -> Any:
    try:
        return import_module("yaml")
    except ModuleNotFoundError as error:
        text = 'reading YAML needs PyYAML, which is not installed; run: pip install "outlast[service]"'
        raise MissingExtraError(text) from error


def _document(loader: Any, node: Any, file: str) -> Document:
    lines: dict[str, int] = {}
    document = Document(file, {} if node is None else _Walk(loader, lines).value(node, ""), lines)
    loader.dispose()
    return document


_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


class _Walk:
    """Turn nodes into values, keeping the line of each."""

    def __init__(self, loader: Any, lines: dict[str, int]) -> None:
        self._loader = loader
        self._lines = lines
        self._around: list[Any] = []

    def value(self, node: Any, path: str) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if any(node is outer for outer in self._around):
            raise self._problem("an alias that stands inside of what it stands for", node)
        if node.id != "scalar" and node.tag not in _TAGS:
            raise self._problem(f"a tag for which nothing is made here: {node.tag}", node)
        self._around.append(node)
        match node.id:
            case "mapping":
                value: Any = self._mapping(node, path)
            case "sequence":
                value = [self.value(item, join(path, number)) for number, item in enumerate(node.value)]
            case _:
                value = self._loader.construct_object(node)
        self._around.pop()
        return value

    def _mapping(self, node: Any, path: str) -> dict[str, Any]:
        self._refuse_twice(node)
        self._loader.flatten_mapping(node)  # puts what is merged in first, so that what is written here wins
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)  # as it is written: YAML 1.1 would read `on` as true
            here = join(path, key)
            self._lines[here] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, here)
        return result

    def _refuse_twice(self, node: Any) -> None:
        written: set[str] = set()
        for key_node, _ in node.value:
            if key_node.id != "scalar":
                raise self._problem("a key that is no plain text", key_node)
            if key_node.value in written:
                raise self._problem(f"the key {key_node.value!r} stands here twice", key_node)
            written.add(key_node.value)

    def _problem(self, text: str, node: Any) -> Exception:
        error: Exception = import_module("yaml").constructor.ConstructorError(None, None, text, node.start_mark)
        return error
