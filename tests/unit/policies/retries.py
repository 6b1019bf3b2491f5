"""Retries in the world of a scenario."""

from outlast.policies import Retry
from outlast.testing import FixedRandom


def make(face, **options):
    """Make a retry of 3 attempts that waits 1 and 2 s."""
    return Retry(**{"random": FixedRandom(0.5), **face.around, **options})


def notes(error):
    """Return the notes of an exception."""
    return getattr(error, "__notes__", [])
