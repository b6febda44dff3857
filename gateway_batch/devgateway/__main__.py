"""`python -m gateway_batch.devgateway`: serves with the settings that stand as one line of JSON on stdin.

It stops when stdin closes, so that it never outlives the process that started it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from pydantic import ValidationError

from gateway_batch.devgateway.server import serve
from gateway_batch.devgateway.settings import Settings, describe
from gateway_batch.errors import ConfigError


def main() -> int:
    """The exit code: 0 after a clean stop, 1 if it could not start."""
    try:
        settings = Settings.model_validate_json(sys.stdin.readline())
        threading.Thread(target=_stop_with_parent, daemon=True).start()
        serve(settings)
    except ValidationError as error:
        print(f"error: {describe(error)}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _stop_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
