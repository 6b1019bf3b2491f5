import pytest

from outlast.errors import CircuitOpenError, ConfigError, DeadlineExceededError, DuplicateNameError
from outlast.policies import CircuitBreaker, Pipeline, Policy, Retry, Timeout, remaining
from outlast.testing import FixedRandom


class Mark(Policy):
    """A policy that writes down when a call enters and leaves it."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def wrap_sync(self, fn, /):
        """Write down."""

        def marked(*args, **kwargs):
            self.log.append(f"{self.name} in")
            try:
                return fn(*args, **kwargs)
            finally:
                self.log.append(f"{self.name} out")

        return marked

    def wrap_async(self, fn, /):
        """Write down."""

        async def marked(*args, **kwargs):
            self.log.append(f"{self.name} in")
            try:
                return await fn(*args, **kwargs)
            finally:
                self.log.append(f"{self.name} out")

        return marked

    def wrap_generator(self, fn, /):
        """Do nothing."""
        return fn

    def wrap_async_generator(self, fn, /):
        """Do nothing."""
        return fn

    def describe(self):
        """Return the name."""
        return f"mark {self.name}"

    def snapshot(self):
        """Return the name."""
        return self.name


def test_first_named_is_outermost(face):
    """A call enters the policies in the order in which they are named, and leaves them in the other."""
    log = []
    pipeline = Pipeline("p", Mark("a", log), Mark("b", log), registry=face.registry)
    fn, _ = face.scripted("fine")

    assert face.call(pipeline, fn) == "fine"
    assert log == ["a in", "b in", "b out", "a out"]


def whole(face, **options):
    """Make the usual stack."""
    return Pipeline(
        "payments",
        Timeout(10.0, mode="cooperative", name="total", **face.around),
        Retry(random=FixedRandom(0.5), **face.around),
        CircuitBreaker(failure_threshold=5, **face.around),
        Timeout(1.0, mode="cooperative", **face.around),
        registry=face.registry,
    )


def test_they_work_together(face):
    """The retry runs again what the breaker let through and the timeout cut."""
    fn, script = face.scripted(ConnectionError(), ConnectionError(), "fine")

    assert face.run(whole(face)(fn)) == "fine"
    assert script.calls == 3


def test_outer_timeout_is_the_retrys_deadline(face):
    """What an outer timeout leaves is what the waits inside must fit in."""
    seen = []

    def body():
        seen.append(remaining())
        raise ConnectionError

    with pytest.raises(ConnectionError) as caught:
        face.call(
            Pipeline(
                "p",
                Timeout(2.5, mode="cooperative", **face.around),
                Retry(attempts=9, random=FixedRandom(0.5), **face.around),
                registry=face.registry,
            ),
            face.function(body),
        )

    assert seen == [2.5, 1.5]
    assert "does not fit" in caught.value.__notes__[0]


def test_open_breaker_inside(face):
    """The rejection of a policy inside comes out of the pipeline."""
    pipeline = whole(face)
    pipeline.policies[2].force_open()
    fn, script = face.scripted("fine")

    with pytest.raises(CircuitOpenError):
        face.call(pipeline, fn)
    assert script.calls == 0


def test_streams_pass(face):
    """A stream passes through every policy."""
    assert face.take(whole(face)(face.generator(1, 2, 3))) == [1, 2, 3]


def test_guard_enters_them_all(face):
    """A guarded block passes through all policies, the first outermost."""
    breaker = CircuitBreaker(failure_threshold=1, **face.around)
    pipeline = Pipeline("p", breaker, Timeout(1.0, mode="cooperative", **face.around), registry=face.registry)

    assert face.block(pipeline.guard(), lambda entered: entered[1].left()) == 1.0
    with pytest.raises(DeadlineExceededError):
        face.block(pipeline.guard(), lambda _: face.clock.advance(2) or late(face))

    assert breaker.state.value == "open"
    with pytest.raises(CircuitOpenError):
        face.block(pipeline.guard(), lambda _: None)


def late(face):
    """Raise what an async timeout would raise; a plain block raises by itself."""
    if face.colour == "async":
        raise DeadlineExceededError


async def test_leaving_a_guard_that_was_not_entered():
    """An exit without an entry does nothing."""
    guard = Pipeline("unentered").guard()
    guard.__exit__(None, None, None)
    await guard.__aexit__(None, None, None)


def test_guard_is_refused_where_a_policy_must_run_again(face):
    """A block runs once, so a retry cannot guard one."""
    with pytest.raises(ConfigError, match="Retry must be able to run its call again"):
        whole(face).guard()


def test_a_pipeline_is_a_policy(face):
    """A pipeline may stand in another."""
    log = []
    inner = Pipeline("inner", Mark("b", log), registry=face.registry)
    outer = Pipeline("outer", Mark("a", log), inner, registry=face.registry)
    fn, _ = face.scripted("fine")
    face.call(outer, fn)

    assert log == ["a in", "b in", "b out", "a out"]
    assert outer.describe() == "pipeline 'outer': Mark > Pipeline"


def test_without_policies(face):
    """An empty pipeline only counts the call."""
    fn, _ = face.scripted("fine")

    pipeline = Pipeline("p", registry=face.registry)

    assert face.call(pipeline, fn) == "fine"
    assert pipeline.snapshot().calls.success == 1


def test_explain_draws_the_tree(face):
    """The tree reads from the outside in."""
    log = []
    pipeline = Pipeline("p", Mark("a", log), Mark("b", log), registry=face.registry)

    assert str(pipeline.explain()).startswith("pipeline 'p'\n└─ mark a\n   └─ mark b\n      └─ the call\nworst case")
    assert pipeline.snapshot().policies == ("a", "b")
    assert repr(pipeline).startswith("Pipeline('p', <")


def test_it_is_registered_by_name(face):
    """The registry knows it; a second one of that name is refused."""
    pipeline = Pipeline("p", registry=face.registry)

    assert face.registry.get("pipeline", "p") is pipeline
    assert pipeline.name == "p"
    with pytest.raises(DuplicateNameError):
        Pipeline("p", registry=face.registry)


@pytest.mark.parametrize("arguments", [(Retry(),), ("p", len)], ids=["no-name", "no-policy"])
def test_nonsense_is_refused(face, arguments):
    """A forgotten name and things that are no policies are refused."""
    with pytest.raises(ConfigError):
        Pipeline(*arguments, registry=face.registry)
