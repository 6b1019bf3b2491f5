"""Run every gate and say in one line each how it went; `make check` is this program.

Gates that read files run first, two at a time, then the tests with their output shown as it comes, then the gates that
need what the tests measured. A gate's own output is printed only where it failed. Name gates to run those alone:
`make check ARGS="lint mypy"`.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from house import ROOT
from interpreters import SUPPORTED

_BIN = ROOT / ".venv" / "bin"
_SCRIPTS = ROOT / "scripts"


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that must hold: its name, what it holds, and the command that says so by its exit code."""

    name: str
    holds: str
    command: tuple[str, ...]
    live: bool = False  # its output is shown as it comes


@dataclass(frozen=True, slots=True)
class Result:
    """How a gate went."""

    gate: Gate
    code: int
    seconds: float
    output: str

    @property
    def note(self) -> str:
        """The one line of output that belongs in the summary: pytest's closing line, or why a gate was skipped."""
        lines = [line.strip("= ") for line in self.output.splitlines()]
        closing = [line for line in lines if re.search(r"\d+ (passed|failed|errors?)\b.* in [\d.]+s", line)]
        return (closing or [line for line in lines if line.startswith("skipped:")] or [""])[-1]


def tool(name: str, holds: str, *command: str) -> Gate:
    """Make a gate of a program in the environment."""
    return Gate(name, holds, (str(_BIN / command[0]), *command[1:]))


def script(name: str, holds: str, file: str, *arguments: str) -> Gate:
    """Make a gate of one of the programs beside this one."""
    return Gate(name, holds, (str(_BIN / "python"), str(_SCRIPTS / file), *arguments))


STATIC = (
    tool("mypy", "types, as mypy strict sees them", "mypy"),
    tool("pyright", "types, as pyright strict sees them", "basedpyright"),
    tool("format", "the code is formatted", "ruff", "format", "--check"),
    tool("lint", "the linter finds nothing", "ruff", "check"),
    tool("layers", "rooms import only from the layers below", "lint-imports"),
    script("purity", "engines touch no clock, chance, I/O or loop", "engine_purity.py"),
    script("libraries", "every library stays in its rooms", "libraries.py"),
    script("size", "no module above 400 lines", "module_size.py"),
    script("exemptions", "few silencing comments, each with its code or reason", "exemptions.py"),
    script("sleeping", "unit and property tests never really sleep", "sleeping.py"),
    script("changes", "the change is written up in changes/", "fragments.py"),
    script("docs", "links resolve, generated parts are current", "docs.py", "--check"),
)
TESTS = (Gate("tests", "make test", ("make", "--no-print-directory", "test"), live=True),)
MEASURED = (
    script("coverage", "engines and errors 100 %, other rooms 90 %", "coverage_gate.py"),
    *(script(f"python{v}", f"unit and property tests on {v}", "pythons.py", v) for v in SUPPORTED[1:]),
)


def run(gate: Gate) -> Result:
    """Run a gate to its end; keep its output, and show it meanwhile where the gate asks for that."""
    started = time.monotonic()
    lines: list[str] = []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        gate.command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            if gate.live:
                print(line, end="", flush=True)
    return Result(gate, process.returncode, time.monotonic() - started, "".join(lines))


def run_all(gates: Iterable[Gate], at_once: int) -> list[Result]:
    """Run the gates, `at_once` at a time; print each line as it is known."""
    results: list[Result] = []
    with ThreadPoolExecutor(at_once) as pool:
        for done in as_completed([pool.submit(run, gate) for gate in gates]):
            results.append(done.result())
            print(line_of(results[-1]), flush=True)
            if results[-1].code != 0 and not results[-1].gate.live:
                print(results[-1].output.rstrip(), flush=True)
    return results


def line_of(result: Result) -> str:
    """Return a gate's line of the summary."""
    verdict = "ok    " if result.code == 0 else "FAILED"
    return f"{verdict} {result.gate.name:<10} {result.seconds:6.1f} s  {result.note or result.gate.holds}"


def main(names: list[str]) -> int:
    """Run the gates called `names` (all of them without names), sum up, return 1 if any failed."""
    known = {gate.name for gate in (*STATIC, *TESTS, *MEASURED)}
    if unknown := set(names) - known:
        print(f"no such gate: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
        return 2
    started = time.monotonic()
    results: list[Result] = []
    for group, at_once in ((STATIC, 2), (TESTS, 1), (MEASURED, 2)):
        results += run_all([gate for gate in group if not names or gate.name in names], at_once)
    failed = [result.gate.name for result in results if result.code != 0]
    print(f"\n{len(results)} gates in {time.monotonic() - started:.0f} s:")
    print("\n".join(line_of(result) for result in results))
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nall gates hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
