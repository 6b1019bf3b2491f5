"""The ways in which the fault proxy can break an API, and their form as JSON.

In JSON a fault is an object whose member `fault` names it; the other members are the fields:
`{"fault": "latency", "seconds": 2.0}`, `{"fault": "black-hole", "applied_share": 0.5}`, `{"fault": "healthy"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Final

_ERROR_CLASSES: Final = (4, 5)


@dataclass(frozen=True, slots=True)
class Healthy:
    """Forward every request and every answer unchanged."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse connections, and reset those that are open.

    The port stays bound without listening, so a connect gets ECONNREFUSED and no other process can take the port.
    """


@dataclass(frozen=True, slots=True)
class Latency:
    """Forward at once, and hold every answer.

    The server has applied the request long before the client knows, as with a slow server; a client that gives up
    early leaves an applied write behind.

    Args:
        seconds: How long an answer is held, >= 0.
    """

    seconds: float

    def __post_init__(self) -> None:
        """Refuse a negative time."""
        _refuse_unless(self.seconds >= 0, f"latency: seconds must be >= 0, not {self.seconds!r}")


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with an error.

    Args:
        code: Status of the answer, 400 to 599.
        retry_after: Seconds for the Retry-After header. Default none.
        applied_share: Share of requests, 0 to 1, that are forwarded and applied first, as when a server fails after
            its commit. Default 0.
    """

    code: int
    retry_after: int | None = None
    applied_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not an error, and a share out of range."""
        _refuse_unless(self.code // 100 in _ERROR_CLASSES, f"status: code must be 400 to 599, not {self.code!r}")
        _check_share("status", self.applied_share)


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Accept every byte and answer nothing.

    A request that is held here stays silent until its client goes away or the proxy closes, also when the fault is
    changed meanwhile: a packet that was lost does not come back when the network does.

    Args:
        applied_share: Share of requests, 0 to 1, that reach the server; their answers are swallowed. Default 0.5.
    """

    applied_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a share out of range."""
        _check_share("black-hole", self.applied_share)


@dataclass(frozen=True, slots=True)
class DropAnswer:
    """Forward and apply, then reset the connection before any byte of the answer.

    Args:
        share: Share of answers, 0 to 1, that are dropped; the others are forwarded. Default 1.
    """

    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a share out of range."""
        _check_share("drop-answer", self.share)


Fault = Healthy | Refuse | Latency | Status | BlackHole | DropAnswer

_KINDS: Final[Mapping[str, type[Fault]]] = MappingProxyType(
    {
        "healthy": Healthy,
        "refuse": Refuse,
        "latency": Latency,
        "status": Status,
        "black-hole": BlackHole,
        "drop-answer": DropAnswer,
    }
)


def fault_name(fault: Fault) -> str:
    """Return the name that stands for this kind of fault in JSON and in logs."""
    return next(name for name, kind in _KINDS.items() if isinstance(fault, kind))


def dump_fault(fault: Fault) -> dict[str, Any]:
    """Return the fault as the JSON object that `parse_fault` reads."""
    return {"fault": fault_name(fault), **asdict(fault)}


def parse_fault(value: Mapping[str, Any]) -> Fault:
    """Read a fault from its JSON object.

    Raises:
        ValueError: An unknown fault, or an unknown, missing or wrong member; the message says which.
    """
    name = value.get("fault")
    kind = _KINDS.get(str(name))
    if kind is None:
        raise ValueError(f"unknown fault {name!r}; known are {', '.join(_KINDS)}")
    members = {key: member for key, member in value.items() if key != "fault"}
    try:
        return kind(**members)
    except TypeError as error:
        known = ", ".join(field.name for field in fields(kind)) or "no members"
        raise ValueError(f"{name} has {known}; {members} does not fit") from error


def _check_share(fault: str, share: float) -> None:
    _refuse_unless(0.0 <= share <= 1.0, f"{fault}: a share lies between 0 and 1, not {share!r}")


def _refuse_unless(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


__all__ = [
    "BlackHole",
    "DropAnswer",
    "Fault",
    "Healthy",
    "Latency",
    "Refuse",
    "Status",
    "dump_fault",
    "fault_name",
    "parse_fault",
]
