"""Addresses of an HTTP API: one origin, no secrets in what is stored or shown, and no name that leads elsewhere."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from outlast.errors import ConfigError
from outlast.outbox import Op

_PORTS: Final = {"http": 80, "https": 443}
_FIELDS: Final = frozenset({"kind", "entity"})

Route = str | Callable[[Op], str]


@dataclass(frozen=True, slots=True)
class Address:
    """Hold where an API is.

    Args:
        base: The address that paths are joined to; it ends in a slash and holds no credentials.
        origin: Scheme, host and port.
        login: The header for the user and password that the address came with.
    """

    base: str
    origin: str
    login: Mapping[str, str]

    @classmethod
    def parse(cls, base_url: str) -> Address:
        """Take an address apart.

        Raises:
            ConfigError: It is not an absolute http or https one, or has a query or fragment.
        """
        parts = _split(base_url)
        if parts.query or parts.fragment:
            raise ConfigError(f"{redacted(base_url)!r} must not have a query or a fragment", path="base_url")
        user, found, host = parts.netloc.rpartition("@")
        path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
        origin = f"{parts.scheme}://{host}"
        return cls(f"{origin}{path}", origin, _login(user) if found else {})


def _split(base_url: str) -> SplitResult:
    try:
        parts = urlsplit(base_url)
        if parts.scheme in _PORTS and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # a port that is no number, or half of an IPv6 address
        pass
    raise ConfigError(f"{redacted(base_url)!r} is not an absolute http or https address", path="base_url")


def landing(base: str, place: str) -> SplitResult | None:
    """Return the address that a place leads to from another one, None if it is none that could be asked."""
    try:
        parts = _split(urljoin(base, place))
    except ValueError:
        return None
    return None if "@" in parts.netloc else parts


def _login(user: str) -> Mapping[str, str]:
    return {"Authorization": f"Basic {b64encode(unquote(user).encode()).decode()}"}


def redacted(address: str) -> str:
    """Return an address without the user and password that it may hold."""
    before, found, rest = address.rpartition("@")
    return f"{before.partition('//')[0]}//{rest}" if found and "//" in before else address


def origin_of(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port in one form, so that they can be compared."""
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def check_route(route: Route) -> Route:
    """Return a route that can be filled.

    Raises:
        ConfigError: It has fields other than `{kind}` and `{entity}`.
    """
    if callable(route):
        return route
    try:
        fields = {name for _, name, _, _ in Formatter().parse(route) if name is not None}
    except ValueError as error:
        raise ConfigError(f"{route!r} cannot be read: {error}", path="route") from error
    if fields - _FIELDS:
        raise ConfigError(
            f"{route!r} may hold {{kind}} and {{entity}} only, not {min(fields - _FIELDS)!r}", path="route"
        )
    return route


def segment(name: str) -> str:
    """Return a name as one part of a path.

    Raises:
        ConfigError: It is `.` or `..`, which would lead to another place (RFC 3986 section 5.2.4).
    """
    if name in {".", ".."}:
        raise ConfigError(f"{name!r} cannot be a part of an address", path="entity")
    return quote(name, safe="")
