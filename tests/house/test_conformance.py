"""The conformance suite stays true: each demand has a fault, which can be planted, and the page shows them all."""

import json
import subprocess
import sys

import pytest

from house import ROOT

HERE = ROOT / "bench" / "conformance"
PAGE = ROOT / "docs" / "reference" / "conformance.md"
LEAST = 60
LONGEST = 250

TELL = """
import json, adapters, mutants, rows
told = {"rows": list(rows.load()), "mutants": mutants.MUTANTS, "end": mutants.END, "peers": list(adapters.HOMES)}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def suite():
    """The ids of the demands, the faults and the libraries, told without any library but the standard one."""
    told = subprocess.run((sys.executable, "-c", TELL), cwd=HERE, capture_output=True, text=True, check=True)
    return json.loads(told.stdout)


def test_every_demand_has_a_fault_of_its_own(suite):
    """There are enough demands, each has a fault that it is there to catch, and no fault is for one that is gone."""
    assert len(suite["rows"]) >= LEAST
    assert sorted(suite["mutants"]) == sorted(suite["rows"])


def test_faults_are_distinct(suite):
    """No two demands share a fault."""
    faults = [json.dumps(fault) for fault in suite["mutants"].values()]
    assert len(set(faults)) == len(faults)


def test_faults_can_be_planted(suite):
    """Each text that a fault replaces stands once in the source; `make conformance ARGS=--mutants` plants it."""
    gone = [
        f"{row}: {module} holds it {count} times"
        for row, fault in suite["mutants"].items()
        for module, old, _ in fault
        if (count := ((ROOT / "src" / "outlast" / module).read_text() + suite["end"]).count(old)) != 1
    ]
    assert not gone


def test_page_shows_every_demand_and_we_are_green(suite):
    """Our column, the first, says yes on every line of the page, and every demand has a line."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(lines) == len(suite["rows"])
    assert [line for line in lines if line.split(" | ")[1].strip() != "yes"] == []


def test_page_has_a_column_for_every_library(suite):
    """Ours and at least six others, in the order of the adapters."""
    head = next(line for line in PAGE.read_text().splitlines() if line.startswith("| demand"))
    assert [cell.strip() for cell in head.strip("|").split("|")][1:] == suite["peers"]
    assert len(suite["peers"]) > 6


def test_files_of_the_suite_can_be_read():
    """No file of demands, faults or adapters is longer than a reader can take in."""
    files = [path for folder in ("rows", "mutants", "adapters") for path in (HERE / folder).glob("*.py")]
    assert len(files) > 40
    assert [path.name for path in files if len(path.read_text().splitlines()) > LONGEST] == []
