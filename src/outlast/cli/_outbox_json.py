"""What an outbox holds as JSON that loses nothing."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from outlast.outbox import Op, OpSheet, OpStatus, ParkedOp, Sealed


def body_as_json(name: str, body: bytes | None) -> dict[str, Any]:
    """Return a body under a name: as text, or in base 64 under the name with `_base64` if it is no text.

    >>> body_as_json("body", b'{"n":1}'), body_as_json("body", bytes([255]))
    ({'body': '{"n":1}'}, {'body_base64': '/w=='})
    """
    if body is None:
        return {name: None}
    try:
        return {name: body.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(body).decode()}


def status_as_json(status: OpStatus) -> dict[str, Any]:
    """Return where a write is in its life."""
    return {**asdict(status), "verb": None if status.verb is None else status.verb.value, "state": status.state.value}


def op_as_json(op: Op) -> dict[str, Any]:
    """Return a write with its bodies."""
    shown = {name: value for name, value in op._asdict().items() if name not in {"verb", "body", "base"}}
    return {**shown, "verb": op.verb.value, **body_as_json("body", op.body), **body_as_json("base", op.base)}


def parked_as_json(parked: ParkedOp) -> dict[str, Any]:
    """Return a write that waits for a decision, with both sides."""
    return {
        **op_as_json(parked.op),
        "state": parked.state.value,
        "reason": parked.reason,
        "attempts": parked.attempts,
        "at": parked.at,
        "found": parked.found,
        **body_as_json("theirs", parked.theirs),
        "etag": parked.etag,
        "report": parked.report,
    }


def sealed_as_json(sealed: Sealed) -> dict[str, Any]:
    """Return what is known of the sendings of a write."""
    request = sealed.request
    return {
        "method": request.method,
        "url": request.url,
        "headers": [list(pair) for pair in request.headers],
        "attempts": sealed.attempts,
        "due": sealed.due,
        "first_sent": sealed.first_sent,
        "reason": sealed.reason,
        "doubt": sealed.doubt,
        "status_url": sealed.status_url,
    }


def sheet_as_json(sheet: OpSheet) -> dict[str, Any]:
    """Return all that is held of a write as one flat object."""
    found = status_as_json(sheet.status)
    if sheet.op is not None:
        found |= op_as_json(sheet.op)
    if sheet.parked is not None:
        found |= parked_as_json(sheet.parked)
    if sheet.sealed is not None:
        found["sealed"] = sealed_as_json(sheet.sealed)
    return found
