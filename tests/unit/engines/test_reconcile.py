from dataclasses import replace

import pytest

from outlast.engines.json_values import ABSENT, UNKNOWN
from outlast.engines.merge import MergeRules
from outlast.engines.merge_rules import Rule
from outlast.engines.op import (
    Applied,
    Compare,
    Conflict,
    Deliver,
    DeliveryPolicy,
    Die,
    Found,
    Gone,
    Missing,
    Postpone,
    Stale,
    Unreadable,
    Verb,
    compare,
    settle,
)
from outlast.engines.reconcile import after_answer, after_reading
from outlast.engines.reconcile_records import (
    Ask,
    ConflictPolicies,
    ConflictPolicy,
    Discard,
    Dispute,
    Fetch,
    Keep,
    MergeAndResend,
    OnDeleted,
    OnDuplicate,
    Recreate,
    Resolution,
    Theirs,
)
from outlast.errors import ConfigError

CREATE, PUT, PATCH, DELETE, POST = Verb.CREATE, Verb.PUT, Verb.PATCH, Verb.DELETE, Verb.POST
DELIVERY, POLICY = DeliveryPolicy(), ConflictPolicy()


def answered(dispute, policy=POLICY):
    """Go on after an answer, as it is settled today."""
    return after_answer(policy, dispute, settle(DELIVERY, dispute.verb, 1, dispute.answer, 0.5))


def read(dispute, theirs, policy=POLICY):
    """Go on after reading back, as it is compared today."""
    step = compare(DELIVERY, dispute.verb, 1, theirs.found, chance=0.5, reason="412")
    return after_reading(policy, dispute, theirs, step)


def other(content, etag="v2"):
    """Return that the server holds other content."""
    return Theirs(Found(equal=False, etag=etag), content)


@pytest.mark.parametrize(
    ("dispute", "found", "resolution"),
    [
        pytest.param(Dispute(CREATE, {}, Stale("409")), Fetch("409"), "retry", id="create-of-what-is-there"),
        pytest.param(Dispute(PUT, {}, Stale("412")), Fetch("412"), "retry", id="put-on-another-version"),
        pytest.param(Dispute(DELETE, None, Stale("412")), Fetch("412"), "retry", id="delete-on-another-version"),
        pytest.param(Dispute(POST, {}, Stale("409")), Keep(Conflict("409")), "fail", id="message"),
        pytest.param(Dispute(DELETE, None, Gone("404")), Keep(Deliver()), "done", id="already-gone"),
        pytest.param(Dispute(CREATE, {}, Gone("404")), Keep(Die("there is no such place on the server: 404")), "fail",
                     id="no-such-place"),
        pytest.param(Dispute(PUT, {}, Gone("410")), Ask("the entity is gone on the server: 410"), "fail", id="gone"),
    ],
)  # fmt: skip
def test_after_the_answer(dispute, found, resolution):
    """What is settled stays; what is refused is read; what is gone is the policy's to decide."""
    assert answered(dispute) == found
    assert found.resolution is Resolution(resolution)


@pytest.mark.parametrize(
    ("verb", "body", "base", "policy", "result"),
    [
        (PUT, {"n": 1}, UNKNOWN, OnDeleted.DISCARD, Discard(None, "gone; the policy is to drop the edit")),
        (PUT, {"n": 1}, UNKNOWN, OnDeleted.RECREATE, Recreate({"n": 1}, "gone; the policy is to make it again")),
        (PATCH, {"n": 1}, {"m": 2}, OnDeleted.RECREATE,
         Recreate({"m": 2, "n": 1}, "gone; the policy is to make it again")),
        (PATCH, {"n": 1}, UNKNOWN, OnDeleted.RECREATE,
         Ask("gone; it cannot be made again, because only a patch of it is known")),
        (PATCH, {"n": 1}, ABSENT, OnDeleted.RECREATE,
         Ask("gone; it cannot be made again, because only a patch of it is known")),
        (PATCH, {"n": 1}, {"m": 2}, OnDeleted.ASK, Ask("gone")),
    ],
)  # fmt: skip
def test_an_edit_of_what_is_gone(verb, body, base, policy, result):
    """It is dropped, made again where all of it is known, or asked about: by the answer or by reading back."""
    dispute, rules = Dispute(verb, body, Gone("404"), base), ConflictPolicy(on_deleted=policy)

    assert after_answer(rules, dispute, Conflict("gone")) == result
    assert after_reading(rules, dispute, Theirs(Missing()), Conflict("gone")) == result


