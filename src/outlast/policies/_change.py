"""Change the settings of policies in a row to those of a configuration, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM
from outlast.config import join
from outlast.errors import ConfigError
from outlast.events import EventBus
from outlast.policies._budget import RetryBudget
from outlast.policies._build import policies_from
from outlast.policies._lint import kind_of
from outlast.policies._policy import Policy
from outlast.policies._writing import can_be_written
from outlast.registry import Component, Registry


def change(policies: Sequence[Policy], config: Any, path: str) -> tuple[str, ...]:
    """Give policies the settings of a configuration.

    The wanted policies are made first, for nobody to use: so whatever is wrong with the configuration is found
    before anything changes.

    Args:
        policies: The running ones, outermost first.
        config: The same policies in the same order, as plain values.
        path: What they are called, for errors.

    Returns:
        A line for each thing that could not be kept.

    Raises:
        ConfigError: Something is wrong; nothing was changed.
    """
    registry = Registry()
    for policy in policies:
        if kind_of(policy) == "pipeline" and isinstance(policy, Component):
            registry.register("pipeline", policy)
    wanted = policies_from(config, path, clock=SYSTEM_CLOCK, random=SYSTEM_RANDOM, bus=EventBus(), registry=registry)
    _same_kinds(policies, wanted, path)
    undo: list[tuple[Policy, dict[str, Any]]] = []
    lost: list[str] = []
    for place, (old, new) in enumerate(zip(policies, wanted, strict=True)):
        try:
            lost += _change_one(old, new, undo)
        except ConfigError as error:
            for policy, before in reversed(undo):
                policy.reconfigure(**before)
            error.path = join(join(path, place), kind_of(old))
            raise
    return tuple(lost)


def _same_kinds(old: Sequence[Policy], new: Sequence[Policy], path: str) -> None:
    running, named = [kind_of(policy) for policy in old], [kind_of(policy) for policy in new]
    if running != named:
        raise ConfigError(
            f"only settings can change while it runs; there are {' > '.join(running)}, not {' > '.join(named)}",
            path=path,
        )


def _change_one(old: Policy, new: Policy, undo: list[tuple[Policy, dict[str, Any]]]) -> tuple[str, ...]:
    if old is new:
        return ()
    before, after = old.settings(), new.settings()
    changes = {name: value for name, value in after.items() if _differs(before[name], value)}
    for name in [name for name in changes if _both_budgets(before[name], changes[name])]:
        before[name].reconfigure(**asdict(changes.pop(name).config))  # in place, so that what is saved up stays
    if not changes:
        return ()
    lost = old.reconfigure(**changes)
    undo.append((old, {name: before[name] for name in changes}))
    return lost or ()


def _both_budgets(before: Any, after: Any) -> bool:
    return isinstance(before, RetryBudget) and isinstance(after, RetryBudget)


def _differs(before: Any, after: Any) -> bool:
    if isinstance(before, RetryBudget) and isinstance(after, RetryBudget):
        return before.config != after.config
    return bool(before != after) and can_be_written(before)
