"""Real damage to a real file: it is never silent, and whatever can be read is saved with its place and its key."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damaged import PAGE, PLACES, SEALED, SETTLED, leaf_of, make, read_one_by_one, root_of
from delivering import deliver, opened
from outlast.errors import ConfigError, CorruptError, OutlastError
from outlast.events import EventBus
from outlast.outbox import Applied, Found, OpState, SyncOutbox, begin_epoch, examine, salvage
from outlast.sync_engine import CallableTransport
from stores import SqlitePlace

KEPT = ("entity", "body", "lane", "verb", "kind", "created", "table")


class Sound:
    """A sound file: its bytes, what lies at its places, and where it is."""

    def __init__(self, path):
        self.path = path
        self.content = make(path)
        self.rows = read_one_by_one(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound file that nobody changes."""
    return Sound(tmp_path_factory.mktemp("sound") / "app.db")


def flip(page, at, value=None):
    """Change one byte of a page."""
    return lambda content: [(page, at, bytes([content[(page - 1) * PAGE + at] ^ 0x55 if value is None else value]))]


def blank(page, filler=b"\0"):
    """Wipe a page out."""
    return lambda content: [(page, 0, filler * PAGE)]


def damage(content, changes):
    """Return the content with its changes."""
    found = bytearray(content)
    for page, at, piece in changes:
        begin = (page - 1) * PAGE + at
        found[begin : begin + len(piece)] = piece
    return bytes(found)


def cut(content, at):
    """Return the content as a file that was cut off."""
    return content[:at]


def check(tmp_path, sound, content):
    """Hold all promises about one damaged file against it; return what the salvage reported."""
    original = sound.rows
    path, copy, new = (tmp_path / name for name in ("app.db", "copy.db", "new.db"))
    for leftover in tmp_path.glob("*.db*"):
        leftover.unlink()
    path.write_bytes(content)
    copy.write_bytes(content)
    readable = readable_in(copy)

    assert_never_silent(copy)
    report = salvage(path, new)

    saved = read_one_by_one(new)
    assert path.read_bytes() == content
    assert report.findings == ()
    lost = {seq for low, high in report.missing for seq in range(low, high + 1)}
    assert [seq for seq in original if seq not in saved and seq not in lost and not report.open_end] == []
    assert [seq for seq in saved if seq in PLACES and seq not in original] == []
    for seq, row in readable.items():
        assert seq in saved, f"{seq} can be read and was not saved"
        doubtful = saved[seq]["table"] == "parked"
        if row == original.get(seq) and not doubtful:
            assert {name: saved[seq][name] for name in KEPT} == {name: row[name] for name in KEPT}
        assert doubtful or saved[seq]["table"] == row["table"]
    return report


def readable_in(path):
    """Return what somebody else's SQLite reads, nothing where it refuses the file."""
    try:
        return read_one_by_one(path)
    except sqlite3.Error:
        return {}


def assert_never_silent(path):
    """Open a damaged file as a program would: it is refused, or it lists every place."""
    try:
        with SyncOutbox.open(path, durability="process", bus=EventBus()) as box:
            listed = {status.seq for status in box.list(limit=10_000)}
    except OutlastError:
        return
    assert listed == set(PLACES)


def damages(sound):
    """Yield the planted damages by name."""
    path = sound.path
    op, leaf = root_of(path, "op"), leaf_of(path, "op")
    yield "leaf-type", flip(leaf, 0)
    yield "leaf-count", flip(leaf, 4)
    yield "leaf-pointer", flip(leaf, 9)
    yield "leaf-cell", flip(leaf, PAGE - 150)
    yield "leaf-zeroed", blank(leaf)
    yield "leaf-garbage", blank(leaf, b"\xa5")
    yield "inner-zeroed", blank(op)
    yield "inner-child", flip(op, 11)
    yield "inner-cell", flip(op, 13)
    yield "header-magic", flip(1, 3)
    yield "header-page-size", flip(1, 16)
    yield "header-free-list", flip(1, 39)
    yield "schema-zeroed", blank(1)
    for table in ("seal", "receipt", "parked", "once", "meta", "lease", "op_after", "sqlite_sequence"):
        yield f"{table}-zeroed", blank(root_of(path, table))


