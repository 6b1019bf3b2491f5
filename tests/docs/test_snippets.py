"""Every Python block of the README and the documentation runs as written.

The blocks of one page share a namespace and run in order, in an empty folder, with `await` allowed at the top. A block
that cannot run says why above itself: `<!-- not run: needs your API -->`.
"""

import ast
import asyncio
import contextlib
import gc
import inspect
import re
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest

from house import ROOT

BLOCK = re.compile(
    r"(?P<skip><!-- not run: (?P<reason>.*?)-->\s*)?^```python[^\n]*\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A block of Python in a page: its first line there, its text, and why it is not run, if it is not."""

    line: int
    code: str
    reason: str | None


def blocks(text):
    """Return the Python blocks of a page, in order."""
    return [
        Block(
            line=text.count("\n", 0, match.start("code")),
            code=match["code"],
            reason=match["reason"].strip() if match["skip"] else None,
        )
        for match in BLOCK.finditer(text)
    ]


def run(page, found):
    """Run blocks one after the other in one namespace and one event loop; tracebacks point into the page."""
    namespace = {"__name__": "__main__"}
    with sigint_as_it_was(), asyncio.Runner() as runner:
        for block in found:
            tree = ast.increment_lineno(ast.parse(block.code, str(page)), block.line)
            code = compile(tree, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, namespace))
            else:
                exec(code, namespace)


@contextlib.contextmanager
def sigint_as_it_was():
    """Give Ctrl-C back: a web server that a page runs over several blocks leaves it to the first one's event loop."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_page_run(page, tmp_path, monkeypatch):
    """What a reader copies from a page works."""
    monkeypatch.chdir(tmp_path)
    found = blocks(page.read_text(encoding="utf-8"))

    if runnable := [block for block in found if block.reason is None]:
        run(page, runnable)
        gc.collect()  # named components of one page must not be alive on the next

    assert [block.line for block in found if block.reason == ""] == [], "a block is left out without a reason"


def test_blocks_share_a_namespace_and_may_await(tmp_path):
    """A later block uses the names of an earlier one, and waits where it likes."""
    page = "```python\nimport asyncio\nseen = [1]\n```\ntext\n```python\nawait asyncio.sleep(0)\nseen.append(2)\n```\n"
    found = blocks(f"{page}```python\nassert seen == [1, 2]\n```\n")

    run(tmp_path / "page.md", found)

    assert len(found) == 3


def test_failing_block_names_its_line_in_the_page():
    """The traceback of a wrong snippet points at the line of the page."""
    found = blocks("# title\n\n```python\nx = 1\nraise KeyError(x)\n```\n")

    with pytest.raises(KeyError) as caught:
        run(Path("page.md"), found)

    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.filename, last.lineno) == ("page.md", 5)


def test_block_with_a_reason_is_left_out():
    """`<!-- not run: reason -->` above a block keeps it from running."""
    found = blocks("<!-- not run: needs a server -->\n```python\nraise SystemExit\n```\n```python\nx = 1\n```\n")

    assert [block.reason for block in found] == ["needs a server", None]
