"""Which requests the receiver's middleware takes for repeats, on both kinds of server side and both databases."""

from __future__ import annotations

import pytest
from sides import OLD

from outlast.errors import ConfigError
from outlast.http import Fence, ReceiverRules, connection_of


def test_a_repeat_is_answered_the_same(side):
    """Status, headers and body come again as they were, with a mark, and the application is not asked."""
    side.script.headers.append(("Set-Cookie", "session=secret"))
    first, second = side.ask(), side.ask()

    assert (first.status, first.body, first.headers["content-length"]) == (201, b"made", "4")
    assert first.headers["set-cookie" if "set-cookie" in first.headers else "Set-Cookie"] == "session=secret"
    kept = {name: value for name, value in first.headers.items() if name.lower() != "set-cookie"}
    assert (second.status, second.headers, second.body) == (201, kept | OLD, b"made")
    assert (side.script.calls, side.place.effects()) == (1, ["k"])


def test_the_application_gets_the_body(side):
    """What was read for the fingerprint is there for the application."""
    side.ask(body=b"all of it")

    assert side.script.bodies == [b"all of it"]


@pytest.mark.parametrize(
    "other",
    [{"body": b"y"}, {"path": "/others"}, {"method": "PUT"}, {"query": b"a=1"}],
    ids=["body", "path", "method", "query"],
)
def test_a_key_belongs_to_one_request(side, other):
    """The key with another request is refused, and says so in a problem document."""
    side.ask()
    got = side.ask(**other)

    assert got.problem == (422, "idempotency-key-reused")
    assert side.place.effects() == ["k"]


@pytest.mark.parametrize("status", [204, 422])
def test_a_final_answer_is_kept(side, status):
    """A refusal too: a repeat that comes late must not take effect after its sender was told no."""
    side.script.status, side.script.parts = status, [] if status == 204 else [b"told"]
    side.script.headers = [] if status == 204 else side.script.headers
    first, second = side.ask(), side.ask()

    assert (first.status, second.status, second.body) == (status, status, first.body)
    assert (second.headers, side.script.calls) == (first.headers | OLD, 1)


def test_the_rules_may_say_what_is_final(side):
    """Which statuses are kept is the user's to say."""
    side.serve(rules=ReceiverRules(is_final=lambda status: status == 201))
    side.script.status = 404
    side.ask()
    side.ask()

    assert (side.script.calls, side.place.effects()) == (2, [])


def test_requests_without_a_key(side):
    """They run in a transaction as well, each time anew, and nothing of them is kept."""
    assert [side.ask(None).status for _ in range(2)] == [201, 201]
    assert side.place.effects() == ["none", "none"]
    side.script.status = 500
    side.ask(None)
    assert side.place.effects() == ["none", "none"]
    assert side.place.rows("SELECT count(*) FROM outlast_receipts") == [(0,)]


def test_a_request_without_a_key_that_needs_no_database(side):
    """The driver has begun nothing for it, and it is not taken for one that has ended its transaction."""
    side.script.statement = None

    assert side.ask(None).status == 201


def test_a_key_may_be_demanded(side):
    """Without one the request is refused, and nothing is done."""
    side.serve(rules=ReceiverRules(require_key=True))

    assert side.ask(None).problem == (400, "idempotency-key-missing")
    assert side.script.calls == 0


@pytest.mark.parametrize("key", ["", "ü"])
def test_what_is_no_key(side, key):
    """A header that names no key is refused, not ignored."""
    assert side.ask(key).problem == (400, "idempotency-key-invalid")
    assert side.script.calls == 0


def test_quotes_do_not_matter(side):
    """The draft quotes the key, most senders do not; it is the same key."""
    side.ask('"k"')

    assert side.ask("k").headers["idempotent-replayed"] == "true"


def test_the_header_has_another_name(side):
    """Some call it otherwise."""
    side.serve(rules=ReceiverRules(key_header="X-Request-Key"))

    assert [side.ask(None, headers=[("X-Request-Key", "q")]).status for _ in range(2)] == [201, 201]
    assert side.script.calls == 1


def test_accounts_share_no_keys(side):
    """The function tells whose key it is."""

    def account(request):
        headers = dict(request.get("headers", ()))
        return headers.get(b"x-account", b"").decode() if headers else request["HTTP_X_ACCOUNT"]

    side.serve(scope=account)
    answers = [side.ask(headers=[("X-Account", name)]).status for name in ("a", "b", "a")]

    assert (answers, side.script.calls) == ([201, 201, 201], 2)


def test_a_replaced_sender_is_refused(side):
    """A request of an earlier term is answered with a problem, and does nothing."""
    side.ask("a", headers=[("Outbox-Fence", Fence("box", 5).header())])
    got = side.ask("b", headers=[("Outbox-Fence", Fence("box", 4).header())])

    assert got.problem == (409, "stale-fence")
    assert side.ask("c", headers=[("Outbox-Fence", "later")]).problem == (400, "idempotency-key-invalid")
    assert side.place.effects() == ["a"]


def test_a_large_request_is_refused(side):
    """A body above the limit is not taken."""
    side.serve(rules=ReceiverRules(max_body_bytes=10))

    assert side.ask("a", b"x" * 10).status == 201
    assert side.ask("b", b"x" * 11).problem == (413, "request-too-large")
    assert side.place.effects() == ["a"]


def test_reading_passes_through(side):
    """A GET is not touched: no transaction, and no limit."""
    side.serve(rules=ReceiverRules(max_body_bytes=3))

    got = side.ask(method="GET", body=b"")

    assert (got.status, got.body, side.script.inside, side.script.calls) == (200 + 1, b"made", None, 0)


def test_a_request_from_elsewhere_has_no_connection():
    """Without the middleware there is no transaction, and the error says what is missing."""
    for request in ({}, object()):
        with pytest.raises(ConfigError, match="did not come through"):
            connection_of(request)
