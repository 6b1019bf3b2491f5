"""The error tree, split by what a caller can do, and the rules that classify foreign exceptions.

```
OutlastError
├─ RejectedError            not run; a later try is safe; carries retry_after
│  ├─ CircuitOpenError
│  ├─ BulkheadFullError
│  ├─ ThrottledError
│  ├─ DegradedError
│  ├─ ShuttingDownError
│  └─ OutboxFullError
├─ DeadlineExceededError    ran too long; also a TimeoutError
├─ InDoubtError             may or may not have happened
├─ RemoteError              what a remote service answered, or did not
│  ├─ NetworkError
│  ├─ RateLimitError
│  ├─ ServerError
│  │  └─ OverloadedError
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
│  ├─ DeadLetterError
│  └─ ReceiptPrunedError     also a LookupError
├─ StreamError              broke after it began; carries partial
│  ├─ StreamStalledError
│  ├─ StreamTruncatedError
│  └─ StreamProtocolError
├─ ClusterError
│  ├─ NotLeaderError        not run; carries leader_hint
│  ├─ LeadershipLostError   in doubt
│  ├─ QuorumLostError       in doubt
│  ├─ StaleEpochError       stop acting
│  ├─ MembershipLostError
│  ├─ RebalancingError
│  ├─ ClusterFullError
│  └─ HistoryCompactedError
├─ ConfigError              a wrong setting; also a ValueError
│  ├─ DuplicateNameError
│  └─ ForkedError
├─ MissingExtraError        also an ImportError
└─ MultiError               several in one; also an ExceptionGroup
```
"""

from outlast.errors._base import (
    Category,
    Outcome,
    OutlastError,
)
from outlast.errors._classify import (
    UNKNOWN,
    Classification,
    classify,
    classify_status,
    register_rule,
    unregister_rule,
)
from outlast.errors._cluster import (
    ClusterError,
    ClusterFullError,
    HistoryCompactedError,
    LeadershipLostError,
    MembershipLostError,
    NotLeaderError,
    QuorumLostError,
    RebalancingError,
    StaleEpochError,
)
from outlast.errors._grpc import (
    classify_etcd,
    classify_grpc,
)
from outlast.errors._multi import (
    MultiError,
)
from outlast.errors._remote import (
    remote_error,
)
from outlast.errors._retry_after import (
    parse_retry_after,
)
from outlast.errors._sqlstate import (
    classify_sqlstate,
)
from outlast.errors._stream import (
    StreamError,
    StreamProtocolError,
    StreamStalledError,
    StreamTruncatedError,
)
from outlast.errors._tables import (
    install,
)
from outlast.errors._tree import (
    AuthenticationError,
    BadRequestError,
    BulkheadFullError,
    CircuitOpenError,
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
    OutboxFullError,
    OverloadedError,
    RateLimitError,
    ReceiptPrunedError,
    RejectedError,
    RemoteError,
    SchemaError,
    ServerError,
    ShuttingDownError,
    StorageBusyError,
    StorageError,
    StorageFullError,
    StoreError,
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
    "ClusterFullError",
    "ConfigError",
    "ConflictError",
    "CorruptError",
    "DeadLetterError",
    "DeadlineExceededError",
    "DegradedError",
    "DuplicateNameError",
    "ForkedError",
    "HistoryCompactedError",
    "InDoubtError",
    "LeadershipLostError",
    "LeaseHeldError",
    "LeaseLostError",
    "MembershipLostError",
    "MissingExtraError",
    "MultiError",
    "NetworkError",
    "NewerFormatError",
    "NotLeaderError",
    "NotOursError",
    "OutboxFullError",
    "Outcome",
    "OutlastError",
    "OverloadedError",
    "QuorumLostError",
    "RateLimitError",
    "RebalancingError",
    "ReceiptPrunedError",
    "RejectedError",
    "RemoteError",
    "SchemaError",
    "ServerError",
    "ShuttingDownError",
    "StaleEpochError",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "StoreError",
    "StreamError",
    "StreamProtocolError",
    "StreamStalledError",
    "StreamTruncatedError",
    "SyncError",
    "ThrottledError",
    "classify",
    "classify_etcd",
    "classify_grpc",
    "classify_sqlstate",
    "classify_status",
    "parse_retry_after",
    "register_rule",
    "remote_error",
    "unregister_rule",
]

install()
del install
