"""The package's version, from its installed metadata."""

from importlib.metadata import version

VERSION = version("gateway-batch")
USER_AGENT = f"gateway_batch/{VERSION}"
