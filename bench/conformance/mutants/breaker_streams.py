"""Faults for the demands of rows/breaker_streams.py."""

from mutants.places import FACE, PERMIT

MUTANTS = {
    "breaker/stream-that-breaks-off": [
        (
            PERMIT,
            "            permit.success()\n        else:\n            permit.judge(error)",
            "            permit.success()\n        else:\n            permit.judge(None)",
        )
    ],
    "breaker/stream-closed-early": [
        (PERMIT, "            permit.success()\n        else:", "            permit.failure()\n        else:")
    ],
    "breaker/stream-probe-closed-early": [
        (
            PERMIT,
            "            permit.success()\n        else:",
            "            permit._permit.probe or permit.success()\n        else:",
        )
    ],
    "breaker/stream-is-closed-behind": [
        (
            "policies/_relay.py",
            "            finally:\n                await items.aclose()",
            "            finally:\n                pass",
        )
    ],
    "breaker/stream-throw-and-send": [("policies/_relay.py", "partial(items.send, sent)", "partial(items.send, None)")],
    "breaker/open-refuses-streams": [
        (
            FACE,
            "        permit = self.gate.admit()\n        permit.began",
            "        try:\n            permit = self.gate.admit()\n        except Exception:\n            permit = Permit(None)\n"
            "        permit.began",
        )
    ],
}
