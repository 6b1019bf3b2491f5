"""Several errors in one."""

import pickle

import pytest

from outlast.errors import (
    UNKNOWN,
    BadRequestError,
    Category,
    CircuitOpenError,
    Classification,
    MultiError,
    Outcome,
    OutlastError,
    ServerError,
    classify,
)

RETRIABLE, TRANSIENT, FATAL = Category.RETRIABLE, Category.TRANSIENT, Category.FATAL
INPUT, NOTHING_KNOWN = Category.INVALID_INPUT, Category.UNKNOWN
SAFE, DOUBT, DONE = Outcome.NOT_APPLIED, Outcome.IN_DOUBT, Outcome.APPLIED

TIMED_OUT, REFUSED, FULL = TimeoutError("t"), ConnectionRefusedError("r"), CircuitOpenError("o", retry_after=4.0)
WRONG, DENIED, ODD = BadRequestError("w"), PermissionError("d"), KeyError("k")
DONE_TWICE = OutlastError("late", category=RETRIABLE, outcome=DONE)


@pytest.mark.parametrize(
    ("members", "category", "outcome"),
    [
        pytest.param([REFUSED], RETRIABLE, SAFE, id="one"),
        pytest.param([REFUSED, TIMED_OUT], RETRIABLE, DOUBT, id="one-in-doubt"),
        pytest.param([REFUSED, FULL], TRANSIENT, SAFE, id="transient-is-worse-than-retriable"),
        pytest.param([FULL, WRONG], INPUT, SAFE, id="wrong-is-worse-than-transient"),
        pytest.param([WRONG, ODD], NOTHING_KNOWN, DOUBT, id="unknown-is-worse-than-wrong"),
        pytest.param([ODD, DENIED], FATAL, DOUBT, id="fatal-is-worst"),
        pytest.param([DONE_TWICE, DONE_TWICE], RETRIABLE, DONE, id="all-applied"),
        pytest.param([DONE_TWICE, REFUSED], RETRIABLE, DOUBT, id="applied-in-part"),
        pytest.param([ExceptionGroup("inner", [TIMED_OUT, DENIED]), REFUSED], FATAL, DOUBT, id="nested"),
    ],
)
def test_the_worst_member_decides(members, category, outcome):
    """The group is as bad as its worst member; a plain group is classified in the same way."""
    multi, plain = MultiError("all", members), classify(ExceptionGroup("all", members))

    assert (multi.category, multi.outcome) == (category, outcome)
    assert (plain.category, plain.outcome) == (category, outcome)


def test_the_longest_wait_counts():
    """Nobody is asked again before all of them may be."""
    multi = MultiError("all", [CircuitOpenError(retry_after=4.0), CircuitOpenError(retry_after=9.0), REFUSED])

    assert multi.retry_after == 9.0


@pytest.mark.parametrize(("statuses", "status"), [((503, 503), 503), ((503, 500), None)])
def test_a_status_stands_where_all_agree(statuses, status):
    """The group has a status only where all members have the same."""
    assert MultiError("all", [ServerError(status_code=code) for code in statuses]).status_code == status


def test_what_is_given_wins():
    """Fields that the author gives are not computed."""
    multi = MultiError("all", [DENIED], category=RETRIABLE, outcome=DONE, retry_after=1.0, status_code=503)

    assert classify(multi) == Classification(RETRIABLE, DONE, 503, 1.0)


def test_parts_keep_the_type_and_are_judged_anew():
    """`split` and `subgroup` give groups of the same kind, with the category of what is left."""
    multi = MultiError("all", [REFUSED, DENIED, TIMED_OUT], operation="save", metadata={"shard": 3}, request_id="r")
    multi.add_note("noted")

    denied, rest = multi.split(PermissionError)
    timed = multi.subgroup(lambda error: error is TIMED_OUT)

    assert [type(part) for part in (denied, rest, timed)] == [MultiError] * 3
    assert (denied.category, rest.category, rest.outcome) == (FATAL, RETRIABLE, DOUBT)
    assert (rest.message, rest.operation, rest.metadata, rest.request_id) == ("all", "save", {"shard": 3}, "r")
    assert (rest.exceptions, rest.__notes__) == ((REFUSED, TIMED_OUT), ["noted"])


def test_except_star_takes_it_apart():
    """The language's own way to handle groups works."""
    seen = []
    try:
        raise MultiError("all", [REFUSED, DENIED])
    except* PermissionError as group:
        seen.append(type(group))
    except* ConnectionError as group:
        seen.append(group.exceptions)

    assert seen == [MultiError, (REFUSED,)]


def test_it_is_caught_as_both():
    """It is an error of outlast and an exception group."""
    multi = MultiError("all", [REFUSED])

    assert isinstance(multi, OutlastError)
    assert isinstance(multi, ExceptionGroup)
    assert str(multi) == "all (1 error)"
    assert str(MultiError("", [ODD, ODD])) == "Several errors happened together. Also an `ExceptionGroup`. (2 errors)"


def test_its_members_survive_a_process_boundary():
    """Members, fields and nested groups come back."""
    inner = MultiError("inner", [FULL, TIMED_OUT], operation="read")

    again = pickle.loads(pickle.dumps(MultiError("outer", [inner, DENIED]).enrich(operation="write", shard=3)))

    assert (again.operation, again.metadata, again.category) == ("write", {"shard": 3}, FATAL)
    assert [type(error) for error in again.exceptions] == [MultiError, PermissionError]
    assert (again.exceptions[0].operation, again.exceptions[0].exceptions[0].retry_after) == ("read", 4.0)


def test_no_members_no_group():
    """A group of nothing is refused, as everywhere."""
    with pytest.raises(ValueError, match="non-empty"):
        MultiError("all", [])


def test_a_group_without_known_members_is_unknown():
    """Something that only calls itself a group does not break the classification."""

    class OddGroup(ExceptionGroup):
        exceptions = ()

    assert classify(OddGroup("odd", [REFUSED])) == UNKNOWN
