"""Deliver queued writes, and hear of the changes of others: the runner, its transports, and the realtime channel."""

from outlast.engines.feed_records import LadderConfig, Rung
from outlast.outbox import DeliveryPolicy, LeaseConfig, Outbox, SyncOutbox
from outlast.sync_engine._callable_transport import CallableTransport
from outlast.sync_engine._content import holds
from outlast.sync_engine._feed_intake import FeedStats
from outlast.sync_engine._feed_records import FeedEvent, FeedFormat, FeedPage, JsonFeed, Position
from outlast.sync_engine._feed_store import FeedRow, FeedStore
from outlast.sync_engine._http_transport import Headers, HttpTransport
from outlast.sync_engine._realtime import RealtimeChannel
from outlast.sync_engine._runner import Runner

__all__ = [
    "CallableTransport",
    "DeliveryPolicy",
    "FeedEvent",
    "FeedFormat",
    "FeedPage",
    "FeedRow",
    "FeedStats",
    "FeedStore",
    "Headers",
    "HttpTransport",
    "JsonFeed",
    "LadderConfig",
    "LeaseConfig",
    "Outbox",
    "Position",
    "RealtimeChannel",
    "Rung",
    "Runner",
    "SyncOutbox",
    "holds",
]