def test_an_entity_that_goes_again_and_again_is_asked_about():
    """Making it again is a round as well."""
    dispute = Dispute(PUT, {}, Gone("404"), rounds=5)

    found = answered(dispute, ConflictPolicy(on_deleted=OnDeleted.RECREATE))

    assert found == Ask("the entity is gone on the server: 404; 5 merged writes were refused before it")


def test_our_own_write_is_recognised():
    """A refused precondition that came from our own success is a success."""
    found = read(Dispute(PUT, {"n": 1}, Stale("412")), Theirs(Found(equal=True, etag="v2"), {"n": 1}))

    assert found == Keep(Deliver("v2"))
    assert found.resolution is Resolution.DONE


def test_a_duplicate_create_is_done_and_not_sent_again():
    """The seed's endless loop: a create whose entity is there already, with the same content."""
    found = read(Dispute(CREATE, {"n": 1}, Stale("409")), Theirs(Found(equal=True, etag="v1"), {"n": 1}))

    assert found.resolution is Resolution.DONE


@pytest.mark.parametrize("found", [Unreadable("503"), Missing()])
def test_what_is_to_be_tried_again_stays_so(found):
    """Reading back failed for now, or a create found nothing: a policy has nothing to decide yet."""
    kept = read(Dispute(CREATE, {}, Stale("412")), Theirs(found))

    assert isinstance(kept, Keep)
    assert isinstance(kept.step, Postpone)
    assert kept.resolution is Resolution.RETRY


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param(Theirs(Unreadable("405", permanent=True)), id="never-readable"),
        pytest.param(other(UNKNOWN), id="no-json"),
    ],
)
def test_what_cannot_be_read_is_asked_about(theirs):
    """There is nothing to be merged."""
    assert isinstance(read(Dispute(PUT, {}, Stale("412"), {}), theirs), Ask)


BASE = {"n": 1, "t": "a"}


@pytest.mark.parametrize(
    ("verb", "body", "theirs", "sent"),
    [
        pytest.param(PUT, {"n": 2, "t": "a"}, {"n": 1, "t": "b"}, (PUT, {"n": 2, "t": "b"}), id="put"),
        pytest.param(PATCH, {"n": 2}, {"n": 1, "t": "b"}, (PATCH, {"n": 2}), id="patch"),
        pytest.param(PATCH, {"n": 2, "t": None}, {**BASE, "x": 1}, (PATCH, {"n": 2, "t": None}), id="removes"),
        pytest.param(DELETE, None, BASE, (DELETE, None), id="delete-of-what-is-as-we-saw-it"),
    ],
)  # fmt: skip
def test_merging(verb, body, theirs, sent):
    """What only one side changed is merged on the stored base and sent on the version that was read."""
    found = read(Dispute(verb, body, Stale("412"), BASE), other(theirs))

    assert isinstance(found, MergeAndResend)
    assert ((found.verb, found.body), found.if_match, found.base) == (sent, "v2", theirs)
    assert found.resolution is Resolution.RETRY


def test_a_true_conflict_is_asked_about_with_its_fields():
    """The inbox says which fields are open."""
    found = read(Dispute(PUT, {"n": 2, "t": "a"}, Stale("412"), BASE), other({"n": 3, "t": "b"}))

    assert found.reason == "412; the server holds other content: n"
    assert found.report.open_paths == ("n",)
    assert found.resolution is Resolution.FAIL


