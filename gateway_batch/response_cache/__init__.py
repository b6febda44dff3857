"""Pay once: an identical request of the same scope is sent once, however often Spark evaluates it."""

from gateway_batch.response_cache.fallback_store import FallbackStore
from gateway_batch.response_cache.host_store import HostAnswerStore
from gateway_batch.response_cache.in_flight import UnderWay
from gateway_batch.response_cache.keys import KeyMaker
from gateway_batch.response_cache.redis_store import RedisAnswerStore
from gateway_batch.response_cache.savings import Counts, Savings, total
from gateway_batch.response_cache.single_flight import KEPT, Flights
from gateway_batch.response_cache.store import AnswerScope, AnswerStore, Claim, Outbox, StoreError

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
