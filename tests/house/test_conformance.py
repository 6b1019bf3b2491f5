"""The conformance suite stays true: its faults can be planted, and its page is about the demands that it has."""

import subprocess
import sys

import pytest

from house import ROOT

HERE = ROOT / "bench" / "conformance"
PAGE = ROOT / "docs" / "reference" / "conformance.md"
LEAST = 60


@pytest.fixture(scope="module")
def rows():
    """The ids of the demands, without any library but the standard one."""
    code = "import rows_breaker, rows_retry, rows_limits, stage; print(*stage.ROWS)"
    told = subprocess.run((sys.executable, "-c", code), cwd=HERE, capture_output=True, text=True, check=True)
    return told.stdout.split()


@pytest.fixture(scope="module")
def mutants():
    """The module that holds the faults."""
    namespace = {}
    exec((HERE / "mutants.py").read_text(), namespace)
    return namespace


def test_there_are_enough_demands_with_a_fault_of_their_own(rows, mutants):
    """At least 60 demands have a fault that they are there to catch, and no fault is for a demand that is gone."""
    faults = mutants["MUTANTS"]
    assert not faults.keys() - set(rows)
    assert len(faults) >= LEAST


def test_faults_are_distinct(mutants):
    """No two demands share a fault."""
    faults = [tuple(fault) for fault in mutants["MUTANTS"].values()]
    assert len(set(faults)) == len(faults)


def test_faults_can_be_planted(mutants):
    """Each text that a fault replaces stands once in the source; `make conformance ARGS=--mutants` plants it."""
    gone = [
        f"{row}: {module} holds it {count} times"
        for row, fault in mutants["MUTANTS"].items()
        for module, old, _ in fault
        if (count := ((ROOT / "src" / "outlast" / module).read_text() + mutants["END"]).count(old)) != 1
    ]
    assert not gone


def test_page_shows_every_demand_and_we_are_green(rows):
    """Our column, the first, says yes on every line of the page, and every demand has a line."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert len(lines) == len(rows)
    assert [line for line in lines if line.split(" | ")[1].strip() != "yes"] == []
