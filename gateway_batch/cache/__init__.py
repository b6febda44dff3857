"""Pay once: an identical request of the same scope is sent once on a host, however often Spark evaluates it."""

from gateway_batch.cache.flights import Flights
from gateway_batch.cache.keys import KeyMaker
from gateway_batch.cache.store import AnswerStore

__all__ = ["AnswerStore", "Flights", "KeyMaker"]
