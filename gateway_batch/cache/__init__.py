"""Pay once: an identical request of the same scope is sent once, however often Spark evaluates it."""

from gateway_batch.cache.fallback_store import FallbackStore
from gateway_batch.cache.flights import KEPT, Flights
from gateway_batch.cache.host_store import HostAnswerStore
from gateway_batch.cache.keys import KeyMaker
from gateway_batch.cache.redis_store import RedisAnswerStore
from gateway_batch.cache.savings import Counts, Savings, total
from gateway_batch.cache.store import AnswerScope, AnswerStore, Claim, Outbox, StoreError
from gateway_batch.cache.under_way import UnderWay

__all__ = [
    "KEPT",
    "AnswerScope",
    "AnswerStore",
    "Claim",
    "Counts",
    "FallbackStore",
    "Flights",
    "HostAnswerStore",
    "KeyMaker",
    "Outbox",
    "RedisAnswerStore",
    "Savings",
    "StoreError",
    "UnderWay",
    "total",
]
