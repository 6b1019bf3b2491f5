"""The error tree, split by what a caller can do, and the rules that classify foreign exceptions.

```
OutlastError
├─ RejectedError            not run; a later try is safe; carries retry_after
│  ├─ CircuitOpenError
│  ├─ BulkheadFullError
│  ├─ ThrottledError
│  ├─ DegradedError
│  └─ ShuttingDownError
├─ DeadlineExceededError    ran too long; also a TimeoutError
├─ InDoubtError             may or may not have happened
├─ RemoteError              what a remote service answered, or did not
│  ├─ NetworkError
│  ├─ RateLimitError
│  ├─ ServerError
│  ├─ AuthenticationError
│  └─ BadRequestError
├─ StoreError
│  ├─ StorageError
│  │  ├─ NotOursError
│  │  ├─ NewerFormatError
│  │  ├─ CorruptError
│  │  ├─ StorageFullError
│  │  └─ StorageBusyError
│  ├─ SchemaError
│  └─ ConflictError
├─ SyncError
│  ├─ LeaseHeldError
│  ├─ LeaseLostError
│  └─ DeadLetterError
├─ StreamError
├─ ClusterError
├─ ConfigError              a wrong setting; also a ValueError
│  ├─ DuplicateNameError
│  └─ ForkedError
└─ MissingExtraError        also an ImportError
```
"""

from outlast.errors._base import Category, Outcome, OutlastError
from outlast.errors._classify import (
    UNKNOWN,
    Classification,
    classify,
    classify_status,
    register_rule,
    unregister_rule,
)
from outlast.errors._tables import install
from outlast.errors._tree import (
    AuthenticationError,
    BadRequestError,
    BulkheadFullError,
    CircuitOpenError,
    ClusterError,
    ConfigError,
    ConflictError,
    CorruptError,
    DeadLetterError,
    DeadlineExceededError,
    DegradedError,
    DuplicateNameError,
    ForkedError,
    InDoubtError,
    LeaseHeldError,
    LeaseLostError,
    MissingExtraError,
    NetworkError,
    NewerFormatError,
    NotOursError,
    RateLimitError,
    RejectedError,
    RemoteError,
    SchemaError,
    ServerError,
    ShuttingDownError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StoreError,
    StreamError,
    SyncError,
    ThrottledError,
)

__all__ = [
    "UNKNOWN",
    "AuthenticationError",
    "BadRequestError",
    "BulkheadFullError",
    "Category",
    "CircuitOpenError",
    "Classification",
    "ClusterError",
    "ConfigError",
    "ConflictError",
    "CorruptError",
    "DeadLetterError",
    "DeadlineExceededError",
    "DegradedError",
    "DuplicateNameError",
    "ForkedError",
    "InDoubtError",
    "LeaseHeldError",
    "LeaseLostError",
    "MissingExtraError",
    "NetworkError",
    "NewerFormatError",
    "NotOursError",
    "Outcome",
    "OutlastError",
    "RateLimitError",
    "RejectedError",
    "RemoteError",
    "SchemaError",
    "ServerError",
    "ShuttingDownError",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "StoreError",
    "StreamError",
    "SyncError",
    "ThrottledError",
    "classify",
    "classify_status",
    "register_rule",
    "unregister_rule",
]

install()
del install
