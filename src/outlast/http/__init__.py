"""HTTP: the client without retries of its own, and what each status means for a write."""

from outlast.http._client import AsyncHttpxClient, HttpAnswer, HttpClient, NoAnswer
from outlast.http._errors import error_for
from outlast.http._status import answer_for

__all__ = ["AsyncHttpxClient", "HttpAnswer", "HttpClient", "NoAnswer", "answer_for", "error_for"]
