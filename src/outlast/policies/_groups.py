"""Look into exception groups."""

from __future__ import annotations


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return what an exception group holds, or nothing when it is none.

    >>> members(ExceptionGroup("two", [ValueError("a"), ValueError("b")]))
    (ValueError('a'), ValueError('b'))
    >>> members(ValueError("alone"))
    ()
    """
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    held: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return held
