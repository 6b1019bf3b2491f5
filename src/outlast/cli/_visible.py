"""Keep what others have written from doing anything but being read: to a terminal, to a line, to a reader of JSON."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

_ACTIVE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # but tab and newline
)


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return a text that does nothing to a terminal: no colours, no cursor, no title, no change of direction.

    Args:
        text: What a server, a program or a file has written.
        lines: Whether it may have lines. Default: it stays on one.

    >>> visible("a\x1b[2Jb\nc"), visible("a\nb", lines=True)
    ('a\\x1b[2Jb\\nc', 'a\nb')
    """
    shown = _ACTIVE.sub(_escape, text)
    return shown if lines else shown.replace("\n", "\\n").replace("\t", "\\t")


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that standard output can carry in its encoding, and that does nothing to a terminal.

    Half a pair of surrogates, which JSON may have and no encoding, is written as an escape.
    """
    text = _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, indent=indent, ensure_ascii=False))
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text
