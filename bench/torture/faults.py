"""The seeded script of a bad server: what it does to the n-th arrival of a write. The standard library alone."""

import random

# The shares sum to less than one; the rest is served well. What follows "apply-" took effect.
SHARES = {
    "drop-before-read": 0.04,  # the connection is closed before the body is read
    "apply-drop": 0.07,  # applied, and not a byte of an answer
    "apply-500": 0.04,  # applied, and 500
    "apply-half-body": 0.03,  # applied, and an answer that ends in the middle
    "apply-slow-drip": 0.03,  # applied, and an answer that comes byte by byte
    "apply-412": 0.02,  # applied, and then 412, as a server does that sees its own new version
    "apply-wrong-etag": 0.04,  # applied, and a version that never was
    "apply-duplicate": 0.04,  # applied, and the same request arrives once more a moment later
    "in-progress": 0.03,  # 409 with the problem of a key in progress, and applied a moment later
    "429-seconds": 0.005,
    "429-date": 0.005,
    "429-garbage": 0.01,
    "503": 0.03,
    "redirect": 0.005,
}
NEEDS_A_KEY = {"in-progress"}
NEEDS_KEY_OR_MATCH = {"apply-duplicate"}
NOT_FOR_POST = {"apply-412"}
ALWAYS_409 = 0.03


def fault_of(seed, world, write, arrival, *, keyed, matched, post):
    """Return the name of what happens to an arrival, or None; the same for the same numbers."""
    dice = random.Random(f"{seed}/{world}/{write}/{arrival}")
    roll = dice.random()
    for name, share in SHARES.items():
        roll -= share
        if roll < 0:
            fits = (keyed or name not in NEEDS_A_KEY) and not (post and name in NOT_FOR_POST)
            return name if fits and (keyed or matched or name not in NEEDS_KEY_OR_MATCH) else None
    return None


def refuses_always(seed, world, entity):
    """Tell whether every change of an entity is answered 409 until the server is healed."""
    return random.Random(f"{seed}/{world}/{entity}").random() < ALWAYS_409


def latency(seed, write, arrival):
    """Return the seconds that an answer takes."""
    return random.Random(f"{seed}/{write}/{arrival}/latency").uniform(0.002, 0.025)
