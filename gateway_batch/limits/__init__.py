"""How much may be in flight: slots shared by a host's processes, adapted to what each service bears."""

from gateway_batch.limits.host_slots import HostSlots
from gateway_batch.limits.limiter import Limiter

__all__ = ["HostSlots", "Limiter"]
