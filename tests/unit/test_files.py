"""Files that go with a prompt: what bytes are taken for, and what each format refuses."""

from __future__ import annotations

import pytest

from gateway_batch.apis import api_for
from gateway_batch.apis.files import NAMES, media_type_of
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import File, InferenceRequest, Service

CHAT = "mlflow/v1/chat/completions"
GEMINI = "gemini/v1/generateContent"
EVERY_CHAT_API = (CHAT, "openai/v1/responses", "anthropic/v1/messages", GEMINI)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png"),
        (b"\x89PNG", None),
        (b"GIF87a\1", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"GIF88a", None),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypmif1", "image/heif"),
        (b"\0\0\0\x18ftypisom", None),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\xef\xbb\xbf\r\n %PDF-1.4", "application/pdf"),
        (b"This text speaks of %PDF-1.7.", None),
        (b"BM\x36\0", None),
        (b"II*\0", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"", None),
    ],
)
def test_a_file_is_known_by_its_first_bytes(data: bytes, media_type: str | None) -> None:
    assert media_type_of(data) == media_type


def service(api: str) -> Service:
    return Service(endpoint="e", api=api, url="https://h/route", model="m")


@pytest.mark.parametrize("media_type", NAMES)
@pytest.mark.parametrize("api", EVERY_CHAT_API)
def test_each_format_takes_a_file_or_refuses_it_by_name(api: str, media_type: str) -> None:
    call = InferenceRequest("What is it?", files=(File(b"bytes", media_type),))
    foreign = {"image/gif"} if api == GEMINI else {"image/heic", "image/heif"}
    if media_type not in foreign:
        assert b"Ynl0ZXM=" in api_for(api).build(call, service(api)).body
        return
    says = rf"^files: the API \(.*\) has no place for {NAMES[media_type]}; it takes JPEG"
    with pytest.raises(CallError, match=says) as refused:
        api_for(api).build(call, service(api))
    assert (refused.value.kind, refused.value.was_sent) == (ErrorKind.BAD_REQUEST, False)


@pytest.mark.parametrize("api", EVERY_CHAT_API)
def test_a_type_that_no_format_has_is_refused(api: str) -> None:
    with pytest.raises(CallError, match="has no place for image/bmp; it takes JPEG, PNG, "):
        api_for(api).build(InferenceRequest("?", files=(File(b"BM", "image/bmp"),)), service(api))
