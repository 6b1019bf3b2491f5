"""What the fault proxy saw of one request: the record that tests and reports read afterwards."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from outlast.lab._wire import Message


@dataclass(slots=True)
class Exchange:
    """Hold what happened to one request; it is filled in while that happens.

    Args:
        at: Unix seconds at which the request had arrived whole.
        method: HTTP method.
        path: Request target, with its query.
        idempotency_key: Header Idempotency-Key, or None.
        if_match: Header If-Match, or None.
        if_none_match: Header If-None-Match, or None.
        body_sha256: Hexadecimal digest of the body.
        fault: Name of the fault that was active when the request had arrived.
        forwarded: All of the request was handed to the server.
        upstream_status: Status that the server answered with; None while or when it did not.
        answered: Status that was sent to the client while it was still there; None when nothing was.
    """

    at: float
    method: str
    path: str
    idempotency_key: str | None
    if_match: str | None
    if_none_match: str | None
    body_sha256: str
    fault: str
    forwarded: bool = False
    upstream_status: int | None = None
    answered: int | None = None

    @classmethod
    def of(cls, request: Message, *, at: float, fault: str) -> Exchange:
        """Start the record of a request that has just arrived."""
        return cls(
            at=at,
            method=request.method.decode("ascii"),
            path=request.target.decode("ascii"),
            idempotency_key=request.header(b"idempotency-key"),
            if_match=request.header(b"if-match"),
            if_none_match=request.header(b"if-none-match"),
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            fault=fault,
        )


class ExchangeLog:
    """Keep every exchange in memory, and as a line of JSON in a file once it has ended.

    Args:
        path: File to append to. Default none.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self._file = None if path is None else path.open("a", encoding="utf-8")

    def begin(self, exchange: Exchange) -> None:
        """Add an exchange whose request has arrived."""
        self.exchanges.append(exchange)

    def end(self, exchange: Exchange) -> None:
        """Write down an exchange of which nothing more will come."""
        if self._file is not None:
            self._file.write(json.dumps(asdict(exchange)) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


__all__ = ["Exchange", "ExchangeLog"]
