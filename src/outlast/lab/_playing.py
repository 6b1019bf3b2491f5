"""What both applications of the demo share: how they keep to the plan, and their command line."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from outlast.lab.workload import Action


async def play(
    actions: Sequence[Action],
    epoch: float,
    act: Callable[[Action], Awaitable[None]],
    now: Callable[[], float] = time.time,
) -> None:
    """Do every action at its time after `epoch` (Unix seconds), and wait for all to end.

    What was due before this call is skipped.

    Args:
        actions: In order of time.
        epoch: Unix seconds at which the workload begins.
        act: Does one action to its end.
        now: Gives Unix seconds. Default the system's clock.
    """
    begun = now()
    async with asyncio.TaskGroup() as tasks:
        for action in actions:
            if epoch + action.at >= begun:
                await asyncio.sleep(max(0.0, epoch + action.at - now()))
                tasks.create_task(_coroutine(act, action))


async def _coroutine(act: Callable[[Action], Awaitable[None]], action: Action) -> None:
    await act(action)


def options_of_an_application(module: str, description: str) -> argparse.ArgumentParser:
    """Return a parser for the options that both applications have."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--api", required=True, help="base URL of the notes API")
    parser.add_argument("--ledger", required=True, type=Path, help="file to append to")
    parser.add_argument("--seed", required=True, type=int, help="seed of the workload")
    parser.add_argument("--seconds", required=True, type=float, help="length of the workload")
    parser.add_argument("--epoch", required=True, type=float, help="Unix seconds at which the workload begins")
    parser.add_argument("--notes", default=100, type=int, help="how many notes the API was seeded with (default: 100)")
    return parser


__all__ = ["options_of_an_application", "play"]
