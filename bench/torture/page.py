"""Write docs/reference/torture.md from the figures of the last runs, which are kept beside this program."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "reference" / "torture.md"
FIGURES = HERE / "figures.json"
OTHERS = {"zombies", "power", "disk", "clocks"}
LONG = 1000  # kills of a run that is shown beside the usual one
LIBRARIES = ("huey", "litequeue", "persist-queue")


def write(**news):
    """Take in new figures and write the page, from what the file holds then."""
    FIGURES.write_text(json.dumps({**figures(), **news}, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(text_of(figures()))


def figures():
    """Return the figures that are kept."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def text_of(figures):
    """Return the page."""
    parts = [HEAD.format(pins=", ".join(pins()))]
    run = figures.get("torture", {})
    if "kills" in run:
        parts.append(kills_of(run["kills"], "The kills of one `make torture`"))
    if run.keys() >= OTHERS:
        parts.append(others_of(run))
    if longest := figures.get("long"):
        parts.append(kills_of(longest["kills"], f"A long run ({longest['seconds']} s)"))
    if rows := figures.get("peers"):
        parts.append(peers_of(rows))
    if "planted" in run:
        parts.append(planted_of(run["planted"]["caught"]))
    return "\n".join(parts)


HEAD = """# Torture

This page is written by `make torture` and `make torture-peers`; [the explanation](../explanation/torture.md) says what
is done and why. Compared with: {pins}.
"""


def pins():
    lines = (HERE / "requirements.txt").read_text().splitlines()
    return [line.replace("==", " ") for line in lines if line.startswith(LIBRARIES)]


def table(columns, rows):
    """Return a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def kills_of(found, title):
    stores = ", ".join(f"{found[f'kills on {kind}']} on {kind}" for kind in ("sqlite", "postgres"))
    rows = [
        ("kills in the middle of work", f"{found['kills']} ({stores})"),
        ("of runners with a request in flight", found["in_flight"]),
        ("kills of idle processes, not counted", found["idle"]),
        ("acknowledged writes", found["acknowledged"]),
        ("effects at the server", found["effects"]),
        ("requests beyond the first of a write", found["repeated"]),
        ("acknowledged and lost", found["lost"]),
        ("effects without a write", found["unwanted"]),
        ("doubled at servers that check keys", found["doubled"]),
        ("lanes out of order", found["unordered"]),
        ("entities that hold something else than their writes make of them", found["diverged"]),
        ("keys that carried two requests", found["changed"]),
        ("groups of which only a part took effect", found["torn"]),
        ("writes that still wait in the end", found["waiting"]),
    ]
    points = sorted(found["points"].items(), key=lambda item: (-item[1], item[0]))
    bound = f"Nothing was lost in {found['kills']} kills: less than {found['bound']:.3%} per kill, at 95 %."
    return f"""## {title}

{table(("what", "how many"), rows)}
{bound} (No failure in n trials bounds its chance by 3 / n.)

{table(("killed at", "times"), points)}"""


def others_of(run):
    power, clocks = run["power"], run["clocks"]
    wrong = clocks.get("note") or (
        f"{clocks['acknowledged']} acknowledged writes while wall clocks were wrong by up to "
        f"{clocks['worst'] / 31_557_600:.0f} years: {faults(clocks)}"
    )
    rows = [
        ("runners stopped, and woken after another one had their lease", slept(run["zombies"])),
        ('power cut, `durability="power"`', images(power["full"])),
        ("the same with each sync delayed by 5 ms", images(power["slow"])),
        ('power cut, `durability="process"`, which must lose some', images(power["normal"])),
        *((f"disk full by {how}", filled(found)) for how, found in run["disk"].items() if isinstance(found, dict)),
        ("libfaketime", wrong),
    ]
    return f"## Stops, power cuts, full disks, wrong clocks\n\n{table(('what', 'what came of it'), rows)}"


def faults(found):
    return f"{found['lost']} lost, {found['doubled']} doubled, {found['unordered']} lanes out of order"


def slept(found):
    return f"{found['overslept']} of {found['zombies']}: {faults(found)}; {found['stale']} late requests of theirs"


def images(found):
    text = f"{found['images']} images of {found['moments']} moments: {found['lost']} times an acknowledged write lost"
    return f"{text}, {found['broken']} images that do not open"


def filled(found):
    recorded = f"{found['recorded_in_place']} at once, {found['recorded_after_opening_again']} after opening it again"
    lost = len(found["lost"])
    return (
        f"{found['acknowledged']} acknowledged, then refused; {lost} lost; recorded as delivered while full: {recorded}"
    )


def peers_of(found):
    rows = [(name, *(row[column] for column in ("kills", "ops", "lost", "stuck", "never", "twice")))
            for name, row in found.items()]  # fmt: skip
    columns = ("queue", "kills", "ops", "lost", "held back for ever", "of these never done", "done twice")
    return f"""## The same kills for other queues

Each with its own defaults, on SQLite, in its documented way, without a repair by hand. *Done twice* is no fault of a
queue that promises at least once; it has no key by which a receiver could tell.

{table(columns, rows)}"""


def planted_of(caught):
    import planted

    rows = [(fault.name, fault.what, " and ".join(caught.get(fault.name, [])) or "nobody",
             ", ".join(f"`{Path(test).stem}`" for test in fault.tests) or "-") for fault in planted.FAULTS]  # fmt: skip
    return f"""## Planted faults

Each is planted in a copy of the source and must turn red who is named. G1 to G8 are what a published sync engine got
wrong, P1 to P4 are further ones.

{table(("fault", "what goes wrong", "caught by", "tests"), sorted(rows))}"""
