from __future__ import annotations

import dataclasses
import json
import math

import pytest

from outlast.engines.op import Verb
from outlast.errors import ConfigError
from outlast.outbox import Counts, Write, encode_body
from outlast.outbox._make_write import make_write


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"kind": ""}, "needs a kind and an entity", id="no-kind"),
        pytest.param({"entity": ""}, "needs a kind and an entity", id="no-entity"),
        pytest.param({"entity": 7}, "write.entity: must be a text, not int", id="entity-is-a-number"),
        pytest.param({"entity": "\ud800"}, "write.entity: holds half of a surrogate", id="half-a-character"),
        pytest.param({"target": b"x"}, "write.target: must be a text", id="target-is-bytes"),
        pytest.param({"lane": 3}, "write.lane: must be a text", id="lane-is-a-number"),
        pytest.param({"once": "\udfff"}, "write.once: holds half", id="half-a-character-in-a-name"),
        pytest.param({"body": None}, "a put needs a body", id="no-body"),
        pytest.param({"body": "text"}, "must be bytes, not str", id="body-is-text"),
        pytest.param({"if_match": '"1"\r\nx: y'}, "cannot be sent as a header", id="if-match-with-a-newline"),
        pytest.param({"if_match": '"é"'}, "cannot be sent as a header", id="if-match-outside-ascii"),
        pytest.param({"content_type": " text/plain"}, "cannot be sent as a header", id="content-type-with-a-blank"),
    ],
)
def test_a_write_that_nobody_could_deliver_is_refused(options, said):
    """It would be tried in vain for ever, or stop the writes of others, so it never gets into the outbox."""
    with pytest.raises(ConfigError, match=said):
        Write(**{"verb": Verb.PUT, "kind": "note", "entity": "n1", "body": b"{}", **options})


def test_a_delete_needs_no_body():
    """It is the only write that may come without one."""
    assert Write(verb=Verb.DELETE, kind="note", entity="n1").body is None


def test_a_lane_is_the_entitys_own_unless_it_is_named():
    """Writes of one entity share a lane, others do not, and a name joins what should be in order."""
    one = Write(verb=Verb.DELETE, kind="note", entity="n1")
    again = Write(verb=Verb.PUT, kind="note", entity="n1", body=b"")
    other_kind = Write(verb=Verb.DELETE, kind="list", entity="n1")
    named = [write._replace(lane="all") for write in (one, other_kind)]

    assert one.lane_id == again.lane_id != other_kind.lane_id
    assert named[0].lane_id == named[1].lane_id
    assert all(0 <= write.lane_id < 2**63 for write in (one, other_kind, *named))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param(b"\x00raw", b"\x00raw", id="bytes-as-they-are"),
        pytest.param(bytearray(b"raw"), b"raw", id="bytearray-as-it-is"),
        pytest.param(memoryview(b"raw"), b"raw", id="memoryview-as-it-is"),
        pytest.param("text", b'"text"', id="text-is-json"),
        pytest.param({"a": [1, None, True]}, b'{"a":[1,null,true]}', id="null-stays-null"),
        pytest.param({"é": "漢"}, '{"é":"漢"}'.encode(), id="unicode"),
    ],
)
def test_a_body_is_encoded(body, expected):
    """Bytes stay what they are; anything else is JSON."""
    assert encode_body(body) == expected


def nest(levels):
    """Make a list in a list in a list."""
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(object(), id="an-object"),
        pytest.param({"a": {1, object()}}, id="inside"),
        pytest.param({"a": math.nan}, id="nan-would-delete-in-a-patch"),
        pytest.param([(1, -math.inf)], id="infinity"),
        pytest.param({"a": None, "b": {"c": [math.nan]}}, id="nan-beside-a-true-null"),
        pytest.param("\ud800", id="half-a-character"),
        pytest.param(nest(100_000), id="nested-too-deeply"),
    ],
)
def test_what_is_no_json_is_refused(body):
    """Nothing is changed on the way into the outbox, and the caller learns of it at once."""
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        encode_body(body)


def test_a_record_class_may_be_a_body():
    """Dataclasses and the like are written as objects."""

    @dataclasses.dataclass
    class Note:
        text: str
        done: bool | None = None

    assert json.loads(encode_body(Note("x"))) == {"text": "x", "done": None}


def test_an_unknown_option_is_named():
    """A typing mistake does not silently drop a precondition."""
    with pytest.raises(ConfigError, match="if_matches"):
        make_write(Verb.PUT, "note", "n1", {}, {"if_matches": '"1"'})


def test_counts_add_up():
    """What is open is still to be delivered."""
    counts = Counts(ready=1, waiting=2, conflict=3, dead=4, delivered=5)

    assert (counts.open, counts.total) == (3, 15)
