"""Pay once: an identical request of the same scope is sent once, however often Spark evaluates it."""

from gateway_batch.response_cache.fallback_store import FallbackStore
from gateway_batch.response_cache.host_store import HostAnswerStore
from gateway_batch.response_cache.in_flight import InFlightRequests
from gateway_batch.response_cache.kept_answers import Fits
from gateway_batch.response_cache.keys import KeyMaker
from gateway_batch.response_cache.pausing_store import PausingStore
from gateway_batch.response_cache.redis_store import RedisAnswerStore
from gateway_batch.response_cache.savings import Counts, Savings, total
from gateway_batch.response_cache.single_flight import KEPT, SingleFlight
from gateway_batch.response_cache.store import AnswerScope, AnswerStore, Claim, Outbox, StoreError

__all__ = [
    "KEPT",
    "AnswerScope",
    "AnswerStore",
    "Claim",
    "Counts",
    "FallbackStore",
    "Fits",
    "HostAnswerStore",
    "InFlightRequests",
    "KeyMaker",
    "Outbox",
    "PausingStore",
    "RedisAnswerStore",
    "Savings",
    "SingleFlight",
    "StoreError",
    "total",
]
