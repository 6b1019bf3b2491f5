"""What the exceptions of the HTTP clients mean: httpx2 and httpx, requests, urllib3, aiohttp."""

from __future__ import annotations

from typing import Any, Final

from outlast.errors._classify import UNKNOWN, Classification
from outlast.errors._meanings import (
    EXHAUSTED,
    FATAL,
    INPUT,
    RETRY_DOUBT,
    RETRY_SAFE,
    Rules,
    by_response,
    judge_answer,
    judge_inner,
)

_HTTPX: Final[Rules] = {
    "ConnectError": RETRY_SAFE,
    "ConnectTimeout": RETRY_SAFE,
    "PoolTimeout": EXHAUSTED,
    "TransportError": RETRY_DOUBT,
    "UnsupportedProtocol": INPUT,
    "LocalProtocolError": INPUT,
    "ProxyError": RETRY_SAFE,
    "DecodingError": RETRY_DOUBT,
    "TooManyRedirects": INPUT,
    "InvalidURL": INPUT,
    "HTTPStatusError": by_response,
}


def _first(error: BaseException) -> Any:
    return error.args[0] if error.args else None


def _wrapped(error: BaseException) -> Classification:
    # requests hands over what urllib3 raised, and urllib3 what the system raised, as the first argument.
    return judge_inner(_first(error), RETRY_DOUBT)


def _given_up(error: BaseException) -> Classification:
    return judge_inner(getattr(error, "reason", None), RETRY_DOUBT)


def _unsafe_tls(error: BaseException) -> Classification:
    # A refused certificate is the one failure of TLS that stays; aiohttp keeps it in an attribute.
    return judge_inner(getattr(error, "certificate_error", _first(error)), RETRY_DOUBT)


def _aiohttp_status(error: BaseException) -> Classification:
    if error.__cause__ is not None:
        return RETRY_DOUBT  # what came was no HTTP: aiohttp calls that a 400, which is not what the server said
    return judge_answer(getattr(error, "status", None), getattr(error, "headers", None))


_REQUESTS: Final[Rules] = {
    "RequestException": RETRY_DOUBT,
    "InvalidJSONError": UNKNOWN,
    "ConnectionError": _wrapped,
    "ConnectTimeout": RETRY_SAFE,
    "ReadTimeout": RETRY_DOUBT,
    "SSLError": _wrapped,
    "ProxyError": RETRY_SAFE,
    "HTTPError": by_response,
    "TooManyRedirects": INPUT,
    "MissingSchema": INPUT,
    "InvalidSchema": INPUT,
    "InvalidURL": INPUT,
    "InvalidHeader": INPUT,
    "UnrewindableBodyError": INPUT,
}

_URLLIB3: Final[Rules] = {
    "HTTPError": RETRY_DOUBT,
    "NewConnectionError": RETRY_SAFE,
    "ConnectTimeoutError": RETRY_SAFE,
    "MaxRetryError": _given_up,
    "SSLError": _wrapped,
    "EmptyPoolError": EXHAUSTED,
    "FullPoolError": EXHAUSTED,
    "ClosedPoolError": INPUT,
    "ProxyError": RETRY_SAFE,
    "LocationValueError": INPUT,
    "URLSchemeUnknown": INPUT,
    "UnrewindableBodyError": INPUT,
}

_AIOHTTP: Final[Rules] = {
    "ClientError": RETRY_DOUBT,
    "ClientConnectorError": RETRY_SAFE,
    "ClientConnectorCertificateError": FATAL,
    "ClientConnectorSSLError": _unsafe_tls,
    "ConnectionTimeoutError": RETRY_SAFE,
    "ClientResponseError": _aiohttp_status,
    "TooManyRedirects": INPUT,
    "InvalidURL": INPUT,
    "NonHttpUrlClientError": INPUT,
}

HTTP: Final[dict[str, Rules]] = {
    "httpx": _HTTPX,
    "httpx2": _HTTPX,
    "requests": _REQUESTS,
    "urllib3": _URLLIB3,
    "aiohttp": _AIOHTTP,
}
