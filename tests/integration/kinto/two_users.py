"""Say what may become of the edits of two users, from plain dicts; nothing of outlast is imported."""

from __future__ import annotations

from typing import NamedTuple

ABSENT = object()


class Edit(NamedTuple):
    """Hold what a user saw of a record, and what the user made of it; None is a record that is not there."""

    before: dict | None
    after: dict | None


def meet(edit, server):
    """Return what the server holds after an edit has come there, and whether nobody has to decide about it."""
    if server in (edit.before, edit.after):
        return edit.after, True
    if edit.after is None or server is None:
        return server, False
    old, merged = edit.before or {}, {}
    for name in {*old, *edit.after, *server}:
        base, ours, theirs = (side.get(name, ABSENT) for side in (old, edit.after, server))
        if ours in (theirs, base):
            value = theirs
        elif base == theirs:
            value = ours
        elif name == "stars":
            value = max(ours, theirs)
        else:
            return server, False
        if value is not ABSENT:
            merged[name] = value
    return merged, True


def outcomes(server, queues, order=None):
    """Return what may come of two users' edits of one record, as (server, edits that each user has left).

    An edit about which somebody has to decide holds back those behind it.

    Args:
        server: What the server holds.
        queues: The edits of each user, oldest first.
        order: The users in the order of their return, None for at the same time, in whatever way their edits mix.
    """
    if order is not None:
        left = [(), ()]
        for user in order:
            server, left[user] = _arrive(server, queues[user])
        return [(server, tuple(left))]
    pairs = tuple(tuple((edit, edit) for edit in queue) for queue in queues)
    return [(held, tuple(tuple(edit for edit, _ in queue) for queue in left)) for held, left in _mixed(server, pairs)]


def _arrive(server, queue):
    """Let the edits of one user come one after the other."""
    for place, edit in enumerate(queue):
        server, settled = meet(edit, server)
        if not settled:
            return server, tuple(queue[place:])
    return server, ()


def _mixed(server, queues):
    """Return what comes of every mixture; each edit stands beside what merging has made of it so far."""
    states, seen, ends = [(server, queues, (False, False))], [], []
    while states:
        state = states.pop()
        if state in seen:
            continue
        seen.append(state)
        held, left, stuck = state
        going = [user for user in (0, 1) if left[user] and not stuck[user]]
        if not going:
            ends.append((held, left))
        for user in going:
            states += _steps(held, left, stuck, user)
    return ends


def _steps(server, queues, stuck, user):
    """Return the states to which the next edit of a user may lead."""
    (edit, now), *rest = queues[user]
    after, settled = meet(now, server)
    if not settled:
        return [(server, queues, _with(stuck, user, True))]
    found = [(after, _with(queues, user, tuple(rest)), stuck)]
    if after != server:
        found.append((after, queues, stuck))  # the answer is lost, and so it will be sent again
    if server not in (now.before, now.after):
        # It is read and merged, and the other may come in between before the result is sent.
        found.append((server, _with(queues, user, ((edit, Edit(server, after)), *rest)), stuck))
    return found


def _with(pair, user, value):
    return tuple(value if one == user else other for one, other in enumerate(pair))


def discarded(server, left):
    """Return what the server holds when each user drops what somebody has to decide about, the first user first."""
    for queue in left:
        for edit in queue[1:]:
            server, _ = meet(edit, server)
    return server


def folded(edits):
    """Return the edits of one record as one, which is what is sent of edits that wait together; none if they undo."""
    if not edits or edits[0].before == edits[-1].after:
        return []
    return [Edit(edits[0].before, edits[-1].after)]