NAMES = (
    "leaf-type", "leaf-count", "leaf-pointer", "leaf-cell", "leaf-zeroed", "leaf-garbage", "inner-zeroed",
    "inner-child", "inner-cell", "header-magic", "header-page-size", "header-free-list", "schema-zeroed", "seal-zeroed",
    "receipt-zeroed", "parked-zeroed", "once-zeroed", "meta-zeroed", "lease-zeroed", "op_after-zeroed",
    "sqlite_sequence-zeroed",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_page_costs_no_other(tmp_path, sound, name):
    """Whatever another SQLite can read is saved, the rest is named, and the doctor sees the damage."""
    content = sound.content
    hurt = damage(content, dict(damages(sound))[name](content))

    check(tmp_path, sound, hurt)

    (tmp_path / "seen.db").write_bytes(hurt)
    # A letter of a text that was never sent is the one thing that nothing tells.
    assert doctor_sees(tmp_path / "seen.db") or name == "leaf-cell"


def doctor_sees(path):
    """Tell whether the doctor finds something, or refuses the file."""
    try:
        return bool(examine(path))
    except OutlastError:
        return True


@pytest.mark.parametrize("share", [0.2, 0.5, 0.93])
def test_a_file_that_was_cut_off(tmp_path, sound, share):
    """What lay behind the cut is named as lost."""
    content = sound.content

    report = check(tmp_path, sound, cut(content, int(len(content) * share)))

    assert report.missing or report.open_end


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, 1 << 20),
    piece=st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([bytes(512), b"\xff" * 512])),
)
def test_damage_anywhere(tmp_path, sound, at, piece):
    """Some bytes anywhere in the file, a few or a whole sector."""
    content = sound.content

    check(tmp_path, sound, damage(content, [(1, at % (len(content) - 512), piece)]))


async def test_what_was_saved_is_delivered(tmp_path, sound):
    """After the loss of an inner page all goes out in order, under its old keys; what was sent before is looked up."""
    content, path = sound.content, sound.path
    (tmp_path / "app.db").write_bytes(damage(content, blank(root_of(path, "op"))(content)))
    async with opened(tmp_path / "before.db") as box:
        del box
    (tmp_path / "copy.db").write_bytes(content)
    async with opened(tmp_path / "copy.db") as box:
        keys = {op.seq: op.key for op in await box.pending("note")}

    report = salvage(tmp_path / "app.db", tmp_path / "new.db")

    log = []

    async def send(op):
        log.append(op)
        return Applied()

    async def read_back(op):
        return Found(equal=op.entity == "sealed3")

    async with opened(tmp_path / "new.db") as box:
        await deliver(box, CallableTransport(send, read_back=read_back), concurrency=1)
        counts = await box.counts()
        fresh = await box.put("note", "fresh", {})

    assert report.whole
    assert {op.seq: op.key for op in log} == {seq: key for seq, key in keys.items() if seq != SETTLED + 4}
    assert [op.seq for op in log] == sorted(op.seq for op in log)
    assert (counts.open, counts.delivered) == (0, SETTLED - 3 + SEALED + 120)
    assert fresh.seq == PLACES[-1] + 1
    assert f".{report.epoch}:" in fresh.key
    assert report.epoch.startswith("2-")


async def test_what_may_have_been_sent_waits_for_a_person(tmp_path, sound):
    """Where nobody can tell which writes were sent, none is before somebody says so; then it has its old key."""
    content, path = sound.content, sound.path
    (tmp_path / "app.db").write_bytes(damage(content, blank(root_of(path, "seal"))(content)))

    report = salvage(tmp_path / "app.db", tmp_path / "new.db")

    async with opened(tmp_path / "new.db") as box:
        letter = await box.conflict(SETTLED + 1)
        await box.replay(letter.seq)
        (op,) = await box.pending("note")
        assert (letter.state, op.key) == (OpState.DEAD, letter.op.key)
        assert letter.reason == "salvaged: it may have been sent: what tells so could not be read"
    assert len(report.doubtful) == SEALED + 120
    assert not report.missing


@pytest.fixture
def emptied(tmp_path):
    """A file of which most was discarded long ago; the pages that are free now still hold it."""
    place = SqlitePlace(tmp_path / "app.db")
    make(place.path)
    place.execute("DELETE FROM op WHERE seq > ?", SETTLED + SEALED + 10)
    return place.path


def test_what_was_settled_long_ago_does_not_come_back(emptied, tmp_path):
    """What lies on free pages was deleted; where the list of them is damaged too, a person is asked about it."""
    report = salvage(emptied, tmp_path / "new.db")
    content = emptied.read_bytes()
    emptied.write_bytes(damage(content, flip(1, 39)(content)))
    doubtful = salvage(emptied, tmp_path / "doubtful.db")

    assert (report.whole, report.read["op"]) == (True, SEALED + 10)
    assert doubtful.read["op"] == SEALED + 10
    assert {one.why for one in doubtful.doubtful} == {"it may have been settled long ago"}
    assert min(one.seq for one in doubtful.doubtful) > SETTLED + SEALED + 10


