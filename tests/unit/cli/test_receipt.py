"""The receipt: counts, grouped reasons, the guarantee, and how to go on."""

import json

from outlast.cli._exit import ExitCode
from outlast.cli._receipt import Receipt, group_reasons
from outlast.outbox import Counts, OpState, OpStatus


def status(entity, state, reason):
    """Return the status of a write."""
    return OpStatus(
        seq=1, state=state, verb=None, kind="push", entity=entity, attempts=1, reason=reason, etag=None, at=0.0
    )


def receipt(counts, **fields):
    """Return a receipt."""
    values = {
        "code": ExitCode.DELIVERED, "message": "", "counts": counts, "queued": 1, "known": 0, "superseded": 0,
        "delivered_now": 1, "requests": 2, "seconds": 1.25, "reasons": (), "guarantee": "it holds", "origin": "http://h",
        "outbox": "a.outbox",
    }  # fmt: skip
    return Receipt(**{**values, **fields})


def test_reasons_are_grouped_without_the_id():
    """A reason that repeats the id is one reason; conflicts and dead ones come before what only waits."""
    found = group_reasons(
        [
            *(status(str(n), OpState.WAITING, "ConnectError") for n in range(9)),
            *(status(f"n{n}", OpState.DEAD, f"400 no n{n} here") for n in range(4)),
            status("412", OpState.CONFLICT, "412 other content"),
        ]
    )

    assert [(one.state, one.reason, one.count, one.examples) for one in found] == [
        ("dead", "400 no (id) here", 4, ("n0", "n1", "n2")),
        ("conflict", "412 other content", 1, ("412",)),
        ("waiting", "ConnectError", 9, ("0", "1", "2")),
    ]


def test_only_the_most_frequent_reasons_are_shown():
    """The receipt fits on one screen."""
    assert len(group_reasons([status("x", OpState.DEAD, str(n)) for n in range(50)])) == 5


def test_clean_receipt_gives_no_advice():
    """When all is delivered the receipt says how much, under which guarantee, and no more."""
    assert receipt(Counts(delivered=3)).as_text().splitlines() == [
        "delivered            3   (1 of them in this run, 1.2 s)",
        "waiting              0",
        "conflicting          0",
        "dead                 0",
        "",
        "Guarantee: it holds.",
        "Outbox: a.outbox",
    ]


def test_receipt_says_how_to_go_on():
    """Whatever is not delivered comes with its reason, examples and remedy."""
    reasons = group_reasons(
        [status(f"n{n}", OpState.DEAD, "400") for n in range(4)] + [status("z", OpState.WAITING, "")]
    )
    text = receipt(
        Counts(ready=1, conflict=1, dead=4), message="stopped", known=2, superseded=1, reasons=reasons
    ).as_text()

    assert text.startswith("stopped\n\n")
    assert "2 of the records were queued by an earlier run" in text
    assert "1 undeliverable ones gave way" in text
    assert "4 dead: 400\n    n0, n1, n2, ...\n1 waiting: no answer recorded\n    z\n" in text
    assert "Run the same command again" in text
    assert "left as it is" in text
    assert "--replay" in text


def test_json_is_one_line_with_everything():
    """Scripts get the same facts under fixed names."""
    line = receipt(Counts(ready=1, delivered=2), code=ExitCode.UNFINISHED, message="é").as_json()

    assert "\n" not in line
    assert json.loads(line) == {
        "exit_code": 6, "exit": "unfinished", "message": "é", "delivered": 2, "waiting": 1, "conflicting": 0, "dead": 0,
        "this_run": {"queued": 1, "already_queued": 0, "superseded": 0, "delivered": 1, "requests": 2, "seconds": 1.25},
        "reasons": [], "guarantee": "it holds", "origin": "http://h", "outbox": "a.outbox",
    }  # fmt: skip
