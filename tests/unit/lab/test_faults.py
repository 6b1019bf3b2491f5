from __future__ import annotations

import pytest

from outlast.lab.proxy import (
    BlackHole,
    DropAnswer,
    Healthy,
    Latency,
    Refuse,
    Status,
    dump_fault,
    parse_fault,
)


@pytest.mark.parametrize(
    "fault",
    [
        Healthy(),
        Refuse(),
        Latency(2.0),
        Status(429, retry_after=2, applied_share=0.5),
        BlackHole(0.25),
        DropAnswer(0.5),
    ],
    ids=repr,
)
def test_json_form_is_read_back(fault):
    """Every fault survives the way through its JSON form."""
    assert parse_fault(dump_fault(fault)) == fault


def test_defaults_may_be_left_out():
    """Only members without a default have to be given."""
    assert parse_fault({"fault": "status", "code": 503}) == Status(503)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ({"fault": "fire"}, "unknown fault 'fire'; known are healthy, refuse"),
        ({}, "unknown fault None"),
        ({"fault": "healthy", "seconds": 1}, "healthy has no members"),
        ({"fault": "latency"}, "latency has seconds"),
        ({"fault": "latency", "seconds": -1}, "seconds must be >= 0"),
        ({"fault": "latency", "seconds": "long"}, "does not fit"),
        ({"fault": "status", "code": 200}, "400 to 599"),
        ({"fault": "status", "code": 500, "applied_share": 2}, "status: a share lies between 0 and 1"),
        ({"fault": "black-hole", "applied_share": -0.1}, "black-hole: a share"),
        ({"fault": "drop-answer", "share": 1.1}, "drop-answer: a share"),
    ],
)
def test_nonsense_is_refused_with_its_reason(command, message):
    """A wrong command says what is wrong with it."""
    with pytest.raises(ValueError, match=message):
        parse_fault(command)
