"""Make pipelines from configuration, and pipelines from files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from outlast.clock import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock, Random
from outlast.config import check_known, join, read_yaml, suggest
from outlast.errors import ConfigError
from outlast.events import DEFAULT_BUS, EventBus
from outlast.policies._pipeline import Pipeline
from outlast.policies._policy import Policy
from outlast.policies._reading import is_list, is_mapping, make, snake
from outlast.registry import DEFAULT_REGISTRY, Registry


def kinds() -> dict[str, type[Policy]]:
    """Return what a configuration can name: every policy that `outlast.policies` offers, in snake case."""
    room = sys.modules["outlast.policies"]
    offered = [getattr(room, name) for name in room.__all__]
    policies = [each for each in offered if isinstance(each, type) and issubclass(each, Policy)]
    return {snake(each.__name__): each for each in policies if each.__module__ not in _NOT_CONFIGURED}


_NOT_CONFIGURED = frozenset({"outlast.policies._policy", "outlast.policies._pipeline", "outlast.policies._keyed"})


def policies_from(config: Any, path: str, **places: Any) -> list[Policy]:
    """Make policies from a list of mappings with one key each, outermost first.

    Args:
        config: The list. A key is the kind of a policy, or `pipeline` to name one that is made already.
        path: What the list is called, for errors.
        **places: Clock, chance, bus and registry, given to every policy that takes them.

    Raises:
        ConfigError: Something about it is wrong; the path says what.
    """
    if not is_list(config):
        raise ConfigError("must be a list of policies, outermost first", path=path)
    return [_policy(entry, join(path, place), places) for place, entry in enumerate(config)]


def _policy(entry: Any, path: str, places: dict[str, Any]) -> Policy:
    kind, body = _single(entry, path)
    if kind == "pipeline":
        return _pipeline_named(body, join(path, kind), places["registry"])
    known = kinds()
    if kind not in known:
        there_are = ", ".join(sorted([*known, "pipeline"]))
        raise ConfigError(
            f"no such policy; there are: {there_are}", path=join(path, kind), suggestion=suggest(kind, known)
        )
    policy: Policy = make(known[kind], body, join(path, kind), **places)
    return policy


def _single(entry: Any, path: str) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, None
    if not is_mapping(entry) or len(entry) != 1:
        raise ConfigError("must be one policy with its settings, such as `retry: {attempts: 4}`", path=path)
    return next(iter(entry.items()))


def _pipeline_named(name: Any, path: str, registry: Registry) -> Policy:
    try:
        found: Policy = registry.get("pipeline", name)
    except ConfigError as error:
        names = [pipeline.name for pipeline in registry.components("pipeline")]
        near = suggest(name, names) if isinstance(name, str) else ""
        raise ConfigError(error.message, path=path, suggestion=near) from None
    return found


def load_pipelines(
    file: str | Path,
    *,
    clock: Clock = SYSTEM_CLOCK,
    random: Random = SYSTEM_RANDOM,
    bus: EventBus = DEFAULT_BUS,
    registry: Registry = DEFAULT_REGISTRY,
) -> dict[str, Pipeline]:
    """Make every pipeline of a YAML file.

    The file has one key, `pipelines`, with a list of policies for each name, outermost first.

    Args:
        file: Its path.
        clock: Tells the time to all policies. Default: the machine's.
        random: Gives them chance. Default: the machine's.
        bus: Takes their events. Default: the shared one.
        registry: Knows the pipelines by name, weakly: keep what is returned. Default: the shared one.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong: the error has `file`, `line`,
            `path` and `suggestion`.
        DuplicateNameError: A live pipeline has the name of one of them.
        MissingExtraError: PyYAML is not installed.
    """
    document = read_yaml(file)
    with document.located():
        if not is_mapping(document.value):
            raise ConfigError("must have the key `pipelines`")
        check_known(document.value, ["pipelines"])
        named: Any = document.value.get("pipelines") or {}
        if not is_mapping(named):
            raise ConfigError("must be a mapping from names to lists of policies", path="pipelines")
        places: dict[str, Any] = {"clock": clock, "random": random, "bus": bus, "registry": registry}
        return {name: Pipeline.from_config(name, config, **places) for name, config in named.items()}
