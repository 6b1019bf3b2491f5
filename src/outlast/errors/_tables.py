"""The rules that come with outlast, by the package whose exceptions they judge."""

from __future__ import annotations

from outlast.errors._classify import register_rule
from outlast.errors._rules_cloud import CLOUD
from outlast.errors._rules_http import HTTP
from outlast.errors._rules_llm import LLM
from outlast.errors._rules_sql import SQL
from outlast.errors._rules_standard import STANDARD


def install() -> None:
    """Register every rule that comes with outlast; importing `outlast.errors` does it once."""
    for tables in (STANDARD, HTTP, SQL, CLOUD, LLM):
        for package, rules in tables.items():
            for name, rule in rules.items():
                register_rule(package, name, rule)
