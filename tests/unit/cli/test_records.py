"""Reading the input: everything is checked, and every complaint names its line."""

import io
import sys

import pytest

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._records import InputFormat, format_of, read_records


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read bytes as a file called `in`."""

    def from_bytes(data, form=InputFormat.JSONL):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "in").write_bytes(data)
        return read_records("in", form)

    return from_bytes


def test_json_lines_keep_their_text(read):
    """A record is sent as it stands in the input, so that no number changes its form; blank lines count as lines."""
    records = read(b'\xef\xbb\xbf{"id": 1.10, "n": 1e400}\r\n\n {"id":"\xc3\xa4\xe2\x80\xa8b"} ')

    assert [(record.line, record.text) for record in records] == [
        (1, '{"id": 1.10, "n": 1e400}'),
        (3, '{"id":"ä\u2028b"}'),
    ]
    assert records[1].fields == {"id": "ä\u2028b"}


def test_csv_rows_become_texts(read):
    """The header names the members, every value is a text, and a quoted value may span lines."""
    records = read(b'id,text\r\n1,"two\r\nlines"\r\n\r\n007,\xc3\xa9\r\n', InputFormat.CSV)

    assert [(record.line, record.fields) for record in records] == [
        (2, {"id": "1", "text": "two\r\nlines"}),
        (5, {"id": "007", "text": "é"}),
    ]
    assert records[1].text == '{"id": "007", "text": "é"}'


def test_empty_input_has_no_records(read):
    """An empty export is no mistake."""
    assert read(b"\n  \n") == []


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [
        pytest.param(b'{"id": 1}\n{"id" 2}\n', "jsonl", ["in:2: not JSON: ", "column 7"], id="broken-json"),
        pytest.param(
            b'{"id": 1}\n[1]\n3\n"x"\ntrue\nnull\n', "jsonl", ["in:2: an object", "in:6: ", "null"], id="no-object"
        ),
        pytest.param(b'[\n{"id": 1}\n]', "jsonl", ["in:1: not JSON", "jq -c '.[]'"], id="list-over-lines"),
        pytest.param(b'{"id": NaN}', "jsonl", ["in:1: ", "NaN is no JSON number"], id="nan"),
        pytest.param(b'{"id": 1, "id": 2}', "jsonl", ["in:1: ", "'id' stands there twice"], id="member-twice"),
        pytest.param(b'{"a":' * 100_000, "jsonl", ["in:1: not JSON: nested too deeply"], id="deep"),
        pytest.param(b'{"id": ' + b"9" * 5000 + b"}", "jsonl", ["in:1: not JSON: ", "digits"], id="endless-number"),
        pytest.param(b'{"id": 1}\n{"id": "\xe9"}', "jsonl", ["in:2: byte 0xe9 is not UTF-8", "iconv"], id="latin-1"),
        pytest.param('{"id": 1}'.encode("utf-16"), "jsonl", ["in:1: looks like UTF-16"], id="utf-16"),
        pytest.param(b"", "csv", ["in:1: the header row is missing"], id="no-header"),
        pytest.param(b"id,,x\n1,2,3", "csv", ["in:1: a column of the header has no name"], id="nameless-column"),
        pytest.param(b"id,x,id\n1,2,3", "csv", ["in:1: the column 'id' stands in the header twice"], id="column-twice"),
        pytest.param(b"id,x\n1\n1,2\n1,2,3", "csv", ["in:2: 1 columns", "in:4: 3 columns"], id="wrong-width"),
        pytest.param(b'id,x\n1,2\n1,"2', "csv", ["in:3: not CSV: unexpected end of data"], id="open-quote"),
    ],
)
def test_malformed_input_names_its_lines(read, data, form, said):
    """What is wrong is said with file, line and remedy, and ends with its own code."""
    with pytest.raises(CommandError) as caught:
        read(data, InputFormat(form))

    assert caught.value.code is ExitCode.MALFORMED_INPUT
    assert [word for word in said if word not in caught.value.text] == []
    assert caught.value.text.endswith("Nothing was queued or sent.")


def test_many_problems_fit_on_a_screen(read):
    """Of many wrong lines the first ten are shown, and how many more there are."""
    with pytest.raises(CommandError) as caught:
        read(b"x\n" * 25)

    assert len(caught.value.text.splitlines()) == 12
    assert "... and 15 more" in caught.value.text


def test_missing_file_is_a_wrong_argument(tmp_path):
    """A file that is not there is said so, without a traceback."""
    with pytest.raises(CommandError, match="No such file") as caught:
        read_records(str(tmp_path / "none.jsonl"), InputFormat.JSONL)

    assert caught.value.code is ExitCode.USAGE


def test_standard_input_is_read(monkeypatch):
    """`-` is standard input, and is called so in messages."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 1}\nx')))

    with pytest.raises(CommandError, match="standard input:2: not JSON"):
        read_records("-", InputFormat.JSONL)


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("a.JSONL", None, "jsonl"),
        ("a.ndjson", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("-", None, "jsonl"),
        ("a.csv", "jsonl", "jsonl"),
    ],
)
def test_format_follows_the_name(name, wanted, expected):
    """The suffix tells the format unless it is given."""
    assert format_of(name, wanted and InputFormat(wanted)) is InputFormat(expected)


def test_unknown_suffix_asks_for_the_format():
    """A name that tells nothing asks for --format."""
    with pytest.raises(CommandError) as caught:
        format_of("a.txt", None)

    assert "--format" in caught.value.remedy
