"""The headers and query parameters of an endpoint's own: which may be given, and which hold secrets. Pure.

A secret is given by reference, `env:NAME` or `file:PATH`, a header's also after its scheme: `Bearer env:NAME`.
"""

from __future__ import annotations

import re

TAGS_HEADER = "Databricks-Ai-Gateway-Request-Tags"
EVENT_ID_HEADER = "x-client-request-id"
SOURCE_HEADER = "x-gateway-batch-source"

MOST_FIELDS = 64
LONGEST_NAME = 128
LONGEST_VALUE = 8192

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_QUERY_NAME = re.compile(r"[\x21-\x7e]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_REFERENCE = re.compile(r"((?:[A-Za-z][A-Za-z-]* )?)((?:env|file):.*)")
_UNSUPPORTED = ("{{secrets/", "secret:")

# Of one connection (RFC 9110, 7.6.1), and `expect`, which would hold the body back.
_OF_A_CONNECTION = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "trailers"}
    | {"transfer-encoding", "upgrade"}
)
_OURS = frozenset(
    {"accept", "accept-encoding", "content-encoding", "content-length", "content-type", "host", "user-agent"}
    | {TAGS_HEADER.lower(), EVENT_ID_HEADER, SOURCE_HEADER}
)

# Words of a secret's name, alone or at a word's end, as in `accesstoken`. The short ones end other words, too, as in
# `x-portkey-provider`: they count at the end of the whole name, as in `x-accesskey`, or alone.
_SECRET_WORDS = (
    "authentication", "authorization", "bearer", "cookie", "cookies", "credential", "credentials", "jwt",
    "passphrase", "passwd", "password", "secret", "signature", "token",
)  # fmt: skip
_SHORT_SECRET_WORDS = ("apikey", "auth", "key", "pass", "pwd", "sig")
# How tokens of the services begin that people send to, and a header's value of a scheme.
_SECRET_BEGINS = re.compile(
    r"(?:bearer|basic) \S{8}|(?:sk|pk|rk|dapi|eyj|aiza|ghp_|github_pat_|gsk_|hf_|xai-|pplx-|akia|ya29\.)\S{16}",
    re.IGNORECASE,
)


def reference_of(value: str) -> str | None:
    """The reference in a value; None for a value that is sent as it is."""
    found = _REFERENCE.fullmatch(value)
    return found and found[2]


def before_reference(value: str) -> str:
    """What is sent before the secret that a value refers to: a scheme with its space, or nothing."""
    found = _REFERENCE.fullmatch(value)
    return found[1] if found else ""


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """The headers, their names in lower case.

    Raises:
        ValueError: one can't be given, or its value is a secret in clear. Shows no value.
    """
    found: dict[str, str] = {}
    for given, value in _counted(headers).items():
        name = check_header_name(given)
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = _checked(name, value)
    return found


def check_header_name(name: str) -> str:
    """The name in lower case, if a header of that name may be given.

    Raises:
        ValueError: it is none, or of a header that is set by the HTTP library or by each request.
    """
    if len(name) > LONGEST_NAME or not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name[:LONGEST_NAME]!r} is not the name of an HTTP header")
    name = name.lower()
    if name in _OF_A_CONNECTION:
        raise ValueError(f"{name} is a header of the connection, which is not the endpoint's: leave it out")
    if name in _OURS:
        raise ValueError(f"{name} is set for each request: leave it out")
    return name


def check_query(query: dict[str, str]) -> dict[str, str]:
    """The query parameters as they are.

    Raises:
        ValueError: one can't be given, or its value is a secret in clear. Shows no value.
    """
    for name, value in _counted(query).items():
        if len(name) > LONGEST_NAME or not _QUERY_NAME.fullmatch(name):
            raise ValueError(f"{name[:LONGEST_NAME]!r} is not the name of a query parameter: letters without spaces")
        _checked(name, value)
    return query


def check_value(value: str, where: str) -> None:
    """Refuses a value that no header can carry.

    Raises:
        ValueError: shows no value.
    """
    if len(value) > LONGEST_VALUE or not _VALUE.fullmatch(value):
        raise ValueError(
            f"{where}: the value is empty, longer than {LONGEST_VALUE} characters, begins or ends with a space, or has "
            "characters other than printable ASCII, such as a line break"
        )


def _counted(fields: dict[str, str]) -> dict[str, str]:
    if len(fields) > MOST_FIELDS:
        raise ValueError(f"has {len(fields)} entries; {MOST_FIELDS} are the most")
    return fields


def _checked(name: str, value: str) -> str:
    check_value(value, name)
    if value.startswith(_UNSUPPORTED):
        raise ValueError(
            f"{name}: Databricks secret references are not supported yet: read the secret with dbutils into an "
            "environment variable and give env:NAME, or give file:PATH"
        )
    if (reference := reference_of(value)) is not None:
        if reference in ("env:", "file:"):
            raise ValueError(f"{name}: {reference} names nothing: write env:NAME or file:PATH")
    elif _is_secret_name(name) or _SECRET_BEGINS.match(value):
        raise ValueError(
            f"{name} carries a secret, which can't stand here in clear, as it would be part of plans: put it into an "
            "environment variable or a file, and give env:NAME or file:PATH (or Bearer env:NAME)"
        )
    return value


def _is_secret_name(name: str) -> bool:
    words = [word for word in re.split(r"[^a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()) if word]
    if any(word.endswith(_SECRET_WORDS) or word in _SHORT_SECRET_WORDS for word in words):
        return True
    return bool(words) and words[-1].endswith(_SHORT_SECRET_WORDS)
