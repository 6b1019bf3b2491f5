"""Clients that edit one record offline come back in any order and end with the same record, nothing lost unsaid."""

import hypothesis.strategies as st
from hypothesis import given

from outlast.engines.json_values import ABSENT, same
from outlast.engines.merge import MergeRules
from outlast.engines.merge_patch import apply_patch
from outlast.engines.merge_rules import Rule
from outlast.engines.op import DeliveryPolicy, Found, Gone, Missing, Stale, Verb, compare, settle
from outlast.engines.reconcile import after_answer, after_reading
from outlast.engines.reconcile_records import (
    Ask,
    ConflictPolicy,
    Discard,
    Dispute,
    Fetch,
    Keep,
    MergeAndResend,
    OnDeleted,
    Recreate,
    Theirs,
)

PUT, PATCH, DELETE = Verb.PUT, Verb.PATCH, Verb.DELETE
START = {"a": 0, "b": 0, "c": 0, "tags": ["x"]}
EDITS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 5), min_size=1, max_size=3)
POLICIES = st.builds(
    ConflictPolicy,
    merge=st.builds(MergeRules, default=st.sampled_from(Rule), deleted=st.sampled_from(Rule)),
    on_deleted=st.sampled_from(OnDeleted),
)


class Server:
    """One record with a version, and a stranger who may edit it at any moment."""

    def __init__(self, stranger=()):
        self.value, self.version, self.requests, self.stranger = dict(START), 1, 0, list(stranger)

    def send(self, verb, body, if_match):
        """Take a write on its version, or refuse it."""
        self.requests += 1
        if self.stranger and self.value is not ABSENT:
            self.value, self.version = {**self.value, **self.stranger.pop()}, self.version + 1
        if verb is Verb.CREATE:
            if self.value is not ABSENT:
                return Stale("412")
        elif self.value is ABSENT:
            return Gone("404")
        elif if_match != f"v{self.version}":
            return Stale("412")
        self.version += 1
        self.value = ABSENT if verb is DELETE else apply_patch(self.value, body) if verb is PATCH else body
        return None

    def read(self):
        """Return what is there, which is never what was just refused."""
        if self.value is ABSENT:
            return Theirs(Missing())
        return Theirs(Found(equal=False, etag=f"v{self.version}"), dict(self.value))


def deliver(server, verb, body, policy, if_match="v1"):
    """Send a write until it is done or somebody must decide; returns the last decision and the reports on the way."""
    base, rounds, reports = dict(START), 0, []
    while True:
        answer = server.send(verb, body, if_match)
        if answer is None:
            return "sent", reports
        dispute = Dispute(verb, body, answer, base, rounds)
        found = after_answer(policy, dispute, settle(DeliveryPolicy(), verb, 1, answer, 0.5))
        if isinstance(found, Fetch):
            theirs = server.read()
            step = compare(DeliveryPolicy(), verb, 1, theirs.found, chance=0.5, reason=found.reason)
            found = after_reading(policy, dispute, theirs, step)
        match found:
            case MergeAndResend():
                verb, body, if_match, base = found.verb, found.body, found.if_match, found.base
                reports.append(found.report)
            case Recreate():
                verb, body, if_match, base = Verb.CREATE, found.body, None, ABSENT
            case Ask() | Discard() | Keep():
                return found, [*reports, getattr(found, "report", None)]
        rounds += 1


def write(kind, edit):
    """Return verb and body of an edit of the start."""
    match kind:
        case "put":
            return PUT, {**START, **edit}
        case "patch":
            return PATCH, edit
        case _:
            return DELETE, None


KINDS = st.sampled_from(["put", "patch", "delete"])


@given(first=EDITS, second=EDITS, kinds=st.tuples(KINDS, KINDS), policy=POLICIES)
def test_no_edit_is_lost_unsaid(first, second, kinds, policy):
    """Whoever comes second: each field of each edit is on the server, named in a report, or asked about."""
    server = Server()
    deliver(server, *write(kinds[0], first), policy)
    before = server.value
    last, reports = deliver(server, *write(kinds[1], second), policy)

    lost = isinstance(last, Ask | Discard)
    named = {field.path: field for report in reports if report for field in report.fields}
    if kinds[1] != "delete" and not lost:
        for name, value in second.items():
            assert server.value[name] == value or named[name].ours == value
    if before is not ABSENT and server.value is not ABSENT:
        for name, value in before.items():
            assert same(server.value[name], value) or same(named[name].theirs, value)
    if isinstance(last, Ask):
        assert same(server.value, before)


@given(edits=st.lists(EDITS, min_size=1, max_size=4), seed=st.permutations(range(4)))
def test_disjoint_edits_converge_in_any_order(edits, seed):
    """Edits of different fields are all there in the end, in whichever order their authors come back."""
    owned = [{f"{name}{author}": value for name, value in edit.items()} for author, edit in enumerate(edits)]
    server = Server()
    for author in seed:
        if author < len(owned):
            assert deliver(server, *write("put", owned[author]), ConflictPolicy())[0] == "sent"

    assert server.value == {**START, **{name: value for edit in owned for name, value in edit.items()}}


@given(edit=EDITS, kind=KINDS, policy=POLICIES, stranger=st.lists(EDITS, min_size=30, max_size=30))
def test_a_server_that_always_refuses_gets_few_requests(edit, kind, policy, stranger):
    """However often somebody is quicker, it ends: after the rounds and the first request, no more."""
    server = Server(stranger)

    deliver(server, *write(kind, edit), policy)

    assert server.requests <= policy.max_rounds + 1
