"""Hold each third-party library in its rooms.

A library that is not in the table may not be imported at all, and the package's own names are imported from the room
that defines them, never through `outlast` itself: that would be a way around the layers.
"""

import sys
from pathlib import Path

from house import imports, modules, parse, report, room

ROOMS: dict[str, frozenset[str]] = {
    # drivers of databases: one room opens them all
    "apsw": frozenset({"storage"}),
    "psycopg": frozenset({"storage"}),
    "psycopg_pool": frozenset({"storage"}),
    "redis": frozenset({"storage"}),
    # network
    "h11": frozenset({"lab"}),
    "httpx2": frozenset({"http", "lab"}),  # the lab compares outlast with a plain client
    "starlette": frozenset({"http", "lab", "service"}),
    "uvicorn": frozenset({"lab", "service"}),
    "websockets": frozenset({"lab", "service", "sync_engine"}),
    # codecs
    "msgspec": frozenset({"cache", "llm", "outbox", "schema", "store"}),
    "zstandard": frozenset({"cache", "outbox"}),
    # configuration and telemetry
    "opentelemetry": frozenset({"observe"}),
    "prometheus_client": frozenset({"observe"}),
    "pydantic_settings": frozenset({"config", "service"}),
    "structlog": frozenset({"observe", "service"}),
    "yaml": frozenset({"config", "service"}),
    # command line
    "rich": frozenset({"cli"}),
    "textual": frozenset({"cli"}),
    "typer": frozenset({"cli"}),
}
"""Library -> the rooms that may import it. Adding a room here is a decision; say why in the commit."""


def violations(source: Path) -> list[str]:
    """Return one line for each import below `source` that stands in the wrong room."""
    rooms = {path.stem if path.suffix else path.name for path in (source / "outlast").iterdir()}
    found: list[str] = []
    for path in modules(source / "outlast"):
        for line, module, names in imports(parse(path)):
            if (what := _judge(room(path, source), rooms, module, names)) is not None:
                found.append(f"{path.relative_to(source)}:{line}: {what}")
    return found


def _judge(here: str, rooms: set[str], module: str, names: tuple[str, ...] | None) -> str | None:
    library = module.split(".", maxsplit=1)[0]
    if module == "outlast":
        detour = sorted(set(names or ("outlast",)) - rooms)
        return f"import {', '.join(detour)} from the room that defines it, not through outlast" if detour else None
    if library == "outlast" or library in sys.stdlib_module_names:
        return None
    if library not in ROOMS:
        return f"{library} is in no row of the table in scripts/libraries.py"
    if here not in ROOMS[library]:
        return f"{library} may be imported in {', '.join(sorted(ROOMS[library]))} only, not in {here}"
    return None


if __name__ == "__main__":
    sys.exit(report(violations, "every library stays in its rooms"))
