"""The test kit: a clock that is moved by hand, an event loop in virtual time, a recorder of events."""

from outlast.testing._clock import FixedRandom, ManualClock
from outlast.testing._loop import DeadlockError, VirtualLoop, run_virtual
from outlast.testing._recorder import Recorder

__all__ = ["DeadlockError", "FixedRandom", "ManualClock", "Recorder", "VirtualLoop", "run_virtual"]
