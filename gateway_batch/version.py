"""The package's version, from its installed metadata."""

from importlib.metadata import version

__version__ = version("gateway-batch")
AGENT = "gateway_batch/"
"""What every version's User-Agent begins with."""

USER_AGENT = f"{AGENT}{__version__}"
