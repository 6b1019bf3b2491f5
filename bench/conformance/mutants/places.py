"""Where faults are planted, and the texts that several of them replace."""

END = "<end>"
"""Stands for the end of the file."""

CORE = "engines/breaker_core.py"
GATE = "policies/_breaker_gate.py"
FACE = "policies/_circuit_breaker.py"
CALLS = "policies/_breaker_calls.py"
PERMIT = "policies/_permit.py"
JUDGE = "policies/_judge.py"
SHARE = "engines/trip_share.py"
RETRY = "engines/retry.py"
LOOPS = "policies/_retry_loops.py"
LANES = "policies/_lanes.py"
SLOTS = "engines/slots.py"
SLOT_GATE = "policies/_gate.py"
RATE = "engines/rate.py"

COUNTS = "        counts = self.stands(permit)\n        permit.settled = True\n"
FAILED = "        ruling = self._judge.of_error(error)\n        if ruling.verdict is not Verdict.IGNORED:\n            self.settle(Permit(era, 0, began), ruling)\n"
SETTLED = "            self._breaker.settle(self._permit, ruling)\n\n    def judge_result"
JUDGED = "            ruling = SUCCESS if error is None else self._breaker.of_error(error)\n"
BUMP = "        era.ok += 1  # no lock: see BreakerCore\n        return result\n\n    return guarded\n"


def late(condition, action):
    """Let a result of a dead era do something after all."""
    return [(CORE, COUNTS, f"{COUNTS}        if not counts and {condition}:\n            {action}\n")]


def landed(condition, action):
    """Let a success of a dead era do something, in both colours."""
    text = f"        if {condition}:\n            {action}\n{BUMP}"
    return [(CALLS, BUMP + "\n\ndef _call_admitted", text + "\n\ndef _call_admitted"), (CALLS, BUMP + END, text)]


def judged_closed(condition, action):
    """Let an exception of a call in a closed circuit mean something else."""
    return [(GATE, FAILED, f"{FAILED}        elif {condition}:\n            {action}\n")]


CLOSED_ERA = "isinstance(permit.era, Closed)"
FAILURE = "verdict is Verdict.FAILURE"
RESULT = "Result(verdict, now, why, weight, 0.0, chance)"

WALL = (
    "now = staticmethod(lambda base=time.time() - time.monotonic():"
    " time.monotonic() + {}(0.0, time.time() - time.monotonic() - base))"
)
