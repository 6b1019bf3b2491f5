"""Say what a key is."""

from __future__ import annotations

from outlast.errors import ConfigError


def key_text(key: object) -> str:
    """Return the text under which a key is stored; a whole number and its digits are one key.

    Keys are named by the caller and never made up from a function's name or arguments.

    Raises:
        ConfigError: It is neither text nor a whole number.

    >>> key_text(7)
    '7'
    """
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise ConfigError(f"a key is text or a whole number, not {type(key).__name__}; write it out", path="key")
    text = str(key)
    try:
        return text if text.isascii() else text.encode().decode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"a key must be text that UTF-8 can hold: {error}", path="key") from error
