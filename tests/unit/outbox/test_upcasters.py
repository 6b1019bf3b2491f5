"""Bodies are led from the version that they were queued with to the newest that is known."""

import json

import pytest

from outlast.engines.op import Verb
from outlast.errors import ConfigError
from outlast.outbox import Op, Upcasters


def op(body=b'{"n": 1}', **fields):
    """Make a write as the outbox would hold it."""
    known = {
        "seq": 1, "generation": 0, "key": "k:1:0", "lane": 7, "verb": Verb.PUT, "kind": "note", "entity": "a",
        "target": None, "body": body, "content_type": "application/json", "if_match": None, "created_at": 0.0,
    }  # fmt: skip
    return Op(**{**known, **fields})


def counting(*versions):
    """Register steps that add one to `n` and say which they were."""
    upcasters = Upcasters()
    for version in versions:
        upcasters.register("note", version)(
            lambda body, op, version=version: {"n": body["n"] + 1, "by": [*body.get("by", []), version]}
        )
    return upcasters


def test_every_step_is_taken_once_and_in_order():
    """From the version of the write to the newest, and no further back."""
    upcasters = counting(2, 0, 1)
    assert json.loads(upcasters.upcast(op()).body) == {"n": 4, "by": [0, 1, 2]}
    assert json.loads(upcasters.upcast(op(schema=1)).body) == {"n": 3, "by": [1, 2]}
    assert upcasters.upcast(op()).schema == upcasters.newest("note") == 3


@pytest.mark.parametrize("write", [op(schema=1), op(kind="other")], ids=["newest", "unknown kind"])
def test_what_needs_nothing_is_left_alone(write):
    """The very same write comes back."""
    assert counting(0).upcast(write) is write


def test_the_base_is_led_too():
    """It would be compared with what the server holds in its newest shape."""
    led = counting(0).upcast(op(base=b'{"n": 5}'))
    assert json.loads(led.base) == {"n": 6, "by": [0]}


def test_a_delete_has_nothing_to_lead():
    """Only its version becomes the newest."""
    led = counting(0).upcast(op(None, verb=Verb.DELETE))
    assert (led.body, led.schema) == (None, 1)


def test_what_is_no_json_is_led_as_bytes():
    """The function gets and makes bytes."""
    upcasters = Upcasters()
    upcasters.register("note", 0)(lambda body, op: body + b"!")
    assert upcasters.upcast(op(b"text", content_type="text/plain")).body == b"text!"


def test_a_vendors_json_is_json():
    """A structured suffix says so (RFC 6839)."""
    led = counting(0).upcast(op(content_type="application/vnd.note+json; charset=utf-8"))
    assert json.loads(led.body)["n"] == 2


def refuse(body, op):
    """Fail as a function with a mistake does."""
    raise KeyError("name")


@pytest.mark.parametrize(
    ("upcasters", "write", "message"),
    [
        (counting(0), op(schema=2), "schema: the write has version 2 of 'note', and this program knows up to 1"),
        (counting(0, 2), op(), "schema: nothing leads 'note' from version 1 to 2"),
        (counting(0), op(b"no json"), "schema: version 0 of 'note' cannot be led to 1: JSONDecodeError"),
        (counting(0), op(b"text", content_type="text/plain"), "schema: version 0 of 'note' cannot be led to 1: Type"),
    ],
    ids=["newer", "gap", "no JSON", "wrong type"],
)
def test_what_cannot_be_led_says_why(upcasters, write, message):
    """The error names the kind and the versions; for showing, the write stays as it is."""
    with pytest.raises(ConfigError) as caught:
        upcasters.upcast(write)
    assert str(caught.value).startswith(message)
    assert upcasters.show(write) is write


def test_a_mistake_in_a_function_names_the_step():
    """So does one that makes anything but bytes of bytes."""
    upcasters = counting(0)
    upcasters.register("note", 1)(refuse)
    with pytest.raises(ConfigError, match="version 1 of 'note' cannot be led to 2: KeyError: 'name'"):
        upcasters.upcast(op())
    other = Upcasters()
    other.register("note", 0)(lambda body, op: {"n": 1})
    with pytest.raises(ConfigError, match="made dict of bytes"):
        other.upcast(op(b"text", content_type="text/plain"))


@pytest.mark.parametrize("version", [0, -1, True, "1"])
def test_a_version_that_cannot_be_registered_is_refused(version):
    """It is taken, or it is none."""
    upcasters = counting(0)
    with pytest.raises(ConfigError, match="upcaster"):
        upcasters.register("note", version)(refuse)
