"""The test kit: a clock that is moved by hand, a loop in virtual time, a recorder, switches, scripted dependencies."""

from outlast.testing._clock import FixedRandom, ManualClock
from outlast.testing._loop import DeadlockError, VirtualLoop, run_virtual
from outlast.testing._recorder import Recorder
from outlast.testing._script import ScriptedCall, ScriptedDependency, Slow
from outlast.testing._switches import disabled, force_open, instant

__all__ = [
    "DeadlockError",
    "FixedRandom",
    "ManualClock",
    "Recorder",
    "ScriptedCall",
    "ScriptedDependency",
    "Slow",
    "VirtualLoop",
    "disabled",
    "force_open",
    "instant",
    "run_virtual",
]
