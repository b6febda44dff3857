"""Who calls: Bearer and Basic credentials in the Authorization header."""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Mapping

from gateway_batch.devgateway.refusals import Refusal


def presented_token(authorization: str) -> str | None:
    """The token in an Authorization header, None if it holds none in either form.

    The password of user `token` is a token too: `curl -u token:$DATABRICKS_TOKEN`.
    """
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    match scheme.lower():
        case "bearer":
            return credential or None
        case "basic":
            return _basic_token(credential)
    return None


def _basic_token(credential: str) -> str | None:
    try:
        user, separator, password = base64.b64decode(credential, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if separator and user == "token" else None


def check_credentials(authorization: str | None, token: str | None, issued: Mapping[str, float]) -> None:
    """Compares with the gateway's token, if it has one.

    Args:
        authorization: the header.
        token: the gateway's own.
        issued: tokens that it issued, with the monotonic second at which each expires.

    Raises:
        Refusal: 401.
    """
    if token is None:
        return
    if not authorization:
        raise _unauthenticated("Credential was not sent: this needs an Authorization header, Bearer or Basic.")
    presented = presented_token(authorization)
    if presented is not None and presented in issued:
        if issued[presented] > time.monotonic():
            return
        raise _unauthenticated("Token is expired.")
    if presented is None or not hmac.compare_digest(presented.encode(), token.encode()):
        raise _unauthenticated("Invalid access token.")


def _unauthenticated(message: str) -> Refusal:
    return Refusal(401, message, headers={"www-authenticate": "Bearer"})
