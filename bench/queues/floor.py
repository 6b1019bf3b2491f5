"""The least that Python must do to deliver from an outbox: its tables and records, without loop, threads or lease."""

import hashlib
import time

import apsw

from outlast.outbox import Applied, Op, SealedRequest, Verb

READ = (
    "SELECT seq, lane, verb, kind, entity, generation, target, content_type, if_match, created, body, grp, after_seq,"
    " schema_v, rounds, expires, base FROM op "
)
ROUNDS = "SELECT seq FROM op ORDER BY row_number() OVER (PARTITION BY lane ORDER BY seq), seq"
SEAL = (
    "INSERT INTO seal (seq, attempts, fence, due, delay, first_sent, reason, method, url, headers, body_hash, body,"
    " doubt) VALUES (?, 1, 7, NULL, 0, ?, '', ?, ?, '[]', ?, NULL, 0)"
)
OWNED = "SELECT count(*) FROM seal WHERE {} AND fence = 7 AND attempts = 1"
RECEIPT = (
    "INSERT INTO receipt (seq, generation, attempts, etag, kind, entity, done, outcome)"
    " VALUES (?, ?, 1, ?, ?, ?, ?, 'delivered')"
)
GONE = ("DELETE FROM op WHERE {}", "DELETE FROM seal WHERE {}")
VERBS = {verb.value: verb for verb in Verb}


class Floor:
    """Claim, hand over and settle, with a hash, a request, an answer and a receipt each, in the shortest code there is.

    Args:
        path: An outbox that nobody has open.
        scattered: Whether the lanes are gone round, which takes ops from many places of the file. Default: ops go in
            the order of their places, so each should have a lane of its own.
    """

    def __init__(self, path, *, scattered=False):
        self.db = apsw.Connection(str(path))
        self.db.pragma("synchronous", 2)
        self.places = [row[0] for row in self.db.execute(ROUNDS)] if scattered else None

    def settle(self, group, groups):
        """Do so group by group, and return the rate."""
        began = time.perf_counter()
        for _ in range(groups):
            now = time.time()
            self.db.execute("BEGIN IMMEDIATE")
            parcels = self._claim(self._chosen(group), now)
            self.db.execute("COMMIT")
            answers = carry(parcels)
            self.db.execute("BEGIN IMMEDIATE")
            self._record(parcels, answers, now)
            self.db.execute("COMMIT")
        return group * groups / (time.perf_counter() - began)

    def _chosen(self, group):
        """Return what a query ends with that finds the next group, and what is bound to it."""
        if self.places is None:
            return "ORDER BY seq LIMIT ?", (group,)
        chosen, self.places = self.places[:group], self.places[group:]
        return f"WHERE {among(chosen)} ORDER BY seq", chosen

    def _claim(self, chosen, now):
        parcels, rows = [], []
        ending, bound = chosen
        for row in self.db.execute(READ + ending, bound):
            seq, lane, verb, kind, entity, generation, target, media, if_match, created, body, *rest = row
            key = f"floor.1:{seq}:{generation}"
            op = Op(
                seq, generation, key, lane, VERBS[verb], kind, entity, target, body, media, if_match, created, *rest
            )
            parcels.append((op, SealedRequest("put", key, (), body)))
            rows.append((seq, now, "put", key, hashlib.sha256(body).digest()))
        self.db.executemany(SEAL, rows)
        return parcels

    def _record(self, parcels, answers, now):
        places = [op.seq for op, _ in parcels]
        which, bound = ("seq <= ?", places[-1:]) if self.places is None else (among(places), places)
        if self.db.execute(OWNED.format(which), bound).get != len(parcels):
            raise RuntimeError("somebody else delivers from this file")
        rows = [(op.seq, op.generation, answers[op.seq].etag, op.kind, op.entity, now) for op, _ in parcels]
        self.db.executemany(RECEIPT, rows)
        for gone in GONE:
            self.db.execute(gone.format(which), bound)

    def close(self):
        """Close the file."""
        self.db.close()


def among(places):
    """Return the condition that a row lies at one of some places."""
    return f"seq IN ({','.join('?' * len(places))})"


def carry(parcels):
    """Carry to nowhere."""
    answer = Applied()
    return {op.seq: answer for op, _ in parcels}
