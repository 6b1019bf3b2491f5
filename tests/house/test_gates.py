"""The programs of `make check` themselves: what they accept, and what they refuse."""

import json
import sys

import pytest

import check
import coverage_gate
import fragments
import interpreters
from house import SOURCE


def report(tmp_path, **files):
    """Write a report as coverage.py does, from (lines reached, lines, branches reached, branches) of each module."""
    entries = {}
    for module, (lines, of_lines, branches, of_branches) in files.items():
        entries[str(SOURCE / "outlast" / module.replace("__", "/")) + ".py"] = {
            "summary": {
                "covered_lines": lines,
                "num_statements": of_lines,
                "covered_branches": branches,
                "num_branches": of_branches,
            },
            "missing_lines": [7] * (of_lines - lines),
            "missing_branches": [[7, 9]] * (of_branches - branches),
        }
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps({"files": entries}))
    return path


def test_engines_and_errors_must_be_whole(tmp_path):
    """One branch of an engine that no test takes is too many, and it is named."""
    tallies, gaps = coverage_gate.rooms(
        report(tmp_path, engines__breaker=(99, 99, 19, 20), errors___tree=(50, 50, 0, 0))
    )

    assert coverage_gate.low(tallies) == ["engines"]
    assert [gap.split("outlast/")[1] for gap in gaps] == ["engines/breaker.py: lines [], branches [[7, 9]]"]


def test_other_rooms_need_nine_tenths_together(tmp_path):
    """A room is judged by all of its modules, a module by none but its room."""
    tallies, _ = coverage_gate.rooms(
        report(
            tmp_path,
            cache___a=(10, 20, 0, 0),
            cache___b=(100, 100, 0, 0),
            http___a=(80, 100, 0, 0),
            clock=(9, 10, 0, 0),
        )
    )

    assert coverage_gate.low(tallies) == ["http"]


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        pytest.param("12.feature.md", True, id="issue"),
        pytest.param("+words.bugfix.md", True, id="no-issue"),
        pytest.param("12.feature.1.md", True, id="second-of-one-issue"),
        pytest.param("12.wonder.md", False, id="unknown-type"),
        pytest.param("feature.md", False, id="no-issue-part"),
    ],
)
def test_fragment_names(name, fits):
    """A fragment's name says to what it belongs and of which type it is."""
    assert (fragments.misnamed([name], {"feature", "bugfix"}) == []) is fits


def test_interpreter_that_does_not_start_is_not_found(tmp_path, monkeypatch):
    """A shim that only prints an error is no Python, and the next candidate is tried."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shim = tmp_path / f"python{version}"
    shim.write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    assert interpreters.find(version) is None

    (tmp_path / ".pyenv" / "versions" / f"{version}.99" / "bin").mkdir(parents=True)
    (tmp_path / ".pyenv" / "versions" / f"{version}.99" / "bin" / f"python{version}").symlink_to(sys.executable)
    found = interpreters.find(version)
    assert found is not None
    assert found != shim


def test_summary_keeps_pytests_closing_line():
    """The line of the test gate says what pytest said, also where output follows it."""
    output = "tests/a.py ....\n===== 3 failed, 2 passed in 1.20s =====\nmake[1]: *** [test] Error 1\n"

    result = check.Result(check.TESTS[0], 1, 2.0, output)

    assert result.note == "3 failed, 2 passed in 1.20s"
    assert check.line_of(result).startswith("FAILED tests ")


def test_failing_gate_fails_the_check(capsys, monkeypatch):
    """One gate that fails makes the exit code 1 and shows its output; a passing one stays silent."""
    bad = check.Gate("bad", "nothing", (sys.executable, "-c", "print('the reason'); raise SystemExit(3)"))
    good = check.Gate("good", "nothing", (sys.executable, "-c", "print('chatter')"))
    monkeypatch.setattr(check, "STATIC", (bad, good))

    code = check.main(["bad", "good"])

    said = capsys.readouterr().out
    assert code == 1
    assert "the reason" in said
    assert "chatter" not in said
    assert said.endswith("\nFAILED: bad\n")
    assert check.main(["good"]) == 0
    assert check.main(["no-such-gate"]) == 2
