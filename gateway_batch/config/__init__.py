"""Settings: what the user writes, where each value came from, and what an endpoint's name stands for."""

from gateway_batch.config.credentials import Credentials, credential_reference
from gateway_batch.config.endpoints import resolve_service
from gateway_batch.config.settings import EndpointConfig, GatewayConfig

__all__ = ["Credentials", "EndpointConfig", "GatewayConfig", "credential_reference", "resolve_service"]
