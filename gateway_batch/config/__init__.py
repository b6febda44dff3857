"""Settings: what the user writes, where each value came from, and what an endpoint's name stands for."""

from gateway_batch.config.cache_scope import run_of
from gateway_batch.config.coordination import DRIVER, HOST, is_redis, redis_url
from gateway_batch.config.credentials import Credentials, credential_reference
from gateway_batch.config.defaults import WAREHOUSE, spool_folder, system_user
from gateway_batch.config.endpoints import CHAT, EMBEDDINGS, SCORING, resolve_service
from gateway_batch.config.settings import (
    USAGE_TABLE,
    Budget,
    EndpointConfig,
    GatewayConfig,
    PriceConfig,
    TransportName,
    check_table_name,
)

__all__ = [
    "CHAT",
    "DRIVER",
    "EMBEDDINGS",
    "HOST",
    "SCORING",
    "USAGE_TABLE",
    "WAREHOUSE",
    "Budget",
    "Credentials",
    "EndpointConfig",
    "GatewayConfig",
    "PriceConfig",
    "TransportName",
    "check_table_name",
    "credential_reference",
    "is_redis",
    "redis_url",
    "resolve_service",
    "run_of",
    "spool_folder",
    "system_user",
]
