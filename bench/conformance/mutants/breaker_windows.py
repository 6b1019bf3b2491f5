"""Faults for the demands of rows/breaker_windows.py."""

from mutants.places import SHARE

MUTANTS = {
    "breaker/rate-needs-calls": [
        (
            SHARE,
            'if calls < self.min_calls or not reached(hits, self.rate * calls):\n            return ""\n        return f"{hits / calls:.0%} of {self.over} failed"',
            'if not reached(hits, self.rate * calls):\n            return ""\n        return f"{hits / calls:.0%} of {self.over} failed"',
        )
    ],
    "breaker/rate-counts-successes": [
        (
            SHARE,
            "hits, calls = self.share.count(ok - self.left_out + self.failed, now, weight)",
            "hits, calls = self.share.count(self.failed, now, weight)",
        )
    ],
    "breaker/rate-forgets": [("engines/window.py", "number <= number - BUCKETS:", "number <= number - 10 * BUCKETS:")],
    "breaker/slow-calls": [(SHARE, "slow = took > self.slower_than", "slow = False")],
    "breaker/quick-calls-are-not-slow": [
        (SHARE, "slow = took > self.slower_than", "slow = took > self.slower_than / 100"),
        (
            "engines/breaker_phases.py",
            "self.limit = math.inf if limit is None else limit",
            "self.limit = math.inf if limit is None else limit / 100",
        ),
    ],
}
