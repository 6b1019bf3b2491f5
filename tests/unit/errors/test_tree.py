import copy
import pickle
import re

import pytest

from outlast import errors
from outlast.errors import (
    Category,
    CircuitOpenError,
    ConfigError,
    DeadlineExceededError,
    MissingExtraError,
    MultiError,
    Outcome,
    OutlastError,
    RejectedError,
    SchemaError,
)


def classes():
    """Return every public error class."""
    found = (getattr(errors, name) for name in errors.__all__)
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, OutlastError)]


def made(kind, message="", **fields):
    """Make an error of a class; a group needs a member."""
    return kind(message, [KeyError("one")], **fields) if kind is MultiError else kind(message, **fields)


def drawn():
    """Return child and parent for every line of the drawing."""
    drawing = errors.__doc__.split("```")[1].strip("\n").splitlines()
    parents, pairs = {}, {}
    for line in drawing:
        match = re.match(r"^([│ ]*)([├└]─ )?(\w+)", line)
        depth = (len(match[1]) + len(match[2] or "")) // 3
        parents[depth] = match[3]
        pairs[match[3]] = parents[depth - 1] if depth else "Exception"
    return pairs


def test_drawing_is_the_tree():
    """The tree in the documentation is the one in the code."""
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in classes()}

    assert drawn() == real


def test_everything_is_public():
    """No error class is missing from the room's face."""

    def below(kind):
        return {kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))}

    ours = {kind for kind in below(OutlastError) if kind.__module__.startswith("outlast.errors")}

    assert ours == set(classes())


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(DeadlineExceededError, TimeoutError), (ConfigError, ValueError), (MissingExtraError, ImportError)],
)
def test_also_a_builtin(kind, builtin):
    """Some errors are caught by those who know only the standard library."""
    assert issubclass(kind, builtin)


FIELDS = {
    "category": Category.FATAL,
    "outcome": Outcome.APPLIED,
    "retry_after": 1.5,
    "operation": "load",
    "status_code": 503,
    "request_id": "r-1",
    "metadata": {"shard": 3},
    "timestamp": 12.5,
}


@pytest.mark.parametrize("kind", classes())
def test_fields(kind):
    """Every error carries the common fields."""
    error = made(kind, "what was wrong", **FIELDS)

    assert {name: getattr(error, name) for name in FIELDS} == FIELDS
    assert (error.message, error.type_name, error.retryable) == ("what was wrong", kind.__name__, False)
    assert "what was wrong" in str(error)


OWN_FIELDS = {
    errors.RejectedError: {"key": "shard-3"},
    DeadlineExceededError: {"limit": 2.0},
    SchemaError: {"path": "$.a"},
    errors.ConflictError: {"expected": '"1"', "found": '"2"'},
    errors.StreamError: {"partial": "Dear"},
    errors.StreamStalledError: {"partial": "Dear", "silent_for": 60.0},
    errors.NotLeaderError: {"leader_hint": "node-2"},
    errors.QuorumLostError: {"reachable": 1, "needed": 2},
    errors.StaleEpochError: {"held": 7, "current": 8},
    errors.HistoryCompactedError: {"oldest": 40},
    ConfigError: {"path": "retry", "suggestion": "attempts"},
}


def own_fields(kind):
    """Return values for the fields that a class adds to the common ones."""
    return next((OWN_FIELDS[base] for base in kind.__mro__ if base in OWN_FIELDS), {})


@pytest.mark.parametrize("kind", classes())
def test_own_fields(kind):
    """What a class adds to the common fields is kept, and is None or neutral when it is not given."""
    given = own_fields(kind)
    error, bare = made(kind, **given), made(kind)

    assert {name: getattr(error, name) for name in given} == given
    assert all(getattr(bare, name) in {None, "", "$"} for name in given)


@pytest.mark.parametrize("kind", classes())
@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_survives_a_process_boundary(kind, copied):
    """Every error can be pickled and copied with all that it carries."""
    error = made(kind, "what was wrong", **FIELDS, **own_fields(kind))
    error.add_note("noted")
    again = copied(error)

    assert type(again) is kind
    assert repr(again.args) == repr(error.args)
    assert again.__dict__ == error.__dict__
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", classes())
def test_without_a_message_the_class_speaks(kind):
    """An error without a message shows the first line of its documentation."""
    assert str(made(kind)).removesuffix(" (1 error)") == kind.__doc__.splitlines()[0]


@pytest.mark.parametrize(
    ("kind", "category", "outcome"),
    [
        (OutlastError, Category.UNKNOWN, Outcome.NOT_APPLIED),
        (RejectedError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (CircuitOpenError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (DeadlineExceededError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.InDoubtError, Category.UNKNOWN, Outcome.IN_DOUBT),
        (errors.NetworkError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.RateLimitError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (errors.ServerError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.AuthenticationError, Category.FATAL, Outcome.NOT_APPLIED),
        (errors.BadRequestError, Category.INVALID_INPUT, Outcome.NOT_APPLIED),
        (errors.StorageFullError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (errors.CorruptError, Category.FATAL, Outcome.NOT_APPLIED),
        (errors.ConflictError, Category.INVALID_INPUT, Outcome.NOT_APPLIED),
        (errors.StreamError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.OverloadedError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (errors.StreamStalledError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.StreamTruncatedError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.StreamProtocolError, Category.FATAL, Outcome.IN_DOUBT),
        (errors.NotLeaderError, Category.RETRIABLE, Outcome.NOT_APPLIED),
        (errors.LeadershipLostError, Category.RETRIABLE, Outcome.IN_DOUBT),
        (errors.QuorumLostError, Category.TRANSIENT, Outcome.IN_DOUBT),
        (errors.StaleEpochError, Category.FATAL, Outcome.NOT_APPLIED),
        (errors.MembershipLostError, Category.RETRIABLE, Outcome.NOT_APPLIED),
        (errors.RebalancingError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (errors.ClusterFullError, Category.TRANSIENT, Outcome.NOT_APPLIED),
        (errors.HistoryCompactedError, Category.INVALID_INPUT, Outcome.NOT_APPLIED),
        (ConfigError, Category.INVALID_INPUT, Outcome.NOT_APPLIED),
    ],
)
def test_class_defaults(kind, category, outcome):
    """Each class says what a caller can do, and what became of the effect."""
    error = kind()

    assert (error.category, error.outcome) == (category, outcome)


@pytest.mark.parametrize("category", Category)
def test_retryable_follows_the_category(category):
    """Only retriable and transient failures are worth a repetition."""
    assert OutlastError(category=category).retryable is (category in {Category.RETRIABLE, Category.TRANSIENT})


def test_enrich():
    """Facts are added on the way up; the first operation stays."""
    error = OutlastError("x").enrich(operation="inner", shard=1).enrich(operation="outer", shard=2, host="h")

    assert (error.operation, error.metadata) == ("inner", {"shard": 2, "host": "h"})


def test_metadata_is_a_copy():
    """What the caller does to its dictionary later changes nothing."""
    given = {"a": 1}
    error = OutlastError(metadata=given)
    given["a"] = 2

    assert error.metadata == {"a": 1}


def test_config_error_says_where_and_what():
    """A configuration error shows its path and the likely word."""
    error = ConfigError("unknown", path="retry.atempts", suggestion="attempts")

    assert str(error) == "retry.atempts: unknown; did you mean attempts?"


def test_schema_error_says_where():
    """A schema error carries the path into the value."""
    assert SchemaError("x", path="$.a").path == "$.a"


def test_a_rejection_names_its_policy():
    """The policy that refused is the operation of the error."""
    assert CircuitOpenError(operation="payments").policy == "payments"
