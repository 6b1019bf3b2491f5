"""Faults for the demands of rows/timeout_cancellation.py."""

from mutants.places import LANES

MUTANTS = {
    "timeout/outer-cancel": [
        (
            LANES,
            "        if self.live.pop(task, None) is not None:\n            return False",
            "        if self.live.pop(task, None) is not None:\n            return isinstance(error, asyncio.CancelledError)",
        )
    ],
    "timeout/cancel-wins-over-the-limit": [(LANES, "if task.uncancel() > cancelling:", "if task.uncancel() < 0:")],
    "timeout/inner-expiry-leaves-the-task-alone": [
        (LANES, "if task.uncancel() > cancelling:", "if task.cancelling() - 1 > cancelling:")
    ],
    "timeout/late-return": [
        (LANES, "        del self._expired[task]\n        task.uncancel()\n", "        del self._expired[task]\n")
    ],
    "timeout/nested": [
        (
            LANES,
            "        due = lane.read() + lane.seconds\n",
            "        if outer is not None:\n            return await fn(*args, **kwargs)\n        due = lane.read() + lane.seconds\n",
        )
    ],
    "timeout/cleanup-is-awaited": [
        (
            LANES,
            "    lanes, outside, enter, leave = policy.lanes",
            "    of_the_user = fn\n\n"
            "    async def fn(*args, **kwargs):\n"
            "        task = asyncio.ensure_future(of_the_user(*args, **kwargs))\n"
            "        try:\n"
            "            return await asyncio.shield(task)\n"
            "        except asyncio.CancelledError:\n"
            "            task.cancel()\n"
            "            raise\n\n"
            "    lanes, outside, enter, leave = policy.lanes",
        )
    ],
}
