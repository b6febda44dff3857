"""How much may be sent: slots, rates and budgets that all tasks share, adapted to what each service bears."""

from gateway_batch.admission.host_slots import HostSlots
from gateway_batch.admission.lease_client import LeaseClient, LeaseStore
from gateway_batch.admission.lease_stores import DriverLeaseStore, HostLeaseStore, RedisLeaseStore
from gateway_batch.admission.leases import Limits
from gateway_batch.admission.limiter import Limiter, Slot
from gateway_batch.admission.request_size import Size
from gateway_batch.admission.shared_throttle import HostThrottleStates

__all__ = [
    "DriverLeaseStore",
    "HostLeaseStore",
    "HostSlots",
    "HostThrottleStates",
    "LeaseClient",
    "LeaseStore",
    "Limiter",
    "Limits",
    "RedisLeaseStore",
    "Size",
    "Slot",
]
