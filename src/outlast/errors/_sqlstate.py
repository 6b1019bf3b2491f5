"""What PostgreSQL's error codes mean."""

from __future__ import annotations

from typing import Final

from outlast.errors._classify import UNKNOWN, Classification
from outlast.errors._meanings import (
    EXHAUSTED,
    FATAL,
    FATAL_DOUBT,
    INPUT,
    RETRY_DOUBT,
    RETRY_SAFE,
)

_BY_CODE: Final = {
    "08001": RETRY_SAFE,  # the client could not connect
    "08004": RETRY_SAFE,  # the server refused the connection
    "08P01": INPUT,  # protocol violation
    "25006": RETRY_SAFE,  # read-only transaction: a standby was asked, as in a failover
    "40003": RETRY_DOUBT,  # statement completion unknown
    "42501": FATAL,  # insufficient privilege
    "55P03": EXHAUSTED,  # lock not available
    "55006": EXHAUSTED,  # object in use
    "57014": RETRY_SAFE,  # query cancelled, by statement_timeout for one; it was rolled back
    "57P01": RETRY_DOUBT,  # the administrator ends the session
    "57P02": RETRY_DOUBT,  # the server crashed
    "57P03": EXHAUSTED,  # starting, recovering or shutting down: it takes no connection
    "57P04": INPUT,  # the database was dropped
    "57P05": RETRY_SAFE,  # idle session
    "XX001": FATAL_DOUBT,  # data corrupted
    "XX002": FATAL_DOUBT,  # index corrupted
}

_BY_CLASS: Final = {
    "08": RETRY_DOUBT,  # the connection failed
    "0A": INPUT,  # feature not supported
    "21": INPUT,  # cardinality violation
    "22": INPUT,  # data exception
    "23": INPUT,  # integrity constraint
    "25": INPUT,  # invalid transaction state
    "26": INPUT,  # invalid statement name
    "28": FATAL,  # invalid authorisation
    "34": INPUT,  # invalid cursor name
    "3D": INPUT,  # no such database
    "3F": INPUT,  # no such schema
    "40": RETRY_SAFE,  # rolled back: serialisation, deadlock
    "42": INPUT,  # syntax, missing or mistyped names
    "44": INPUT,  # check option
    "53": EXHAUSTED,  # too many connections, disk full, out of memory
    "54": INPUT,  # too complex
    "55": INPUT,  # not in prerequisite state
    "57": RETRY_DOUBT,  # operator intervention
    "58": RETRY_DOUBT,  # system error outside of the database
    "P0": INPUT,  # raised by a function of the user
}


def classify_sqlstate(code: str) -> Classification:
    """Say what an error code of PostgreSQL means: by the code itself, else by its class, the first two characters.

    What the server reports has been rolled back, so the effect did not take place, except where the session ended
    before the outcome was known.

    Args:
        code: The SQLSTATE, five characters; an unknown one means nothing known.

    Source: PostgreSQL documentation, appendix A.

    >>> classify_sqlstate("40P01").outcome.value, classify_sqlstate("08006").outcome.value
    ('not_applied', 'in_doubt')
    """
    return _BY_CODE.get(code) or _BY_CLASS.get(code[:2], UNKNOWN)
