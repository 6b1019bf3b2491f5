"""Records become writes that a second run knows again."""

import pytest

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._options import Shape
from outlast.cli._queue import _missing
from outlast.cli._records import Record
from outlast.cli._template import Template
from outlast.cli._writes import plan_writes
from outlast.outbox import Verb

NOTES = Template.parse("http://host/notes/{id}")
INBOX = Template.parse("http://host/inbox")


def record(line, text, **fields):
    """Return a record."""
    return Record(line, fields, text)


def plan(template, shape, *records):
    """Plan the writes of records."""
    return plan_writes("in.jsonl", records, template, shape)


@pytest.mark.parametrize(
    ("shape", "body", "content_type"),
    [
        pytest.param(Shape(verb=Verb.PUT), b'{"id":1}', "application/json", id="put"),
        pytest.param(Shape(verb=Verb.CREATE, wrap='da"ta'), b'{"da\\"ta":{"id":1}}', "application/json", id="wrapped"),
        pytest.param(Shape(verb=Verb.PUT, content_type="text/x"), b'{"id":1}', "text/x", id="content-type"),
        pytest.param(Shape(verb=Verb.DELETE), None, "application/json", id="delete"),
    ],
)
def test_write_holds_what_is_sent(shape, body, content_type):
    """The body is the record, wrapped if asked for; a delete has none."""
    (found,) = plan(NOTES, shape, record(1, '{"id":1}', id=1))

    write = found.named(1)
    assert (write.verb, write.target, write.entity) == (shape.verb, "http://host/notes/1", "1")
    assert (write.body, write.content_type) == (body, content_type)


def test_same_address_twice_is_refused():
    """Two records for one address name both lines; the same text twice is no better."""
    records = [record(1, "{}", id=1), record(2, "{}", id=2), record(3, "{}", id="1")]

    with pytest.raises(CommandError, match=r"in\.jsonl:3: '1' stands on line 1 already") as caught:
        plan(NOTES, Shape(verb=Verb.PUT), *records)

    assert caught.value.code is ExitCode.DUPLICATE_ID


def test_same_name_twice_is_refused_for_messages():
    """Messages share an address, but where --id names them no name may come twice."""
    records = [record(1, "{}", key="a"), record(2, "{}", key="a")]

    assert len(plan(INBOX, Shape(verb=Verb.POST), *records)) == 2
    with pytest.raises(CommandError, match=r"in\.jsonl:2: 'a' stands on line 1 already"):
        plan(INBOX, Shape(verb=Verb.POST, id_field="key"), *records)


def test_equal_messages_are_told_apart():
    """Two equal records of one input are two messages, each with a name and a lane of its own."""
    found = plan(INBOX, Shape(verb=Verb.POST), *(record(line, "{}") for line in (1, 2)))

    writes = [one.named(one.repeat) for one in found]
    assert writes[0].once != writes[1].once
    assert writes[0].lane_id != writes[1].lane_id
    assert [write.entity for write in writes] == ["line 1", "line 2"]


def test_address_without_field_is_refused():
    """A template that sends every record to one address is a mistake unless they are messages."""
    with pytest.raises(CommandError, match="all records would go to one address") as caught:
        plan(INBOX, Shape(verb=Verb.PUT), record(1, "{}"))

    assert caught.value.code is ExitCode.BAD_TARGET


@pytest.mark.parametrize("id_field", [None, "ident"])
def test_unknown_field_is_refused(id_field):
    """A field that no record has is a wrong template, not many wrong records."""
    with pytest.raises(CommandError, match="did you mean"):
        plan(Template.parse("http://host/{iden}" if id_field is None else "http://host/{idents}"),
             Shape(verb=Verb.PUT, id_field=id_field), record(1, "{}", idents=1))  # fmt: skip


def test_no_records_is_no_mistake():
    """An empty input plans nothing."""
    assert plan(NOTES, Shape(verb=Verb.PUT)) == []


def test_record_without_its_field_names_its_line():
    """A field that some records lack is a matter of those lines."""
    with pytest.raises(CommandError, match=r"in\.jsonl:2: the field 'id' is missing") as caught:
        plan(NOTES, Shape(verb=Verb.PUT), record(1, "{}", id=1), record(2, "{}"))

    assert caught.value.code is ExitCode.MALFORMED_INPUT


def test_edit_and_edit_back_are_both_queued():
    """What counts is what was asked of an address last: the same content after another one is new."""
    first, second = (plan(NOTES, Shape(verb=Verb.PUT), record(1, text, id=1))[0] for text in ("a", "b"))
    names, older, queued = [], set(), []
    for seq, planned in enumerate([first, first, second, second, first], start=1):
        write = _missing(planned, names, older)
        if write is not None:
            names.append((write.once, seq))
            queued.append(seq)

    assert queued == [1, 3, 5]
    assert older == {1, 3}
    assert len({name for name, _ in names}) == 3


def test_method_is_part_of_what_is_known():
    """A delete of what was put before is new."""
    put, delete = (plan(NOTES, Shape(verb=verb), record(1, "{}", id=1))[0] for verb in (Verb.PUT, Verb.DELETE))

    assert put.place == delete.place
    assert put.content != delete.content
