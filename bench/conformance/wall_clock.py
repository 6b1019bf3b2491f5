"""Step the wall clock, as a time server or a person would."""

import datetime as dt
import sys
import time


def step_wall_clock(seconds):  # noqa: C901 - it walks through modules and their names
    """Set the wall clock of every loaded module forward or back; the monotonic clock goes on."""
    real, real_datetime = time.time, dt.datetime

    class Stepped(real_datetime):
        @classmethod
        def now(cls, tz=None):
            return real_datetime.now(tz) + dt.timedelta(seconds=seconds)

        @classmethod
        def utcnow(cls):
            return cls.now(dt.UTC).replace(tzinfo=None)

    def stepped():
        return real() + seconds

    for name, module in list(sys.modules.items()):
        if name.startswith(("asyncio", "threading", "stage", "concurrent")):
            continue
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if value is real:
                setattr(module, key, stepped)
            elif value is real_datetime and name != "stage":
                setattr(module, key, Stepped)
