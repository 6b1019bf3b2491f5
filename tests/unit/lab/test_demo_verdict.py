from __future__ import annotations

import pytest

from outlast.lab.verdict import broken_promises


def report(*, reads=None, writes=None, first=None, **others):
    """Make what the observer counts in a good play of 60 s."""
    return {
        "reads": {"total": 1400, "answered": 1400, "stale": 500, "wrong": 0, "max_age": 40.0} | (reads or {}),
        "first_reads": {"total": 60, "answered": 40, "stale": 0, "wrong": 0, "max_age": 0.0} | (first or {}),
        "writes": {"acknowledged": 110, "lost": 0, "doubled": 0} | (writes or {}),
        "recovered_after": 2.0,
    } | others


def test_a_good_play_breaks_nothing():
    """All answered, nothing lost, nothing doubled: green."""
    assert broken_promises(report(), 60.0) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param({"writes": {"lost": 1}}, "1 acknowledged writes are lost", id="lost"),
        pytest.param({"writes": {"doubled": 2}}, "2 writes took effect twice", id="doubled"),
        pytest.param({"reads": {"answered": 1398}}, "only 99.86% of the reads of seen keys were answered", id="reads"),
        pytest.param({"reads": {"wrong": 3}}, "3 answers were not true", id="wrong"),
        pytest.param({"first": {"wrong": 1}}, "1 answers were not true", id="wrong-at-first-touch"),
        pytest.param({"reads": {"total": 900, "answered": 900}}, "only 16.0 reads a second were asked for", id="rate"),
        pytest.param({"writes": {"acknowledged": 0}}, "no write was acknowledged", id="no-write"),
        pytest.param({"recovered_after": None}, "writes from before the recovery never took effect", id="recovery"),
    ],
)
def test_each_broken_promise_is_named(changed, words):
    """One figure out of order makes the verdict red, in words that name it and nothing else."""
    assert broken_promises(report(**changed), 60.0) == [words]


def test_the_limit_of_unanswered_reads_is_one_in_a_thousand():
    """99.9 % is enough."""
    assert broken_promises(report(reads={"total": 2000, "answered": 1998}), 60.0) == []


def test_a_play_without_reads_is_no_proof():
    """Nothing asked is not everything answered."""
    broken = broken_promises(report(reads={"total": 0, "answered": 0}, first={"total": 0}), 60.0)

    assert broken == [
        "only 0.00% of the reads of seen keys were answered",
        "only 0.0 reads a second were asked for",
    ]
