"""The command with all its options, as far as nothing is queued or sent."""

import json

import pytest

from outlast import cli
from outlast.cli._exit import ExitCode

URL = "http://host/{id}"


@pytest.fixture
def push(tmp_path, monkeypatch, capsys):
    """Run `outlast push` in this process over a file with one record, and return code, output and errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"id": "a", "x": 1}\n')

    def run(*options):
        with pytest.raises(SystemExit) as caught:
            cli.main(["push", "in.jsonl", *options])
        assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
        said = capsys.readouterr()
        return caught.value.code, said.out, said.err

    return run


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param((), "say with --to", id="no-target"),
        pytest.param(("--to", URL, "--method", "PATCH"), "--at-least-once", id="patch"),
        pytest.param(("--to", URL, "--method", "POST", "--create"), "--create is a PUT", id="create-post"),
        pytest.param(("--to", URL, "--method", "GET"), "--method", id="method"),
        pytest.param(("--to", URL, "--patience", "soon"), "--patience", id="patience"),
        pytest.param(("--to", URL, "--call-timeout", "0s"), "--call-timeout", id="call-timeout"),
        pytest.param(("--to", URL, "--rate", "0"), "--rate", id="rate"),
        pytest.param(("--to", URL, "--rate", "nan"), "--rate", id="rate-nan"),
        pytest.param(("--to", URL, "--concurrency", "0"), "--concurrency", id="concurrency"),
        pytest.param(("--to", URL, "--header", "token"), "--header: number 1", id="header"),
        pytest.param(("--to", URL, "--idempotency-header", "a b"), "--idempotency-header", id="key-header"),
    ],
)
def test_wrong_option_is_said(push, options, said):
    """Every wrong option is named, and ends with the code for a wrong command line."""
    code, out, err = push(*options)

    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err
    assert "Traceback" not in err


def test_dry_run_shows_a_delete_without_body(push):
    """What has no body is shown without one."""
    code, out, _ = push("--to", URL, "--method", "DELETE", "--dry-run")

    assert code == 0
    assert "The first request: DELETE http://host/a\nGuarantee" in out


def test_dry_run_as_json(push):
    """Scripts may ask first as well."""
    code, out, _ = push("--to", URL, "--create", "--dry-run", "--json")

    shown = json.loads(out)
    assert code == shown["exit_code"] == 0
    assert (shown["records"], shown["method"], shown["first_url"]) == (1, "PUT", "http://host/a")


def test_help_names_every_option(push):
    """--help explains itself without a file."""
    code, out, _ = push("--help")

    assert code == 0
    assert all(option in out for option in ("--create", "--wrap", "--outbox", "--rate", "--patience", "--replay"))
