"""The rules that hold for the whole tree, each by the check that `make check` runs."""

import pytest

import engine_purity
import exemptions
import libraries
import module_size
import sleeping
from house import ROOT, SOURCE


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(engine_purity.violations, id="engines-are-pure"),
        pytest.param(libraries.violations, id="libraries-stay-in-their-rooms"),
        pytest.param(module_size.violations, id="modules-are-small"),
        pytest.param(exemptions.violations, id="exemptions-are-few-and-reasoned"),
    ],
)
def test_source_keeps_the_rule(check):
    """The source breaks no rule of the house."""
    assert check(SOURCE) == []


def test_fast_rings_never_sleep():
    """Unit and property tests run on virtual time."""
    assert sleeping.violations(ROOT / "tests") == []
