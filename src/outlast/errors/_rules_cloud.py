"""What the exceptions of redis-py, botocore and gRPC mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from outlast.errors._classify import UNKNOWN, Classification
from outlast.errors._grpc import classify_grpc
from outlast.errors._meanings import (
    EXHAUSTED,
    FATAL,
    INPUT,
    RETRY_DOUBT,
    RETRY_SAFE,
    Rules,
    judge_answer,
    judge_inner,
)

_REDIS_REPLIES: Final = {
    "BUSY": EXHAUSTED,  # a script runs
    "MISCONF": EXHAUSTED,  # it cannot write its snapshot to the disk
    "NOREPLICAS": EXHAUSTED,
    "NOPERM": FATAL,
}


def _redis_connection(error: BaseException) -> Classification:
    if "max number of clients" in str(error):
        return EXHAUSTED
    # redis-py words it anew, and leaves the error of the system in the context: refused and unknown hosts are safe.
    return judge_inner(error.__cause__ or error.__context__, RETRY_DOUBT)


def _redis_timeout(error: BaseException) -> Classification:
    return RETRY_SAFE if "connecting" in str(error) else RETRY_DOUBT


def _redis_reply(error: BaseException) -> Classification:
    return _REDIS_REPLIES.get(str(error).partition(" ")[0], INPUT)


_REDIS: Final[Rules] = {
    "RedisError": UNKNOWN,
    "ConnectionError": _redis_connection,
    "TimeoutError": _redis_timeout,
    "BusyLoadingError": EXHAUSTED,
    "MaxConnectionsError": EXHAUSTED,
    "AuthenticationError": FATAL,
    "AuthorizationError": FATAL,
    "NoPermissionError": FATAL,
    "AuthenticationWrongNumberOfArgsError": FATAL,
    "ResponseError": _redis_reply,
    "DataError": INPUT,
    "ReadOnlyError": RETRY_SAFE,
    "OutOfMemoryError": EXHAUSTED,
    "TryAgainError": EXHAUSTED,
    "ClusterDownError": EXHAUSTED,
    "WatchError": RETRY_SAFE,
    "InvalidResponse": RETRY_DOUBT,
}

_AWS_BUSY: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""The codes that AWS's own retry handlers count as throttling, whatever the status."""

_AWS_REFUSED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_AWS_TIMED_OUT: Final = frozenset({"RequestTimeout", "RequestTimeoutException"})


def _aws_client(error: BaseException) -> Classification:
    response: Mapping[str, Any] = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    answer: Mapping[str, Any] = response.get("ResponseMetadata", {})
    by_status = judge_answer(answer.get("HTTPStatusCode"), answer.get("HTTPHeaders"))
    for codes, meaning in ((_AWS_BUSY, EXHAUSTED), (_AWS_REFUSED, FATAL), (_AWS_TIMED_OUT, RETRY_SAFE)):
        if code in codes:
            return replace(by_status, category=meaning.category, outcome=meaning.outcome)
    return by_status


def _aws_tls(error: BaseException) -> Classification:
    arguments: Mapping[str, Any] = getattr(error, "kwargs", {})
    return judge_inner(arguments.get("error"), RETRY_DOUBT)


_BOTOCORE: Final[Rules] = {
    "ClientError": _aws_client,
    "HTTPClientError": RETRY_DOUBT,
    "ConnectionError": RETRY_DOUBT,
    "ConnectionClosedError": RETRY_DOUBT,
    "ReadTimeoutError": RETRY_DOUBT,
    "ResponseStreamingError": RETRY_DOUBT,
    "EndpointConnectionError": RETRY_SAFE,
    "ConnectTimeoutError": RETRY_SAFE,
    "ProxyConnectionError": RETRY_SAFE,
    "SSLError": _aws_tls,
    "NoCredentialsError": FATAL,
    "PartialCredentialsError": FATAL,
    "CredentialRetrievalError": FATAL,
    "NoRegionError": FATAL,
    "DataNotFoundError": INPUT,
    "ParamValidationError": INPUT,
    "ValidationError": INPUT,
    "UnknownServiceError": INPUT,
}


def _grpc_error(error: BaseException) -> Classification:
    code = getattr(error, "code", None)
    name = getattr(code(), "name", "") if callable(code) else ""
    return replace(classify_grpc(name, _called(error, "details")), retry_after=_pushback(error))


def _called(error: BaseException, method: str) -> str:
    call = getattr(error, method, None)
    return str(call() or "") if callable(call) else ""


def _pushback(error: BaseException) -> float | None:
    # gRFC A6: the server says in the trailers how long to wait before a retry; a negative number forbids one.
    ask: Any = getattr(error, "trailing_metadata", None)
    trailers: Any = ask() if callable(ask) else None
    for key, value in trailers or ():
        if key == "grpc-retry-pushback-ms" and str(value).isdecimal():
            return int(value) / 1000.0
    return None


CLOUD: Final[dict[str, Rules]] = {
    "redis": _REDIS,
    "botocore": _BOTOCORE,
    "grpc": {"RpcError": _grpc_error, "FutureTimeoutError": RETRY_SAFE},
}