def test_an_end_that_nobody_knows_is_said(tmp_path, sound):
    """Without the count of places nobody can tell whether something lay behind the last one that is left."""
    content, path = sound.content, sound.path
    changes = [blank(root_of(path, table))(content)[0] for table in ("op", "sqlite_sequence")]
    (tmp_path / "app.db").write_bytes(damage(content, changes))

    report = salvage(tmp_path / "app.db", tmp_path / "new.db")

    assert (report.open_end, report.whole, report.missing) == (True, False, ())


def test_the_name_of_the_outbox_is_found_in_what_was_sent(tmp_path, sound):
    """Where the table that has it is lost, the keys of sealed requests tell it."""
    content, path = sound.content, sound.path
    (tmp_path / "app.db").write_bytes(damage(content, blank(root_of(path, "meta"))(content)))
    (tmp_path / "sound.db").write_bytes(content)

    salvage(tmp_path / "app.db", tmp_path / "new.db")

    with SyncOutbox.open(tmp_path / "new.db", bus=EventBus()) as new, SyncOutbox.open(tmp_path / "sound.db") as old:
        assert new.ticket(PLACES[-1]).key == old.ticket(PLACES[-1]).key


def changed(path, *statements):
    """Change a copy of a sound file by SQL, as damage that nobody can tell from what was meant."""
    with closing(sqlite3.connect(path)) as other:
        for statement in statements:
            other.execute(statement)
        other.commit()


@pytest.mark.parametrize("last", [1 << 40, 1 << 62])
def test_places_that_cannot_be_cost_no_time(tmp_path, sound, last):
    """A count of places that was damaged is far beyond what there is; nothing is done for each place up to it."""
    path = tmp_path / "app.db"
    path.write_bytes(damage(sound.content, blank(leaf_of(sound.path, "op"))(sound.content)))
    content = path.read_bytes()
    path.write_bytes(sound.content)
    changed(
        path, f"UPDATE sqlite_sequence SET seq = {last} WHERE name = 'op'", f"UPDATE seal SET fence = {(1 << 63) - 1}"
    )
    page = root_of(path, "sqlite_sequence")
    path.write_bytes(damage(content, [(page, 0, path.read_bytes()[(page - 1) * PAGE : page * PAGE])]))

    report = salvage(path, tmp_path / "new.db")

    assert report.missing
    with SyncOutbox.open(tmp_path / "new.db", bus=EventBus()) as box:
        assert box.put("note", "later", {}).seq > max(PLACES)


def test_what_is_no_number_costs_one_write(tmp_path, sound):
    """SQLite stores no NaN; the write whose time is one is put before a person, and the others wait on."""
    at = sound.content.index(b"application/json", (leaf_of(sound.path, "op") - 1) * PAGE) + len(b"application/json")
    path = tmp_path / "app.db"
    path.write_bytes(damage(sound.content, [(1, at, b"\xff" * 8)]))

    report = salvage(path, tmp_path / "new.db")

    assert [one.why for one in report.doubtful] == ["its created is damaged"]
    assert report.read["op"] == len(PLACES) - SETTLED - 1


def test_a_damaged_epoch_is_told(tmp_path, sound):
    """The doctor names it, a new epoch is refused, and a salvage takes it from what was sent."""
    path = tmp_path / "app.db"
    path.write_bytes(sound.content.replace(b"epoch1", b"epochq"))

    assert [finding.code for finding in examine(path)] == ["unreadable"]
    with pytest.raises(CorruptError, match="name of the outbox or of its epochs is damaged"):
        begin_epoch(path)
    report = salvage(path, tmp_path / "new.db")

    assert (report.self_lost, report.whole, report.epoch.startswith("2-")) == (True, False, True)


class Mirror:
    """Turn every byte round, so that no body can be taken for a plain one."""

    name = "mirror"

    def encode(self, body):
        """Turn them."""
        return bytes(255 - byte for byte in body)

    decode = encode


@pytest.mark.parametrize("what", ["page", "probe"])
async def test_bodies_whose_codec_is_lost_are_not_sent_as_they_are(tmp_path, what):
    """They wait until somebody names the codec, which is noted when it can read them."""
    path, new = tmp_path / "app.db", tmp_path / "new.db"
    async with opened(path, codec=Mirror()) as box:
        await box.put("note", "a", {"n": 1})
    content, meta = path.read_bytes(), root_of(path, "meta")
    path.write_bytes(damage(content, blank(meta)(content)) if what == "page" else content.replace(b"probe9", b"probeX"))

    report = salvage(path, new)

    assert report.self_lost == (what == "page")
    with pytest.raises(ConfigError, match=r"written with (a codec, whose|the codec 'mirror')"):
        SyncOutbox.open(new, bus=EventBus())
    async with opened(new, codec=Mirror()) as box:
        assert [op.body for op in await box.pending("note")] == [b'{"n":1}']
    with pytest.raises(ConfigError, match="the codec 'mirror'"):
        SyncOutbox.open(new, bus=EventBus())
