"""`outlast explain` and the file that it reads."""

import json
import textwrap

import pytest

from outlast import cli
from outlast.cli._exit import ExitCode
from outlast.errors import ConfigError, DuplicateNameError
from outlast.policies import load_pipelines
from outlast.registry import Registry

GOOD = """\
pipelines:
  payments:
    - timeout: 5s
    - retry: {attempts: 4, idempotent: true, backoff: {base: 50ms, cap: 1s, jitter: full}}
    - circuit_breaker: {name: payments, open_for: 5s}
    - timeout: 800ms
  reports:
    - retry: {attempts: 2, idempotent: true, stand_down: false}
    - pipeline: payments
"""


@pytest.fixture
def explain(tmp_path, capsys):
    """Run the command on a text and return its code, output and complaint."""

    def run(text, *options):
        path = tmp_path / "pipelines.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        with pytest.raises(SystemExit) as caught:
            cli.main(["explain", str(path), *options])
        said = capsys.readouterr()
        return caught.value.code, said.out, said.err.replace(str(path), "FILE")

    return run


def test_tree_worst_case_and_findings(explain):
    """Each pipeline is shown with what it costs at worst and what looks wrong."""
    code, out, err = explain(GOOD)

    assert (code, err) == (0, "")
    first, second = out.split("\n\n")
    assert first == textwrap.dedent("""\
        pipeline 'payments'
        └─ timeout 'timeout': 5 s
           └─ retry: up to 4 attempts, waits from 0.05 s, x 2, at most 1 s, anything from 0 to that
              └─ circuit breaker 'payments': opens for 5 s after 5 failures in a row; then at most 3 probes at once, \
2 successes close it
                 └─ timeout 'timeout': 0.8 s
                    └─ the call
        worst case of one call: 5 s, 4 calls of the function""")
    assert "8 calls of the function" in second
    assert "error nested-retries: retry > retry: attempts multiply to 2 x 4 = 8 calls" in second
    assert "\n  -> retry in one place only" in second


def test_json(explain):
    """With --json the same comes as one object."""
    code, out, _ = explain(GOOD, "--json")
    payments, reports = json.loads(out)["pipelines"]

    assert code == 0
    assert (payments["name"], payments["worst_latency"], payments["worst_calls"]) == ("payments", 5.0, 4)
    assert payments["tree"][0] == {"depth": 0, "text": "timeout 'timeout': 5 s"}
    assert payments["findings"] == []
    assert reports["findings"][0].keys() == {"code", "severity", "where", "why", "remedy"}


def test_strict(explain):
    """With --strict a finding of severity error fails the command; lesser ones do not."""
    assert explain(GOOD, "--strict")[0] == ExitCode.FINDINGS
    assert explain("pipelines: {a: [retry]}", "--strict")[0] == 0


def test_no_limit_is_null(explain):
    """A latency without a bound is null in JSON and in words otherwise."""
    assert (
        json.loads(explain("pipelines: {a: [circuit_breaker]}", "--json")[1])["pipelines"][0]["worst_latency"] is None
    )
    assert (
        "worst case of one call: no limit in time, 1 call of the function" in explain("pipelines: {a: [retry: 1]}")[1]
    )


def test_nothing_in_it(explain):
    """An empty file is not an error."""
    assert explain("")[:2] == (0, explain("pipelines:")[1])
    assert explain("")[1].endswith("there is no pipeline in it\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD.replace("base:", "bse:"),
            """FILE:4: pipelines.payments[1].retry.backoff.bse: unknown setting; \
there are: amount, base, cap, factor, jitter, step, waits; did you mean base?""",
        ),
        (GOOD.replace("circuit_breaker", "circuit_braker"), "did you mean circuit_breaker?"),
        (GOOD.replace("800ms", "800 mss"), "FILE:6: pipelines.payments[3].timeout.seconds: must be a number"),
        (
            GOOD.replace("open_for: 5s", "open_for: 0"),
            "FILE:5: pipelines.payments[2].circuit_breaker.open_for: must be",
        ),
        (GOOD.replace("pipeline: payments", "pipeline: payment"), "FILE:9: pipelines.reports[1].pipeline: no pipeline"),
        (
            GOOD.replace("pipelines:", "pipeline:"),
            "FILE:1: pipeline: unknown setting; there are: pipelines; did you mean",
        ),
        ("- retry\n", "FILE:1: must have the key `pipelines`"),
        ("pipelines: [retry]\n", "FILE:1: pipelines: must be a mapping from names to lists"),
        ("pipelines: {a: {retry: 3}}\n", "FILE:1: pipelines.a: must be a list of policies"),
        ("pipelines:\n  a: [\n", "FILE:3: is not YAML"),
    ],
)
def test_wrong_file(explain, text, said):
    """A wrong file is answered with the line, the path and a suggestion, and its own exit code."""
    code, out, err = explain(text)

    assert (code, out) == (ExitCode.MALFORMED_INPUT, "")
    assert err.startswith("outlast: ")
    assert said in err


def test_wrong_file_in_json(explain):
    """With --json a wrong file is described on standard output too."""
    code, out, _ = explain(GOOD.replace("base:", "bse:"), "--json")

    assert code == ExitCode.MALFORMED_INPUT
    error = json.loads(out)["error"]
    assert (error["line"], error["path"], error["suggestion"]) == (4, "pipelines.payments[1].retry.backoff.bse", "base")


def test_missing_file(capsys, tmp_path):
    """A file that is not there is a mistake on the command line."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["explain", str(tmp_path / "no.yaml")])

    assert caught.value.code == ExitCode.USAGE
    assert "there is no such file" in capsys.readouterr().err


def test_loaded_pipelines_work(tmp_path):
    """What a file describes runs, and is registered by name."""
    path, registry = tmp_path / "p.yaml", Registry()
    path.write_text(GOOD.replace("800ms", "{seconds: 800ms, mode: cooperative}").replace("5s\n", "9s\n", 0))
    with pytest.raises(ConfigError):
        load_pipelines(path, registry=registry)["payments"].call(len, "fine")
    path.write_text("pipelines: {payments: [retry, circuit_breaker: payments]}")

    loaded = load_pipelines(path, registry=registry)

    assert loaded["payments"].call(len, "fine") == 4
    assert registry.get("circuit_breaker", "payments") is loaded["payments"].policies[1]
    with pytest.raises(DuplicateNameError) as caught:
        load_pipelines(path, registry=registry)
    assert caught.value.line == 1
