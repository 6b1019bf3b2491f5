import threading

import pytest

from outlast.errors import ConfigError, MultiError
from outlast.sync_engine import OptimisticStore


class Board:
    """What a program shows, and what its handlers were told."""

    def __init__(self):
        self.state, self.heard, self.store = {}, [], OptimisticStore()

    def change(self, name, value):
        """Show a change and register it under the name of what was changed."""
        before = self.state.get(name)
        self.state[name] = value
        self.store.register(
            (name, value),
            original=before,
            rollback=lambda: self.state.update({name: before}),
            on_success=lambda: self.heard.append(("ok", name, value)),
            on_error=lambda error: self.heard.append((error, name, value)),
        )


def test_a_confirmed_change_stays():
    """`commit` tells `on_success` once and forgets the change."""
    board = Board()
    board.change("lamp", "on")

    assert [board.store.commit(("lamp", "on")) for _ in range(2)] == [True, False]
    assert board.store.rollback(("lamp", "on")) is False
    assert (board.state, board.heard) == ({"lamp": "on"}, [("ok", "lamp", "on")])


def test_a_refused_change_is_taken_back():
    """`rollback` runs the handler, then tells `on_error` why, once."""
    board = Board()
    board.change("lamp", "on")

    assert board.store.pending == {("lamp", "on"): None}
    assert [board.store.rollback(("lamp", "on"), "denied") for _ in range(2)] == [True, False]
    assert (board.state, board.heard) == ({"lamp": None}, [("denied", "lamp", "on")])
    assert len(board.store) == 0


def test_all_are_taken_back_from_the_newest():
    """Changes of one thing leave it as it was before the first."""
    board = Board()
    for value in ("dim", "on", "off"):
        board.change("lamp", value)

    assert board.store.rollback_all("gone offline") == 3
    assert board.state == {"lamp": None}
    assert [value for _, _, value in board.heard] == ["off", "on", "dim"]


def test_a_handler_that_raises_keeps_no_other_from_its_rollback():
    """All are taken back, and what was raised comes out together."""
    board, store = Board(), OptimisticStore()
    store.register("first", rollback=lambda: board.state.update(done=True))
    store.register("bad", rollback=lambda: 1 / 0, on_error=board.heard.append)

    with pytest.raises(MultiError) as caught:
        store.rollback_all("why")

    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert (board.state, board.heard) == ({"done": True}, ["why"])


def test_handlers_are_optional():
    """A change may be registered with its rollback alone."""
    store = OptimisticStore()
    store.register("a", rollback=lambda: None)
    store.register("b", rollback=lambda: None)

    assert store.commit("a")
    assert store.rollback("b")


def test_a_token_names_one_change():
    """A second change of that name would lose the rollback of the first."""
    store = OptimisticStore()
    store.register("a", rollback=lambda: None)

    with pytest.raises(ConfigError, match="pending already"):
        store.register("a", rollback=lambda: None)


def test_threads_that_settle_at_once_settle_once():
    """Of many threads that commit or roll back one token, one does."""
    settled = []
    for _ in range(50):
        store, gate = OptimisticStore(), threading.Barrier(4)
        store.register("a", rollback=lambda: None)

        def settle(how, store=store, gate=gate):
            gate.wait()
            settled.append(how(store, "a"))

        how = [OptimisticStore.commit, OptimisticStore.rollback] * 2
        threads = [threading.Thread(target=settle, args=(each,)) for each in how]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert settled.count(True) == 50


def test_a_handler_may_use_the_store():
    """Handlers run outside of the lock."""
    store = OptimisticStore()
    store.register("a", rollback=lambda: store.register("b", rollback=lambda: None))
    store.rollback("a")

    assert list(store.pending) == ["b"]
