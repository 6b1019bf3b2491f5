from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from unmeasured import UNMEASURED

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "bench" / "torture"
WORLD = "k-plain"
LANE = f"/{WORLD}/notes/e"

pytestmark = pytest.mark.timeout(600)


class Story:
    """Hold what the ledgers of a faultless play say; tests spoil it."""

    def __init__(self):
        self.wants = [self.want(number) for number in range(4)]
        self.acks = [{"t": "ack", "w": f"p.e.{number}", "seq": number + 1} for number in range(4)]
        self.effects = [self.sent("effect", number) for number in range(4)]
        self.arrivals = [self.sent("arrival", number) for number in range(4)]
        self.state = {LANE: {"w": "p.e.3"}}
        self.waiting = {"op": 0, "parked": 0}

    @staticmethod
    def want(number, group=None):
        return {"t": "want", "w": f"p.e.{number}", "lane": LANE, "verb": "put", "body": {"w": f"p.e.{number}"},
                "group": group}  # fmt: skip

    @staticmethod
    def sent(kind, number, **more):
        return {"t": kind, "world": WORLD, "lane": LANE, "w": f"p.e.{number}", "key": f"s.1:{number + 1}:0",
                "print": f"bytes of {number}", "fence": "1", "fault": None, **more}  # fmt: skip

    def judged(self, observer):
        """Return what the observer finds wrong."""
        server = self.effects + self.arrivals
        verdict = observer.judge(WORLD, self.wants + self.acks, server, self.state, self.waiting)
        return {name for name in observer.Verdict.FAULTS if getattr(verdict, name)}


def lose(story):
    """Drop an effect that was acknowledged."""
    del story.effects[1]


def invent(story):
    """Let something take effect that nobody wanted."""
    story.effects.insert(0, story.sent("effect", 9, key="s.1:0:0", lane=f"/{WORLD}/notes/f"))


def double(story):
    """Apply a write twice in a row."""
    story.effects.append(story.effects[3])


def double_later(story):
    """Apply a write again after its successor."""
    story.effects.insert(2, story.effects[0])


def swap(story):
    """Apply two writes in the other order."""
    story.effects[0], story.effects[1] = story.effects[1], story.effects[0]


def diverge(story):
    """Let the server hold something else in the end."""
    story.state[LANE] = {"w": "p.e.0"}


def change(story):
    """Send other bytes under a key."""
    story.arrivals.append(story.sent("arrival", 2, print="other bytes"))


def tear(story):
    """Apply one of two writes that were queued together."""
    story.wants += [story.want(number, "g") for number in (4, 5)]
    story.effects.append(story.sent("effect", 4))
    story.state[LANE] = {"w": "p.e.4"}


def hammer(story):
    """Send one key a hundred times."""
    story.arrivals += [story.sent("arrival", 3)] * 100


def wait(story):
    """Leave a write in the queue."""
    story.waiting["op"] = 1


def test_the_observer_is_content_with_a_faultless_play(observer):
    """What was acknowledged took effect once and in order, and repeated requests are no fault."""
    story = Story()
    story.arrivals += story.arrivals
    assert story.judged(observer) == set()


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lose, {"lost"}, id="lost"),
        pytest.param(invent, {"unwanted"}, id="unwanted"),
        pytest.param(double, {"doubled", "unordered"}, id="doubled"),
        pytest.param(double_later, {"doubled", "unordered"}, id="doubled-later"),
        pytest.param(swap, {"unordered"}, id="reordered"),
        pytest.param(diverge, {"diverged"}, id="other-content"),
        pytest.param(change, {"changed"}, id="key-with-other-bytes"),
        pytest.param(tear, {"torn"}, id="half-a-group"),
        pytest.param(hammer, {"hammered"}, id="without-end"),
        pytest.param(wait, {"restless"}, id="still-waiting"),
    ],
)
def test_the_observer_can_fail(observer, spoil, found):
    """Each planted loss, double, swap or change turns it red, and by its own name."""
    story = Story()
    spoil(story)
    assert story.judged(observer) == found


@pytest.mark.parametrize("program", ["observer", "server", "faults", "peers"])
def test_judge_and_server_share_no_code_with_what_they_judge(program):
    """They import nothing of outlast, not even through each other."""
    tree = ast.parse((FOLDER / f"{program}.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {path.stem for path in FOLDER.glob("*.py")} - {"faults", "others", "page"}
    assert not {name.partition(".")[0] for name in names} & ({"outlast"} | ours)


def run(*arguments):
    """Run a part of the torture and return its figures."""
    command = (sys.executable, FOLDER, "--json", "--no-write", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=UNMEASURED)
    assert done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_some_kills_lose_nothing(store):
    """A handful of kills at named points, on each store: the observer finds nothing wrong."""
    found = run("--only", "kills", "--store", store, "--kills", "8", "--seconds", "100")
    assert found["kills"]["wrong"] == []
    assert found["kills"]["kills"] >= 8
    assert found["kills"]["acknowledged"] > 0


def test_power_cuts_and_full_disks_lose_nothing():
    """A few hundred images of cut power, and two kinds of full disk; without syncs some writes are lost."""
    found = run("--only", "power,disk", "--images", "400")
    assert found["power"]["wrong"] == []
    assert found["power"]["normal"]["lost"] > 0
    assert found["disk"]["good"], found["disk"]


async def test_who_is_idle_has_nothing_in_flight(points):
    """A request whose end nobody tells of, as that of a merge, is over with its task: no kill of an idle one counts."""
    watch = points.Watch(points.Board())

    async def carry():
        watch.takes_off()
        watch.takes_off()  # the entity is read back
        return watch.board.busy

    assert await asyncio.create_task(carry())
    await asyncio.sleep(0)
    assert not watch.board.busy


def test_faults_can_be_planted(planted):
    """Each text that a fault replaces stands once in the source; `make torture` plants it."""
    source = ROOT / "src" / "outlast"
    gone = [
        f"{fault.name}: {module}"
        for fault in planted.FAULTS
        for module, old, _ in fault.changes
        if (source / module).read_text().count(old) != 1
    ]
    assert gone == []


def test_a_planted_fault_turns_the_torture_red(planted, tmp_path):
    """Acknowledging before the COMMIT is found by the power cuts, and the exit code says so."""
    fault = next(fault for fault in planted.FAULTS if fault.name == "P1")
    assert planted.catch(fault, tmp_path) == ["torture"]


def test_page_shows_the_last_figures_and_they_are_good():
    """The page is what its program writes, and its verdict is green."""
    figures = json.loads((FOLDER / "figures.json").read_text())
    code = "import json, page; print(page.text_of(json.loads(page.FIGURES.read_text())), end='')"
    told = subprocess.run((sys.executable, "-c", code), cwd=FOLDER, capture_output=True, text=True, check=True)
    assert told.stdout == (ROOT / "docs" / "reference" / "torture.md").read_text()
    parts = [part for part in figures["torture"].values() if isinstance(part, dict)]
    assert len(parts) == 6
    assert all(part["good"] for part in parts)


def test_the_page_tells_the_figures_in_the_order_in_which_they_are_kept(page):
    """Parts of a run come in the order in which they were played; the page does not depend on it."""
    figures = json.loads((FOLDER / "figures.json").read_text())
    figures["torture"]["disk"] = dict(reversed(figures["torture"]["disk"].items()))
    page.write(**figures)
    page_of_the_run = page.PAGE.read_text()
    page.write()
    assert page.PAGE.read_text() == page_of_the_run
