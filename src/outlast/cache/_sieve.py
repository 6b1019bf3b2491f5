"""Keep the most useful values in memory, within bounds.

Source: Y. Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024): a hit sets a mark and moves nothing; a hand
walks from the oldest to the newest, takes marks away and evicts the first value without one.
"""

from __future__ import annotations

from dataclasses import dataclass

from outlast.cache._entry import Entry
from outlast.config import check_number


@dataclass(frozen=True, slots=True)
class Memory:
    """Bound what a cache keeps in memory.

    Values are kept as they are and handed out without a copy: whoever changes one changes it for all.

    Args:
        max_items: How many values, >= 1. Default 10 000.
        max_bytes: How many encoded bytes in all, or None for no bound. Sizes are known only when the cache has
            a codec or a disk. A value larger than all of it is not kept, and that is no error. Default None.
    """

    max_items: int = 10_000
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse bounds that leave no room."""
        check_number("memory.max_items", self.max_items, least=1)
        if self.max_bytes is not None:
            check_number("memory.max_bytes", self.max_bytes, least=1)


class _Node:
    __slots__ = ("entry", "key", "newer", "older", "seen")

    def __init__(self, key: str, entry: Entry) -> None:
        self.key = key
        self.entry = entry
        self.seen = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


class Sieve:
    """Map keys to entries and evict by SIEVE. Thread-safe: no; its owner holds a lock.

    Complexity: O(1) amortised.
    """

    def __init__(self, bounds: Memory) -> None:
        self._bounds = bounds
        self._nodes: dict[str, _Node] = {}
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None
        self.bytes = 0
        self.evictions = 0
        self.too_big = 0

    def __len__(self) -> int:
        """Return how many values are kept."""
        return len(self._nodes)

    def get(self, key: str) -> Entry | None:
        """Return an entry and mark it as used."""
        node = self._nodes.get(key)
        if node is None:
            return None
        node.seen = True
        return node.entry

    def set(self, key: str, entry: Entry) -> None:
        """Keep an entry in place of any other of that key, and evict what no longer fits."""
        if self._bounds.max_bytes is not None and entry.size > self._bounds.max_bytes:
            self.too_big += 1
            self.discard(key)
            return
        node = self._nodes.get(key)
        if node is None:
            self._make_room(1, entry.size)  # first, so that the hand cannot meet the new value
            self._append(_Node(key, entry))
        else:
            self.bytes += entry.size - node.entry.size
            node.entry = entry
            self._make_room(0, 0)

    def discard(self, key: str) -> None:
        """Drop a key; nothing happens when it is not there."""
        node = self._nodes.get(key)
        if node is not None:
            self._unlink(node)

    def clear(self) -> None:
        """Drop everything."""
        self._nodes.clear()
        self._newest = self._oldest = self._hand = None
        self.bytes = 0

    def _make_room(self, items: int, size: int) -> None:
        most, most_bytes = self._bounds.max_items, self._bounds.max_bytes
        while len(self._nodes) + items > most or (most_bytes is not None and self.bytes + size > most_bytes):
            self._evict()

    def _evict(self) -> None:
        node = self._hand or self._oldest
        while node is not None and node.seen:
            node.seen = False
            node = node.newer or self._oldest
        if node is not None:
            self._hand = node
            self._unlink(node)
            self.evictions += 1

    def _append(self, node: _Node) -> None:
        self._nodes[node.key] = node
        self.bytes += node.entry.size
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        self._newest = node
        self._oldest = self._oldest or node

    def _unlink(self, node: _Node) -> None:
        del self._nodes[node.key]
        self.bytes -= node.entry.size
        if self._hand is node:
            self._hand = node.newer
        if node.newer is None:
            self._newest = node.older
        else:
            node.newer.older = node.older
        if node.older is None:
            self._oldest = node.newer
        else:
            node.older.newer = node.newer
