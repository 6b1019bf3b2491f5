"""Where a record goes: templates that are checked before anything is sent."""

import pytest

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._template import Template, UnfitError, origin_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "the address is empty", id="empty"),
        pytest.param("ftp://host/{id}", "ftp:// is not supported", id="scheme"),
        pytest.param("host/{id}", "the scheme is missing", id="no-scheme"),
        pytest.param("http:///{id}", "the host is missing", id="no-host"),
        pytest.param("http://{id}.host/", "fields may not stand in the host", id="field-in-host"),
        pytest.param("http://me:secret@host/{id}", "give them with --header", id="password"),
        pytest.param("http://host:port/{id}", "not a URL", id="port"),
        pytest.param("http://[::1/{id}", "not a URL", id="bracket"),
        pytest.param("http://host/{id", "a brace is without its partner", id="open-brace"),
        pytest.param("http://host/}{id}", "a brace is without its partner", id="closed-brace"),
        pytest.param("http://host/{}", "{} needs the name of a field", id="nameless"),
        pytest.param("http://host/{id}#part", "never sent", id="fragment"),
        pytest.param("http://host/a b/{id}", "no blanks", id="blank"),
        pytest.param("http://hösť/{id}", "nothing outside of ASCII", id="non-ascii"),
    ],
)
def test_bad_template_is_refused(text, said):
    """Each way to get an address wrong has its own words."""
    with pytest.raises(CommandError) as caught:
        Template.parse(text)

    assert caught.value.code is ExitCode.BAD_TARGET
    assert said in caught.value.text


@pytest.mark.parametrize(
    ("record", "url"),
    [
        ({"id": "a/b c?#%", "x": 1}, "http://host/n/a%2Fb%20c%3F%23%25?x=1"),
        ({"id": 7, "x": 1.5}, "http://host/n/7?x=1.5"),
        ({"id": "ä.b", "x": "{id}"}, "http://host/n/%C3%A4.b?x=%7Bid%7D"),
    ],
)
def test_values_are_percent_encoded(record, url):
    """A value fills its place and can never change the rest of the address."""
    assert Template.parse("http://host/n/{id}?x={x}").fill(record) == url


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "'id' is missing"),
        ({"id": None}, "'id' is null"),
        ({"id": ""}, "'id' is empty"),
        ({"id": "  "}, "'id' is empty"),
        ({"id": True}, "not true or false"),
        ({"id": [1]}, "not a list"),
        ({"id": {}}, "not an object"),
        ({"id": ".."}, "'.' and '..' cannot stand"),
        ({"id": "\ud800"}, "surrogate"),
    ],
)
def test_record_that_does_not_fit_is_refused(record, said):
    """What cannot name a record is said."""
    with pytest.raises(UnfitError, match=said):
        Template.parse("http://host/n/{id}").fill(record)


def test_unknown_field_suggests_the_nearest():
    """A mistyped field names the one that was probably meant."""
    template = Template.parse("https://HOST:8080/{ident}/{x}")

    assert template.fields == ("ident", "x")
    assert template.origin == "https://host:8080"
    with pytest.raises(CommandError, match="did you mean 'iden'"):
        template.check_fields({"iden", "x"})
    with pytest.raises(CommandError, match="there are: a, b"):
        template.check_fields({"b", "a"})


def test_origin_is_scheme_host_and_port():
    """Two addresses of one server have one origin, however they are written."""
    assert origin_of("HTTP://Host:80/a?b") == origin_of("http://host:80/c")
