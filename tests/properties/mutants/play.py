"""Plant each fault in a copy of the source and run the tests that must notice it; test_mutants.py starts this program.

It reads a list of mutants as JSON from standard input and writes pytest's exit code and last words for each, as JSON,
to standard output. Every mutant gets a fork of this process, which has the slow imports behind it; as many run at once
as there are processors.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import hypothesis.stateful
import pytest

ROOT = Path(__file__).parents[3]


def main():
    """Play every mutant and print the results."""
    # A failure is enough; nobody wants the shortest example of it. What is tried depends on all source: try more.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, phases=phases, max_examples=300)
    os.environ["OUTLAST_HYPOTHESIS"] = "mutants"
    results, running = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for number, mutant in enumerate(json.load(sys.stdin)):
            source = Path(folder) / str(number)
            shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("lab", "cli"))
            plant(source, mutant)
            if len(running) >= (os.cpu_count() or 1):
                reap(running, results)
            running[fork(source, mutant["tests"])] = (mutant["name"], source)
        while running:
            reap(running, results)
    json.dump(results, sys.stdout)


def plant(source, mutant):
    """Write one mutant into its copy."""
    if mutant["module"]:
        path = source / "outlast" / mutant["module"]
        text = path.read_text()
        if text.count(mutant["old"]) != 1:
            sys.exit(f"{mutant['name']}: the text to replace stands {text.count(mutant['old'])} times in {path.name}")
        path.write_text(text.replace(mutant["old"], mutant["new"]))


def fork(source, tests):
    """Run tests against a copy of the source in a fork of this process, whose id is returned."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.dup2(os.open(source / "output.txt", os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        code = run(source, tests)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def reap(running, results):
    """Wait for one of the forks and keep the exit code and the last words of its pytest."""
    child, status = os.wait()
    name, source = running.pop(child)
    results[name] = os.waitstatus_to_exitcode(status), (source / "output.txt").read_text()[-2000:]


def run(source, tests):
    """Run tests against a copy of the source."""
    sys.path.insert(0, str(source))
    os.chdir(ROOT)
    import outlast

    assert Path(outlast.__file__).is_relative_to(source)
    # A fault that lets a test run for ever is noticed as well, but costs as much as all others: tests have bounds.
    return int(pytest.main(["-x", "-q", "--assert=plain", "--timeout=60", "-p", "no:cacheprovider", *tests]))


if __name__ == "__main__":
    main()
