"""Faults for the demands of rows/breaker_stale.py."""

from mutants.places import CLOSED_ERA, CORE, FAILURE, RESULT, landed, late

MUTANTS = {
    "breaker/stale-failures-after-recovery": [
        (
            CORE,
            "if permit.settled or permit.era is not present:",
            "if permit.settled or (permit.era is not present and not isinstance(present, type(permit.era))):",
        ),
        (
            CORE,
            "                return self._settle_closed(era, result)\n            case Probing() as era:\n                return self._settle_probe(era, permit.probe, result)",
            "                return self._settle_closed(era, result)\n            case Probing() as era:\n                return self._settle_probe(era, permit.probe, result) if era is self.phase else None",
        ),
    ],
    "breaker/stale-success-while-half-open": landed(
        "engine.closed is None", "from outlast.policies._judge import SUCCESS; gate.record(SUCCESS, 0.0)"
    ),
    "breaker/stale-failure-while-half-open": late(
        f"{FAILURE} and isinstance(self.phase, Probing) and {CLOSED_ERA}", "return self._open(now, why, chance)"
    ),
    "breaker/stale-success-while-open": landed(
        'type(engine.phase).__name__ == "Open"', "gate.move(engine.force_closed)"
    ),
    "breaker/stale-failure-while-open": late(
        f"{FAILURE} and isinstance(self.phase, Open)", "self.phase.until = now + self.config.open_for"
    ),
    "breaker/stale-probe-of-an-earlier-round": late(
        "isinstance(permit.era, Probing) and permit.era is not self.phase and isinstance(self.phase, Probing)",
        "self.phase.leases and self.phase.leases.popitem()",
    ),
    "breaker/stale-probe-after-closing": late(
        f"{FAILURE} and isinstance(permit.era, Probing) and isinstance(self.phase, Closed)",
        f"return self._settle_closed(self.phase, {RESULT})",
    ),
    "breaker/stale-results-after-reset": [
        (
            "engines/breaker.py",
            'self._close(now, "reset")',
            'self._close(now, "reset", self.phase if isinstance(self.phase, Closed) else None)',
        )
    ],
}
