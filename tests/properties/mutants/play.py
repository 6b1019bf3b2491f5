"""Plant each fault in a module of the source and run the tests that must notice; test_mutants.py starts this program.

It reads a list of mutants as JSON from standard input and writes pytest's exit code and last words for each, as JSON,
to standard output. Every mutant gets a fork of this process, which has the slow imports behind it; as many run at once
as there are processors. The fault is in what is imported and no file is changed, so all else is compiled already.
"""

import json
import os
import sys
import tempfile
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

import hypothesis.stateful
import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "outlast"


def main():
    """Play every mutant and print the results."""
    # A failure is enough; nobody wants the shortest example of it. What is tried depends on all source: try more.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, phases=phases, max_examples=300)
    os.environ["OUTLAST_HYPOTHESIS"] = "mutants"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    results, running = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for number, mutant in enumerate(json.load(sys.stdin)):
            fault, output = Fault(mutant), Path(folder) / str(number)
            if len(running) >= (os.cpu_count() or 1):
                reap(running, results)
            running[fork(fault, mutant["tests"], output)] = (mutant["name"], output)
        while running:
            reap(running, results)
    json.dump(results, sys.stdout)


class Fault(SourceFileLoader):
    """Load a module of the package with a fault in it."""

    def __init__(self, mutant):
        module = mutant["module"] or "__init__.py"
        name = ".".join(("outlast", *Path(module).with_suffix("").parts)).removesuffix(".__init__")
        super().__init__(name, str(SOURCE / module))
        text = self.get_source(name)
        if mutant["module"] and text.count(mutant["old"]) != 1:
            sys.exit(f"{mutant['name']}: the text to replace stands {text.count(mutant['old'])} times in {module}")
        self.text = text.replace(mutant["old"], mutant["new"]) if mutant["module"] else text

    def find_spec(self, name, _path=None, _target=None) -> ModuleSpec | None:
        """Say of one module that it comes from here; nothing is known of the others."""
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, _name):
        """Compile what was written into it."""
        return compile(self.text, self.path, "exec", dont_inherit=True)


def fork(fault, tests, output):
    """Run tests with a fault in a fork of this process, whose id is returned."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        code = run(fault, tests)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def reap(running, results):
    """Wait for one of the forks and keep the exit code and the last words of its pytest."""
    child, status = os.wait()
    name, output = running.pop(child)
    results[name] = os.waitstatus_to_exitcode(status), output.read_text()[-2000:]


def run(fault, tests):
    """Run tests with a fault."""
    sys.meta_path.insert(0, fault)
    os.chdir(ROOT)
    # A fault that lets a test run for ever is noticed as well, but costs as much as all others: tests have bounds.
    plugins = ("-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider")
    code = int(pytest.main(["-x", "-q", "--assert=plain", "--timeout=60", *plugins, *tests]))
    assert sys.modules[fault.name].__loader__ is fault, "the tests never imported the fault"
    return code


if __name__ == "__main__":
    main()
