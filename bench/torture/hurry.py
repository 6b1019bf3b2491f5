"""Let an outbox come soon to what it comes to late in real life."""

from contextlib import contextmanager

from outlast.storage import _log, _sqlite


@contextmanager
def hurried(pages, commits):
    """Write logs back and take the disk for quick sooner than usual.

    Args:
        pages: After how many a log is written back.
        commits: After how many the event loop commits lone writes itself, however long that takes.
    """
    before = _log._LONG, _sqlite._OFTEN, _sqlite._QUICK  # noqa: SLF001 - nobody else has a reason to change them
    _log._LONG, _sqlite._OFTEN, _sqlite._QUICK = pages, commits, 60.0  # noqa: SLF001
    try:
        yield
    finally:
        _log._LONG, _sqlite._OFTEN, _sqlite._QUICK = before  # noqa: SLF001
