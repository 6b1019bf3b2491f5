"""Count the comments that silence a tool, and ask each for its code or reason.

- `type: ignore`, `pyright: ignore` and `noqa` name a code each, and there are fewer than 2 of them in 1,000 lines.
- `pragma: no cover` and `pragma: no branch` say why no test can get there: `# pragma: no cover - reason`.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from house import modules, report

PER_THOUSAND = 2
_SILENCER = re.compile(r"#\s*(?P<tool>type:\s*ignore|pyright:\s*ignore|noqa)(?P<rest>.*)", re.IGNORECASE)
_CODED = re.compile(r"\[[\w-]+(,\s*[\w-]+)*\]|:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*")
_PRAGMA = re.compile(r"#\s*pragma:\s*no\s*(?P<kind>cover|branch)(?P<rest>.*)", re.IGNORECASE)
_REASON = re.compile(r"\s*-\s*\S.{5,}")
_WHOLE_FILE = re.compile(r"#\s*(mypy|ruff|flake8|pyright|basedpyright):\s*(?!ignore\[)\S+", re.IGNORECASE)


def violations(source: Path) -> list[str]:
    """Return one line for each exemption below `source` without its code or reason, and one if there are too many."""
    found: list[str] = []
    count = lines = 0
    for path in modules(source / "outlast"):
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        for line, comment in _comments(text):
            count += _SILENCER.search(comment) is not None
            if (what := _judge(comment)) is not None:
                found.append(f"{path.relative_to(source)}:{line}: {what}")
    if count * 1000 >= PER_THOUSAND * lines and count > 0:
        found.append(f"{count} silencing comments in {lines} lines: there must be fewer than {PER_THOUSAND} in 1,000")
    return found


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _judge(comment: str) -> str | None:
    if (silencer := _SILENCER.search(comment)) and not _CODED.match(silencer["rest"]):
        return f"`{silencer['tool']}` without the code of what it silences"
    if (pragma := _PRAGMA.search(comment)) and not _REASON.match(pragma["rest"]):
        return f"`pragma: no {pragma['kind']}` without its reason"
    if silencer is None and _WHOLE_FILE.match(comment):
        return "a setting for a whole file belongs in pyproject.toml, with its reason"
    return None


if __name__ == "__main__":
    sys.exit(report(violations, f"fewer than {PER_THOUSAND} silencing comments in 1,000 lines, each with its code"))
