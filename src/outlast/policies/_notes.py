"""Add what a policy knows to an exception that is not its own."""

from __future__ import annotations

from contextlib import suppress


def note(error: BaseException, head: str, text: str) -> None:
    """Add a note to an exception, in place of an earlier one that begins alike.

    An exception object may be raised again and again (a module's constant, say): notes must not pile up.
    One that takes no notes, such as a frozen dataclass, stays as it is: it is the user's, and goes to the user.

    Args:
        error: The exception.
        head: How the note begins, different for each policy.
        text: The rest of it.

    >>> error = ValueError("x")
    >>> note(error, "outlast:", " first"), note(error, "outlast:", " second")
    (None, None)
    >>> error.__notes__
    ['outlast: second']
    """
    with suppress(AttributeError, TypeError):
        notes: list[str] = getattr(error, "__notes__", [])
        kept = [line for line in notes if not line.startswith(head)]
        if len(kept) != len(notes):
            notes[:] = kept
        error.add_note(head + text)
