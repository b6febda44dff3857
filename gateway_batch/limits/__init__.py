"""How much may be sent: slots, rates and budgets that all tasks share, adapted to what each service bears."""

from gateway_batch.limits.board import HostBoards
from gateway_batch.limits.estimate import Size
from gateway_batch.limits.host_slots import HostSlots
from gateway_batch.limits.limiter import Limiter, Slot
from gateway_batch.limits.pools import HostPool, RedisPool, RemotePool
from gateway_batch.limits.ration import Pool, Ration
from gateway_batch.limits.sharing import Limits

__all__ = [
    "HostBoards",
    "HostPool",
    "HostSlots",
    "Limiter",
    "Limits",
    "Pool",
    "Ration",
    "RedisPool",
    "RemotePool",
    "Size",
    "Slot",
]
