"""What makes two requests the same: everything that is sent, tags included. Pure."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from gateway_batch.types import EmbeddingRequest, InferenceRequest, RecordRequest, Service, TagsIn

_SIZE = 16


class KeyMaker:
    """Keys of the requests to one service; 16 bytes each.

    Args:
        service: its URL, model, API, headers, query and credential's reference are part of each key.
        kept_as: names the form in which answers are kept, where it is not the plain one.
    """

    def __init__(self, service: Service, kept_as: str = "") -> None:
        names = [service.api, service.url, service.model, service.credential or "", *_extras(service)]
        self._start = _hashed([*names, kept_as] if kept_as else names)
        self._last: tuple[object, ...] = (self,) * 4  # nothing yet
        self._last_common = b""

    def of(self, request: InferenceRequest | RecordRequest) -> bytes:
        """The key of a request that is answered by itself."""
        return self.of_prompt(request) if isinstance(request, InferenceRequest) else self.of_record(request)

    def of_prompt(self, request: InferenceRequest) -> bytes:
        """The key of a chat request."""
        key = self._start.copy()
        _add(key, request.text.encode("utf-8", "surrogatepass"))
        key.update(self._common(request))
        for file in request.files:
            _add(key, file.data)
        return key.digest()

    def _common(self, request: InferenceRequest) -> bytes:
        """What the rows of a call mostly have in common, and then as the same objects."""
        wanted = request.response_format
        common = (request.parameters, request.tags, request.instructions, wanted)
        if not all(map(operator.is_, self._last, common)):
            key = hashlib.blake2b(digest_size=_SIZE)
            _add_json(key, [request.parameters, request.tags, request.instructions])
            if wanted is not None:  # a model fills a schema's members in their order
                _add(key, orjson.dumps([wanted.schema, wanted.name, wanted.strict]))
            self._last, self._last_common = common, key.digest()
        return self._last_common

    def of_texts(self, request: EmbeddingRequest) -> list[bytes]:
        """The keys of an embedding request's texts."""
        start = self._start.copy()
        _add_json(start, request.parameters, request.tags)
        keys = []
        for text in request.texts:
            key = start.copy()
            _add(key, text.encode("utf-8", "surrogatepass"))
            keys.append(key.digest())
        return keys

    def of_record(self, request: RecordRequest) -> bytes:
        """The key of a custom model's record."""
        key = self._start.copy()
        _add_json(key, request.record, [request.parameters, request.tags])
        return key.digest()


def _extras(service: Service) -> Iterator[str]:
    """What its requests carry besides, each with what it is; secrets as references. Nothing for most services."""
    for kind, fields in (("header", service.headers), ("query", service.query)):
        for name, value in fields:
            yield f"{kind} {name}={value}"
    if service.key_header is not None:
        yield f"key header {service.key_header}"
    if service.tags_in not in (TagsIn.HEADER, TagsIn.NONE):
        yield f"tags in {service.tags_in}"


def _hashed(texts: Iterable[str]) -> hashlib.blake2b:
    key = hashlib.blake2b(digest_size=_SIZE)
    for text in texts:
        _add(key, text.encode())
    return key


def _add(key: hashlib.blake2b, part: bytes) -> None:
    """With its length, so that two parts can't be taken for two others."""
    key.update(len(part).to_bytes(8, "big"))
    key.update(part)


def _add_json(key: hashlib.blake2b, *values: Mapping[str, Any] | orjson.Fragment | list[Any] | None) -> None:
    for value in values:
        _add(key, orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
