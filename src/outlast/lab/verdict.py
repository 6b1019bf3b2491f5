"""Say whether the play kept what outlast promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LEAST_ANSWERED: Final = 0.999
LEAST_READS_PER_SECOND: Final = 20.0


def broken_promises(report: Mapping[str, Any], seconds: float) -> list[str]:
    """Return the promises that a side of the play broke, in words; an empty list is a green verdict.

    Args:
        report: What the observer counted.
        seconds: Length of the play.
    """
    reads, first, writes = report["reads"], report["first_reads"], report["writes"]
    share = reads["answered"] / reads["total"] if reads["total"] else 0.0
    rate = (reads["total"] + first["total"]) / seconds
    wrong = reads["wrong"] + first["wrong"]
    promises = {
        f"{writes['lost']} acknowledged writes are lost": writes["lost"] == 0,
        f"{writes['doubled']} writes took effect twice": writes["doubled"] == 0,
        f"only {share:.2%} of the reads of seen keys were answered": share >= LEAST_ANSWERED,
        f"{wrong} answers were not true": wrong == 0,
        f"only {rate:.1f} reads a second were asked for": rate >= LEAST_READS_PER_SECOND,
        "no write was acknowledged": writes["acknowledged"] > 0,
        "writes from before the recovery never took effect": report["recovered_after"] is not None,
    }
    return [words for words, kept in promises.items() if not kept]


__all__ = ["LEAST_ANSWERED", "LEAST_READS_PER_SECOND", "broken_promises"]
