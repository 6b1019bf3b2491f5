"""The anthropic and openai SDKs against answers on loopback.

They are imported where they are used: that takes seconds, which every process that only lists the tests would pay.
"""

import json

import pytest

from outlast.errors import classify

RETRY, RETRY_DOUBT, BUSY = "retriable not_applied", "retriable in_doubt", "transient not_applied"
INPUT, FATAL, UNKNOWN = "invalid_input not_applied", "fatal not_applied", "unknown in_doubt"

MESSAGES = [{"role": "user", "content": "hello"}]
DATE = "Sun, 22 Nov 2026 10:00:00 GMT"
LATER = "Sun, 22 Nov 2026 10:00:09 GMT"


def with_anthropic(port, **options):
    """Ask for a message once."""
    import anthropic

    with anthropic.Anthropic(api_key="k", base_url=f"http://127.0.0.1:{port}", max_retries=0, timeout=0.5) as client:
        answer = client.messages.create(model="m", max_tokens=1, messages=MESSAGES, **options)
        return list(answer) if options else answer


def with_openai(port, **options):
    """Ask for a completion once."""
    import openai

    with openai.OpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}", max_retries=0, timeout=0.5) as client:
        answer = client.chat.completions.create(model="m", messages=MESSAGES, **options)
        return list(answer) if options else answer


async def with_openai_in_tasks(port, **options):
    """Ask for a completion once, in the async colour."""
    import openai

    url = f"http://127.0.0.1:{port}"
    async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0, timeout=0.5) as client:
        answer = await client.chat.completions.create(model="m", messages=MESSAGES, **options)
        return [item async for item in answer] if options else answer


each = pytest.mark.parametrize("ask", [with_anthropic, with_openai, with_openai_in_tasks])


def error_body(kind, code=None):
    """Return an error as both providers write it, more or less."""
    return json.dumps({"type": "error", "error": {"type": kind, "code": code, "message": "m"}}).encode()


@each
@pytest.mark.parametrize(
    ("door", "expected"), [("refused", RETRY), ("full", RETRY), ("closing", RETRY_DOUBT), ("silent", RETRY_DOUBT)]
)
def test_no_answer(ask, door, expected, doors, meaning):
    """Refused is safe; a request that was sent may have been worked on, and billed."""
    assert meaning(lambda: ask(getattr(doors, door)())) == expected


@each
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", INPUT),
        (401, "authentication_error", FATAL),
        (403, "permission_error", FATAL),
        (404, "not_found_error", INPUT),
        (409, "conflict", INPUT),
        (413, "request_too_large", INPUT),
        (422, "unprocessable", INPUT),
        (429, "rate_limit_error", BUSY),
        (429, "insufficient_quota", FATAL),
        (500, "api_error", RETRY_DOUBT),
        (503, "api_error", BUSY),
        (504, "timeout_error", RETRY_DOUBT),
        (529, "overloaded_error", BUSY),
    ],
)
def test_statuses(ask, status, kind, expected, doors, meaning, answer):
    """The status decides; only an empty account answers 429 for ever."""
    port = doors.saying(answer(status, error_body(kind)))

    assert meaning(lambda: ask(port)) == expected


@each
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"Retry_After": "7"}, 7.0, id="seconds"),
        pytest.param({"Retry_After": "1.5"}, 1.5, id="decimals"),
        pytest.param({"Retry_After_Ms": "250", "Retry_After": "9"}, 0.25, id="milliseconds"),
        pytest.param({"Date": DATE, "Retry_After": LATER}, 9.0, id="date"),
        pytest.param({}, None, id="none"),
    ],
)
def test_what_the_provider_asks_to_wait(ask, headers, seconds, doors, caught, answer):
    """The wait is read from the answer that the SDK keeps."""
    port = doors.saying(answer(429, error_body("rate_limit_error"), **headers))

    found = classify(caught(lambda: ask(port)))

    assert (found.status_code, found.retry_after) == (429, seconds)


@each
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", "transient in_doubt"),
        ("rate_limit_error", "transient in_doubt"),
        ("api_error", RETRY_DOUBT),
        ("server_error", RETRY_DOUBT),
        ("invalid_request_error", "invalid_input in_doubt"),
        ("insufficient_quota", FATAL),
        ("something_new", UNKNOWN),
    ],
)
def test_an_error_inside_of_a_stream(ask, kind, expected, doors, meaning, answer):
    """It means what its type would mean as a status, but the model had begun."""
    events = b"event: error\ndata: " + error_body(kind) + b"\n\n"
    port = doors.saying(answer(200, events, kind="text/event-stream"))

    assert meaning(lambda: ask(port, stream=True)) == expected


def test_an_answer_of_another_shape(doors, meaning, answer):
    """What the SDK cannot read is unknown."""

    def ask():
        import openai

        url = f"http://127.0.0.1:{doors.saying(answer(200, b'hello', kind='text/plain'))}"
        with openai.OpenAI(api_key="k", base_url=url, max_retries=0, _strict_response_validation=True) as client:
            client.models.list()

    assert meaning(ask) == UNKNOWN


def test_no_key(monkeypatch, meaning):
    """A client that cannot be made is an error that nobody classifies; it is raised before anything is sent."""
    import openai

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    assert meaning(openai.OpenAI) == UNKNOWN


def test_a_body_that_says_nothing(doors, caught, answer):
    """An error whose body is no object is judged by its status."""
    port = doors.saying(answer(500, b'"x"'))

    assert classify(caught(lambda: with_anthropic(port))).status_code == 500
