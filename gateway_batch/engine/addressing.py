"""What a service's requests carry besides what is asked: token, headers and query of its own, request tags. Pure.

Secrets are resolved here, in the process that sends, and go into the request alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from gateway_batch.apis import api_for
from gateway_batch.config import Credentials
from gateway_batch.config.extra_fields import SOURCE_HEADER, TAGS_HEADER, before_reference, reference_of
from gateway_batch.types import AnyRequest, HttpRequest, Service, TagsIn
from gateway_batch.usage.attempts import Caller

_SHORTEST_PART = 8


@dataclass(slots=True)
class Address:
    """A service's headers and query with their secrets in clear: keep it in this process.

    Attributes:
        headers: by name in lower case; the token's among them.
        query: for the URL, encoded; empty for none.
        secrets: what may not be shown of them.
        query_is_secret: whether one of the secrets is in the query.
    """

    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    query: str = field(default="", repr=False)
    query_is_secret: bool = False


def address_of(service: Service, credentials: Credentials) -> Address:
    """What the service's requests carry, as it is now: files are read and logins renewed.

    Raises:
        ConfigError: a secret can't be resolved.
    """
    headers: dict[str, str] = {}
    secrets: list[str] = []
    if service.credential is not None:
        token = credentials.resolve(service.credential)
        headers = {service.key_header: token} if service.key_header else {"authorization": f"Bearer {token}"}
        secrets.append(token)
    if not service.headers and not service.query:
        return Address(headers, tuple(secrets))
    headers |= _resolved(service.headers, credentials, secrets)
    of_headers = len(secrets)
    query = urlencode(list(_resolved(service.query, credentials, secrets)), quote_via=quote)
    return Address(headers, tuple(secrets), query, query_is_secret=len(secrets) > of_headers)


def _resolved(
    fields: tuple[tuple[str, str], ...], credentials: Credentials, secrets: list[str]
) -> Iterator[tuple[str, str]]:
    """The fields with their secrets, which are added to those that are known."""
    for name, value in fields:
        reference = reference_of(value)
        if reference is None:
            yield name, value
            continue
        secret = credentials.resolve_field(reference)
        secrets += _parts(secret)
        yield name, before_reference(value) + secret


def _parts(secret: str) -> Iterator[str]:
    """A secret, and what a server may echo of one that has parts: a scheme's credentials, a cookie's value."""
    yield secret
    yield from (part for part in re.split(r"[\s;,=]+", secret) if _SHORTEST_PART <= len(part) < len(secret))


def addressed(
    request: HttpRequest, call: AnyRequest, service: Service, caller: Caller, address: Address
) -> HttpRequest:
    """A request with what says who sends it."""
    headers = {**request.headers, **address.headers}
    if service.tags_in is TagsIn.HEADER:
        headers[SOURCE_HEADER] = caller.source
        if call.tags:
            headers[TAGS_HEADER] = json.dumps(dict(call.tags))
    url = f"{request.url}?{address.query}" if address.query else request.url
    return HttpRequest(url, request.body, headers, address.query_is_secret)


def retagged(request: HttpRequest, call: AnyRequest, service: Service, tags: Mapping[str, str]) -> HttpRequest:
    """An addressed request with these tags in the place of its call's."""
    if service.tags_in is TagsIn.NONE:
        return request
    if service.tags_in is TagsIn.HEADER:
        return replace(request, headers={**request.headers, TAGS_HEADER: json.dumps(dict(tags))})
    return replace(request, body=api_for(service.api).build(with_tags(call, tags, service), service).body)


def with_tags(call: AnyRequest, tags: Mapping[str, str], service: Service) -> AnyRequest:
    """The call with tags among its parameters, where the service has them in the body; what it says itself stays."""
    if not tags or service.tags_in in (TagsIn.HEADER, TagsIn.NONE):
        return call
    return replace(call, parameters={**call.parameters, **_tag_parameter(service, tags, call.parameters)})


def _tag_parameter(service: Service, tags: Mapping[str, str], given: Mapping[str, Any]) -> Mapping[str, Any]:
    if service.tags_in is not TagsIn.USER:
        tagged = dict(tags) if service.tags_in is TagsIn.METADATA else {"tags": [":".join(tag) for tag in tags.items()]}
        return _merged("metadata", tagged, given)
    written = json.dumps(dict(tags))
    if service.api == "anthropic/v1/messages":
        return _merged("metadata", {"user_id": written}, given)
    return {} if "user" in given else {"user": written}


def _merged(name: str, tagged: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    own = given.get(name, {})
    return {name: {**tagged, **own}} if isinstance(own, Mapping) else {}


def service_key(service: Service) -> str:
    """Names what has limits of its own, and so a pace of its own: a host's services share one URL.

    Headers and query count, as a key, an organisation or a project may be among them; secrets as references.
    """
    name = f"{service.url} {service.model} {service.credential}"
    if service.headers or service.query or service.key_header:
        return f"{name} {service.key_header} {service.headers} {service.query}"
    return name