def test_a_delete_of_what_others_edited_is_asked_about():
    """It is neither carried out nor dropped unless the policy says so."""
    dispute, theirs = Dispute(DELETE, None, Stale("412"), BASE), other({"n": 9, "t": "a"})

    assert read(dispute, theirs).reason.endswith(": the whole")
    forced = read(dispute, theirs, ConflictPolicy(merge=MergeRules(deleted=Rule.OURS)))
    assert (forced.verb, forced.if_match) == (DELETE, "v2")
    dropped = read(dispute, theirs, ConflictPolicy(merge=MergeRules(deleted=Rule.THEIRS)))
    assert dropped == Discard("v2", "the server holds the merged result already", dropped.report)


def test_a_result_that_is_theirs_is_not_sent():
    """The rule gave every field to the server."""
    policy = ConflictPolicy(merge=MergeRules(default=Rule.THEIRS))

    found = read(Dispute(PUT, {"n": 2, "t": "a"}, Stale("412"), BASE), other({"n": 3, "t": "a"}), policy)

    assert isinstance(found, Discard)
    assert (found.etag, found.resolution) == ("v2", Resolution.DONE)


def test_a_patch_without_a_base_asks_about_its_own_fields_only():
    """What the patch did not name is theirs; what it did may have been changed by them too."""
    dispute, theirs = Dispute(PATCH, {"n": 2}, Stale("412")), other({"n": 3, "t": "x"})

    assert read(dispute, theirs).report.open_paths == ("n",)
    found = read(dispute, theirs, ConflictPolicy(merge=MergeRules({"n": Rule.MAX, "t": Rule.ASK})))
    assert isinstance(found, Discard)


def test_a_patch_that_no_patch_can_say_becomes_a_put():
    """A rule that makes a member null needs the whole to be sent."""
    policy = ConflictPolicy(merge=MergeRules(default=lambda conflict: None))

    found = read(Dispute(PATCH, {"n": 2}, Stale("412"), BASE), other({"n": 3, "t": "a"}), policy)

    assert (found.verb, found.body) == (PUT, {"n": None, "t": "a"})


@pytest.mark.parametrize(
    ("policy", "result"),
    [
        (OnDuplicate.ASK, Ask),
        (OnDuplicate.DISCARD, Discard),
        (OnDuplicate.MERGE, MergeAndResend),
    ],
)
def test_a_create_of_what_is_there_with_other_content(policy, result):
    """It is asked about, dropped, or merged as two edits of nothing."""
    dispute = Dispute(CREATE, {"n": 1}, Stale("412"))

    found = read(dispute, other({"t": "b"}), ConflictPolicy(on_duplicate=policy))

    assert isinstance(found, result)
    if policy is OnDuplicate.MERGE:
        assert (found.verb, found.body, found.if_match) == (PUT, {"n": 1, "t": "b"}, "v2")


def test_members_of_the_server_are_left_out():
    """What only the server writes is neither a conflict nor sent, but it is in the base of the next merge."""
    policy = ConflictPolicy(server_fields=frozenset({"modified"}))
    dispute = Dispute(PUT, {"n": 2, "t": "a"}, Stale("412"), {**BASE, "modified": 1})

    found = read(dispute, other({"n": 1, "t": "b", "modified": 2}), policy)

    assert found.body == {"n": 2, "t": "b"}
    assert found.base == {"n": 1, "t": "b", "modified": 2}
    assert isinstance(read(dispute, other({"n": 2, "t": "a", "modified": 2}), policy), Discard)
    assert isinstance(read(dispute, other([1]), policy), Ask)


