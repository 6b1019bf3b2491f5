"""Faults for the demands of rows/breaker_states.py."""

from mutants.places import CORE, GATE

MUTANTS = {
    "breaker/threshold": [
        (
            "engines/trip_count.py",
            'failures in a row" if reached(self.streak, self.threshold)',
            'failures in a row" if reached(self.streak, max(2, self.threshold))',
        )
    ],
    "breaker/success-breaks-the-row": [("engines/trip_count.py", "if ok != self.ok_seen:", "if ok < 0:")],
    "breaker/retry-after-is-what-remains": [
        (
            GATE,
            "raise refusal(self._name, _OPEN, phase.reason, wait, self._wall())",
            "raise refusal(self._name, _OPEN, phase.reason, self.settings.open_for, self._wall())",
        )
    ],
    "breaker/rejections-do-not-prolong": [
        (
            GATE,
            "self.engine.rejected += 1  # no lock: see BreakerCore",
            "phase.until = self.now() + self.settings.open_for",
        )
    ],
    "breaker/recovers": [
        (
            CORE,
            "        return self._enter(era or Closed.fresh(self.config), now, reason)",
            "        era = era or Closed.fresh(self.config)\n        era.window.failure(0, now, 2.0)\n"
            "        return self._enter(era, now, reason)",
        )
    ],
    "breaker/failed-probe-reopens": [
        (CORE, 'return self._open(result.now, f"a probe failed', 'return self._open(result.now - 0.1, f"a probe failed')
    ],
    "breaker/success-threshold": [
        ("engines/recovery.py", "return True if successes >= needed else None", "return True if successes else None")
    ],
    "breaker/open-time-grows": [(CORE, "        self._reopened += 1\n", "")],
}
