"""Files that go with a prompt: what bytes are, and what each chat format takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway_batch.apis.parameter_table import Dialect
from gateway_batch.errors import CallError, ErrorKind
from gateway_batch.types import File

PDF = "application/pdf"
NAMES = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WebP",
    "image/heic": "HEIC",
    "image/heif": "HEIF",
    PDF: "PDF",
}

_OPENAI = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", PDF})
_TAKEN: Mapping[Dialect, frozenset[str]] = {
    Dialect.CHAT: _OPENAI,
    Dialect.RESPONSES: _OPENAI,
    Dialect.MESSAGES: _OPENAI,
    Dialect.GEMINI: frozenset(NAMES) - {"image/gif"},
}

_SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_HEIF_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1"), "image/heif"),
}
_BEFORE_A_PDF = b"\xef\xbb\xbf\0\t\n\r "
_HEADER_OF_A_PDF_WITHIN = 1024


def media_type_of(data: bytes) -> str | None:
    """What a file is, by its first bytes; None for one that no format takes."""
    for signature, media_type in _SIGNATURES.items():
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return _HEIF_BRANDS.get(data[8:12])
    return PDF if data[:_HEADER_OF_A_PDF_WITHIN].lstrip(_BEFORE_A_PDF).startswith(b"%PDF-") else None


def check_files(files: Iterable[File], dialect: Dialect) -> None:
    """Refuses what a format has no place for.

    Raises:
        CallError: of kind `bad_request`. Nothing was sent.
    """
    taken = _TAKEN[dialect]
    for file in files:
        if file.media_type not in taken:
            name, others = NAMES.get(file.media_type, file.media_type), (NAMES[each] for each in NAMES if each in taken)
            message = f"files: the API ({dialect}) has no place for {name}; it takes {', '.join(others)}"
            raise CallError(ErrorKind.BAD_REQUEST, message)
