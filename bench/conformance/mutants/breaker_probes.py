"""Faults for the demands of rows/breaker_probes.py."""

from mutants.places import CORE, JUDGED, PERMIT, SETTLED

MUTANTS = {
    "breaker/flood": [
        (
            "engines/breaker_phases.py",
            "return len(self.leases) < self.rule.max_calls",
            "return len(self.leases) < self.rule.max_calls + 2",
        )
    ],
    "breaker/hung-probe": [("engines/breaker_phases.py", "items() if end <= now]", "items() if not end]")],
    "breaker/hung-probe-comes-back-late": [
        (
            CORE,
            "        return not isinstance(permit.era, Probing) or permit.probe in permit.era.leases",
            "        return True",
        ),
        (CORE, "del era.leases[probe]", "era.leases.pop(probe, None)"),
    ],
    "breaker/cancelled-probe-returns-the-slot": [
        (
            PERMIT,
            "        ruling = IGNORED  # stands if",
            "        if error is not None and not isinstance(error, Exception):\n            return\n        ruling = IGNORED  # stands if",
        )
    ],
    "breaker/cancelled-probe-does-not-close": [
        (PERMIT, JUDGED, JUDGED.replace("error is None", "error is None or not isinstance(error, Exception)"))
    ],
    "breaker/ignored-probe-returns-the-slot": [
        (
            PERMIT,
            SETTLED,
            "            if ruling is not IGNORED or not isinstance(error, Exception):\n    " + SETTLED,
        )
    ],
    "breaker/rule-that-raises": [
        (
            PERMIT,
            "        try:\n" + JUDGED + "        finally:\n" + SETTLED,
            JUDGED[4:] + SETTLED[4:],
        )
    ],
}