@pytest.mark.parametrize("verb", [PUT, PATCH, CREATE])
def test_members_of_the_server_are_left_out_of_ours_too(verb):
    """Who reads, edits and writes back the whole sends nothing of the server's, and is done once it is there."""
    policy = ConflictPolicy(server_fields=frozenset({"modified"}), on_duplicate=OnDuplicate.MERGE)
    dispute = Dispute(verb, {"n": 2, "t": "a", "modified": 1}, Stale("412"), {**BASE, "modified": 1})

    assert isinstance(read(dispute, other({"n": 2, "t": "a", "modified": 2}), policy), Discard)
    ours = replace(policy, merge=MergeRules({"n": Rule.OURS}))
    resent = read(dispute, other({"n": 3, "t": "a", "modified": 2}), ours)
    assert resent.body == ({"n": 2} if verb is PATCH else {"n": 2, "t": "a"})


def test_members_of_the_server_may_lie_deeper():
    """A path leads to them, as in rules."""
    policy = ConflictPolicy(server_fields=frozenset({"meta", "data.modified"}))
    base = {"data": {"n": 1, "modified": 1}, "meta": {"modified": 1}}
    dispute = Dispute(PUT, {"data": {"n": 2}}, Stale("412"), base)

    found = read(dispute, other({"data": {"n": 1, "t": "b", "modified": 2}, "meta": {}}), policy)

    assert found.body == {"data": {"n": 2, "t": "b"}}
    again = ConflictPolicy(on_deleted=OnDeleted.RECREATE, server_fields=policy.server_fields)
    patch = Dispute(PATCH, {"data": {"n": 2}}, Gone("404"), base)
    assert answered(patch, again).body == {"data": {"n": 2}}


@pytest.mark.parametrize("etag", [None, 'W/"2"'])
def test_without_a_version_nothing_is_overwritten_blindly(etag):
    """A merge that cannot be guarded is asked about, unless the policy says that it may go."""
    dispute, theirs = Dispute(PUT, {"n": 2, "t": "a"}, Stale("409"), BASE), other({"n": 1, "t": "b"}, etag)

    assert read(dispute, theirs).reason == "the server names no version that the merged write could be based on"
    assert read(dispute, theirs, ConflictPolicy(unguarded=True)).if_match is None


def test_a_kind_that_merges_nothing_asks_with_a_report():
    """Without rules every conflict goes to the inbox, with what a merge would show."""
    found = read(
        Dispute(PUT, {"n": 2, "t": "a"}, Stale("412"), BASE), other({"n": 1, "t": "b"}), ConflictPolicy(merge=None)
    )

    assert isinstance(found, Ask)
    assert len(found.report.fields) == 2


def test_rounds_are_bounded():
    """After five merged writes a person is asked, whatever the rules could still do."""
    theirs = other({"n": 1, "t": "b"})

    last = read(Dispute(PUT, {"n": 2, "t": "a"}, Stale("412"), BASE, rounds=4), theirs)
    over = read(Dispute(PUT, {"n": 2, "t": "a"}, Stale("412"), BASE, rounds=5), theirs)

    assert isinstance(last, MergeAndResend)
    assert over.reason == "412; the server holds other content; 5 merged writes were refused before it"
    with pytest.raises(ConfigError, match="max_rounds"):
        ConflictPolicy(max_rounds=-1)


def test_a_message_is_merged_as_it_is():
    """A POST that somebody reads back all the same is treated as a whole."""
    found = read(Dispute(POST, {"n": 2, "t": "a"}, Stale("409"), BASE), other(BASE))

    assert (found.verb, found.body) == (PUT, {"n": 2, "t": "a"})


def test_policies_by_kind():
    """A kind has its own policy or the default one."""
    own = ConflictPolicy(max_rounds=1)
    policies = ConflictPolicies({"note": own})

    assert policies.of("note") is own
    assert policies.of("list") == ConflictPolicy()


def test_other_steps_pass():
    """Nothing that is no conflict is touched."""
    dispute = Dispute(PUT, {}, Stale("412"))

    assert answered(Dispute(PUT, {}, Applied("v1"))) == Keep(Deliver("v1"))
    assert after_reading(ConflictPolicy(), dispute, Theirs(Missing()), Compare("x")).resolution is Resolution.RETRY
