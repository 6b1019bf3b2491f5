"""The parts of the torture: what each plays, when it is good, and the line that tells of it."""

import functools
from collections import Counter

import clocks
import disk_full
import kills
import others
import planted
import powercut
from observer import Verdict
from scene import observe, scene
from world import World

_LEAST_IN_FLIGHT = 0.2  # of the kills; with the usual 500 that is 100
_ENOUGH_TO_TELL = 100
_COUNTED = ("wanted", "acknowledged", "effects", "arrivals", "repeated", "stale", "waiting")
_REST = 5.0


def summed(played):
    """Add up what the observer and the tallies say of several worlds."""
    found = Counter()
    for world, ended, verdict in played:
        found.update({name: verdict[name] for name in _COUNTED})
        found.update({name: len(verdict[name]) for name in Verdict.FAULTS})
        found.update(kills=world.tally.total, in_flight=world.tally.in_flight, idle=world.tally.idle)
        found.update(zombies=world.tally.zombies, overslept=world.tally.overslept)
        found.update({f"kills on {world.kind}": world.tally.total})
        found.update(broken=len(world.tally.failures) + (not ended))
    return dict(found)


def judged(played):
    """Return the sums of several worlds with the points of the kills and what is wrong, if something is."""
    found = summed(played)
    points = Counter()
    for world, _, _ in played:
        points.update(world.tally.kills)
    wrong = [f"{world.name}: {name}: {verdict[name][:3]}" for world, _, verdict in played for name in Verdict.FAULTS
             if verdict[name]]  # fmt: skip
    wrong += [f"{world.name}: {text}" for world, _, _ in played for text in world.tally.failures[:3]]
    wrong += [f"{world.name} did not come to rest" for world, ended, _ in played if not ended]
    return {**found, "points": dict(sorted(points.items())), "wrong": wrong}


def kill(options, say):
    """Kill producers and runners at named points and at random moments."""
    played = kills.play(options.stores, seed=options.seed, seconds=options.seconds, say=say, keep=options.keep)
    found = judged(played)
    enough = all(found[f"kills on {kind}"] >= wanted for kind, wanted in options.stores.items())
    if not enough and options.kills != 0:
        found["wrong"].append("the time was over before there were enough kills")
    if found["kills"] >= _ENOUGH_TO_TELL and found["in_flight"] < _LEAST_IN_FLIGHT * found["kills"]:
        found["wrong"].append("too few kills with a request in flight")
    return {**found, "bound": 3 / max(1, found["kills"]), "good": not found["wrong"]}


def zombies(options, say):
    """Stop runners past their lease and wake them up again, two runners racing for a lease of 0.6 s."""
    wanted = dict.fromkeys(options.stores, 10**6)
    seconds = min(options.seconds, 20.0)
    played = kills.play(wanted, seed=options.seed + 1, seconds=seconds, stops=0.6, say=say)
    found = judged(played)
    if not found["overslept"]:
        found["wrong"].append("no runner slept past its lease")
    return {**found, "good": not found["wrong"]}


def disk(_options, say):
    """Fill the disk."""
    say("disk: filling it")
    found = {how: disk_full.play(how) for how in ("pages", "file size")}
    return {**found, "good": all(disk_full.good(one) for one in found.values())}


def clock(options, say):
    """Set the clocks of processes wrong by libfaketime; the kills do it by a clock of their own to one in four."""
    say("clocks: setting them wrong")
    others.python()
    library = clocks.library()
    if library is None:
        return {"good": True, "note": "libfaketime could not be had on this machine"}
    with scene(options.seed, options.stores) as (folder, server, place):
        worlds = []
        for kind in options.stores:
            name = f"k-clocks-{kind}"
            worlds.append(World(name, kind, place(kind, name), folder, server.url, options.seed))
        play = functools.partial(clocks.play, library=library, seconds=_REST, seed=options.seed)
        worst = max(play(world.job, world.folder) for world in worlds)
        server.ask("/_heal")
        played = [(world, world.finish(), observe(world, server, folder)) for world in worlds]
    found = judged(played)
    return {**found, "worst": worst, "good": not found["wrong"] and found["effects"] > 0}


def power(options, say):
    """Cut the power at many moments."""
    say("power: cutting it")
    slow = powercut.record("power", ops=6, sync_takes=0.005)
    found = {
        "full": powercut.cut(powercut.record("power"), most=options.images // 2, seed=options.seed),
        "slow": powercut.cut(slow, most=options.images // 4, seed=options.seed),
        "normal": powercut.cut(
            powercut.record("process"), most=options.images // 4, seed=options.seed, durability="process"
        ),
    }
    figures = {
        name: {**vars(cuts), "lost": len(cuts.lost), "forgotten": len(cuts.forgotten), "broken": len(cuts.broken)}
        for name, cuts in found.items()
    }
    wrong = [text for name in ("full", "slow") for text in (*found[name].lost[:2], *found[name].forgotten[:2])]
    wrong += [text for cuts in found.values() for text in cuts.broken[:2]]
    if not found["normal"].lost:
        wrong.append("durability `process` lost nothing either: the test is blind")
    return {**figures, "wrong": wrong, "good": not wrong}


def plants(_options, say):
    """Plant known faults and see who catches them."""
    found = planted.play(say)
    return {"caught": found, "good": planted.good(found)}


PARTS = {"kills": kill, "zombies": zombies, "power": power, "disk": disk, "clocks": clock, "planted": plants}


def line_of(part, found):
    """Return what is to be told of a part."""
    head = f"{part}: {'good' if found['good'] else 'RED'}; "
    match part:
        case "kills":
            kills = (
                f"{found['kills']} kills, {found['in_flight']} with a request in flight, {found['idle']} more of idle"
            )
            text = f"{kills}; {faults_of(found)}; less than {found['bound']:.2%} lost per kill at 95 %"
        case "zombies":
            text = f"{found['zombies']} stopped, {found['overslept']} past their lease; {faults_of(found)}"
        case "power":
            text = ", ".join(f"{name}: {one['images']} images, {one['lost']} lost" for name, one in found.items()
                             if isinstance(one, dict))  # fmt: skip
        case "disk":
            text = ", ".join(f"{name}: {one['acknowledged']} acknowledged, {len(one['lost'])} lost"
                             for name, one in found.items() if isinstance(one, dict))  # fmt: skip
        case "clocks":
            text = found.get("note") or f"wrong by up to {found['worst']:.0f} s; {faults_of(found)}"
        case _:
            missed = [name for name, caught in found["caught"].items() if not caught and name != "none"]
            text = f"{len(found['caught']) - 1} faults, not caught: {', '.join(missed) or 'none'}"
    return "\n  ".join([head + text, *found.get("wrong", [])])


def faults_of(found):
    """Return the counts that must be zero."""
    lost, doubled, lanes = found["lost"], found["doubled"], found["unordered"]
    return f"{found['acknowledged']} acknowledged: {lost} lost, {doubled} doubled, {lanes} lanes out of order"
