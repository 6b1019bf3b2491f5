"""Import optional drivers with an error that says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from outlast.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module of an extra.

    Args:
        module: The module to import.
        extra: The extra of outlast that brings it.
        purpose: What it is needed for, in a few words.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f'{purpose} needs {module}, which is not installed; run: pip install "outlast[{extra}]"'
        ) from error
