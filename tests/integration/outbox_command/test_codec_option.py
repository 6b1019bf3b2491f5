"""`--codec`: what a codec of the user has written is read, replaced and exported; every mistake with it is told."""

import json

import pytest
from cryptography.fernet import Fernet

from outlast.events import EventBus
from outlast.outbox import Inspection, SyncOutbox
from stores import SqlitePlace

MODULE = """
import os
from cryptography.fernet import Fernet

class Encrypted:
    name = "fernet"

    def __init__(self):
        self.fernet = Fernet(os.environ["SHOP_KEY"])

    def encode(self, body):
        return self.fernet.encrypt(body)

    def decode(self, stored):
        return self.fernet.decrypt(stored)

def made():
    return Encrypted()

number = 7
"""


class Encrypted:
    """The same codec as the module's."""

    name = "fernet"

    def __init__(self, key):
        fernet = Fernet(key)
        self.encode, self.decode = fernet.encrypt, fernet.decrypt


@pytest.fixture
def key(monkeypatch, tmp_path):
    """A key in the environment, and a module that knows it in the present folder."""
    key = Fernet.generate_key()
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "shop_secrets.py").write_text(MODULE)
    (folder / "shop_broken.py").write_text("import no_such_module")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SHOP_KEY", key.decode())
    return key


@pytest.fixture
def secret(place, key):
    """An outbox of encrypted bodies: 1 waits, 2 and 3 are dead."""
    with SyncOutbox.open(place, codec=Encrypted(key), bus=EventBus()) as box:
        for name in ("a", "b", "c"):
            box.put("note", name, {"name": name}, base={"was": name})
    columns = "seq, lane, verb, kind, entity, generation, content_type, created, body, base"
    for seq in (2, 3):
        place.execute(
            f"INSERT INTO $parked ({columns}, state, reason, parked, attempts)"
            f" SELECT {columns}, 'dead', '422', 5.0, 1 FROM $op WHERE seq = {seq}"
        )
        place.execute(f"DELETE FROM $op WHERE seq = {seq}")
    place.execute(
        "INSERT INTO $seal (seq, attempts, fence, delay, first_sent, reason, method, url, headers, body_hash, body)"
        " VALUES (1, 1, 1, 1.0, 6.5, 'slow', 'PUT', 'http://h/1', '[]', ?, ?)",
        b"", Encrypted(key).encode(b"as sent"),
    )  # fmt: skip
    return place


def test_bodies_are_read(outbox, secret, key):
    """With the codec bodies and bases are plain, one by one and exported; without it they are as they are stored."""
    codec = ("--codec", "shop_secrets:Encrypted")

    shown = outbox("show", secret, 1, "--json", *codec).json
    lines = [json.loads(line) for line in outbox("export", secret, *codec).out.splitlines()]
    stored = outbox("show", secret, 1, "--json").json

    assert (shown["body"], shown["base"]) == ('{"name":"a"}', '{"was":"a"}')
    with Inspection.open(secret, codec=Encrypted(key)) as seen:
        assert seen.show(1).sealed.request.body == b"as sent"
    assert [line["body"] for line in lines] == ['{"name":"a"}', '{"name":"b"}', '{"name":"c"}']
    assert [one["body"] for one in outbox("dead", secret, "--json", *codec).json["dead"]] == [
        '{"name":"b"}', '{"name":"c"}',
    ]  # fmt: skip
    assert "name" not in stored["body"]


def test_bodies_are_replaced(outbox, secret, key, tmp_path):
    """A decision writes by the codec, which it asks for; nothing lies there in plain."""
    fix = tmp_path / "fix.json"
    fix.write_text('{"name":"fixed"}')
    refused = outbox("discard", secret, 3, "--yes")

    replayed = outbox("replay", secret, 2, "--body", fix, "--codec", "shop_secrets:made")
    discarded = outbox("discard", secret, 3, "--yes", "--codec", "shop_secrets:made")

    assert (refused.code, replayed.code, discarded.code) == (2, 0, 0)
    assert "written by the codec 'fernet'" in refused.err
    assert "--codec MODULE:NAME" in refused.err
    ((stored,),) = secret.execute("SELECT body FROM $op WHERE seq = 2")
    assert Fernet(key).decrypt(bytes(stored)) == b'{"name":"fixed"}'


@pytest.mark.parametrize(
    ("named", "said"),
    [
        pytest.param("shop_secrets", "names no codec", id="no-colon"),
        pytest.param("no_such_shop:codec", "cannot be imported from", id="no-module"),
        pytest.param("shop_broken:codec", "No module named 'no_such_module'", id="broken-module"),
        pytest.param("shop_secrets:mode", "did you mean made?", id="no-name"),
        pytest.param("shop_secrets:number", "it has no name, encode, decode", id="no-codec"),
        pytest.param("shop_secrets:made", "most likely it was given another key", id="another-key"),
        pytest.param("shop_secrets:Encrypted", "made no codec: KeyError: 'SHOP_KEY'", id="no-key"),
    ],
)
def test_mistakes(outbox, key, tmp_path, monkeypatch, named, said):
    """Each names the codec and what is wrong with it, with code 2."""
    place = SqlitePlace(tmp_path / "app.db")
    with SyncOutbox.open(place, codec=Encrypted(Fernet.generate_key()), bus=EventBus()) as box:
        box.put("note", "a", {})
    if named.endswith("Encrypted"):
        monkeypatch.delenv("SHOP_KEY")

    done = outbox("show", place, 1, "--codec", named)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) < 6


def test_an_outbox_without_a_codec_is_not_read_by_one(outbox, key, filled_file):
    """Plain bodies would be taken for damaged ones."""
    done = outbox("show", filled_file, 5, "--codec", "shop_secrets:made")

    assert (done.code, "written without a codec" in done.err) == (2, True)
