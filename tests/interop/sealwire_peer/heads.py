"""Section 6: the TLVs of HEAD, encoded and strictly decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .errors import Malformed

TIERS = (b"standard", b"high", b"maximum")

_METHOD = re.compile(rb"[A-Z]{1,16}")
_VISIBLE = re.compile(rb"[\x21-\x7e]+")
_TEXT = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_NAME = re.compile(rb"[a-z0-9-]{1,64}")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%2f|%5c|%00", re.IGNORECASE)
_DOT = re.compile(rb"%2e", re.IGNORECASE)

REQUEST_HEADERS = (b"accept", b"x-request-id", b"openai-*")
RESPONSE_HEADERS = (b"x-request-id", b"openai-*", b"x-ratelimit-*", b"retry-after-ms")

Headers = tuple[tuple[bytes, bytes], ...]


def _need(condition: object, what: str) -> None:
    if not condition:
        raise Malformed(what)


def _number(value: bytes, length: int, what: str) -> int:
    _need(len(value) == length, what)
    return int.from_bytes(value, "big")


def _text(value: bytes, most: int, what: str) -> str:
    _need(len(value) <= most and _TEXT.fullmatch(value), what)
    return value.decode("ascii")


def _path(value: bytes) -> str:
    _need(len(value) <= 2048 and _VISIBLE.fullmatch(value), "path")
    _need(value.startswith(b"/") and not value.startswith(b"//"), "path")
    _need(b"#" not in value and b"\\" not in value, "path")
    before_query = value.split(b"?", 1)[0]
    _need(not _BAD_ESCAPE.search(before_query), "path escape")
    for segment in before_query.split(b"/"):
        _need(_DOT.sub(b".", segment) not in (b".", b".."), "path segment")
    return value.decode("ascii")


def _tier(value: bytes) -> str:
    _need(value in TIERS, "tier")
    return value.decode("ascii")


def _listed(name: bytes, names: tuple[bytes, ...]) -> bool:
    for allowed in names:
        if allowed.endswith(b"*"):
            if name.startswith(allowed[:-1]) and len(name) > len(allowed) - 1:
                return True
        elif name == allowed:
            return True
    return False


def encode_headers(headers: Headers) -> bytes:
    out = b""
    for name, value in headers:
        out += bytes([len(name)]) + name + len(value).to_bytes(2, "big") + value
    return out


def _headers(value: bytes, names: tuple[bytes, ...]) -> Headers:
    _need(value, "no header")
    at, previous, out = 0, b"", []
    while at < len(value):
        name = value[at + 1 : at + 1 + value[at]]
        _need(len(name) == value[at], "header name ends early")
        at += 1 + len(name)
        _need(at + 2 <= len(value), "header value ends early")
        length = int.from_bytes(value[at : at + 2], "big")
        text = value[at + 2 : at + 2 + length]
        _need(len(text) == length, "header value ends early")
        at += 2 + length
        _need(_NAME.fullmatch(name) and _listed(name, names), "header name")
        _need(name > previous, "header order")
        _need(length <= 1024 and (not text or _TEXT.fullmatch(text)), "header value")
        previous = name
        out.append((name, text))
    return tuple(out)


def encode_tlvs(items: list[tuple[int, bytes]]) -> bytes:
    out = b""
    for tag, value in sorted(items, key=lambda item: item[0]):
        out += tlv(tag, value)
    return out


def tlv(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + len(value).to_bytes(2, "big") + value


def decode_tlvs(content: bytes, known: set[int], required: set[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at, previous = 0, -1
    while at < len(content):
        _need(at + 3 <= len(content), "HEAD ends inside a TLV")
        tag, length = content[at], int.from_bytes(content[at + 1 : at + 3], "big")
        value = content[at + 3 : at + 3 + length]
        _need(len(value) == length, "HEAD ends inside a TLV")
        _need(tag > previous, "tags do not ascend")
        _need(tag in known or tag >= 0x80, f"unknown tag {tag:#04x}")
        if tag in known:
            found[tag] = value
        previous = tag
        at += 3 + length
    _need(required <= set(found), "HEAD lacks a tag")
    return found


@dataclass(frozen=True)
class RequestHead:
    method: str
    path: str
    exchange_id: bytes
    time: int
    max_frame: int
    content_type: str | None = None
    authorization: str | None = None
    tier: str | None = None
    idempotency_key: str | None = None
    padding: int | None = None
    headers: Headers = ()

    def encode(self) -> bytes:
        items = [
            (1, self.method.encode()),
            (2, self.path.encode()),
            (6, self.exchange_id),
            (8, self.time.to_bytes(8, "big")),
            (9, self.max_frame.to_bytes(4, "big")),
        ]
        optional = ((3, self.content_type), (4, self.authorization), (5, self.tier), (7, self.idempotency_key))
        items += [(tag, value.encode()) for tag, value in optional if value is not None]
        if self.padding is not None:
            items.append((0x0A, bytes([self.padding])))
        if self.headers:
            items.append((0x0B, encode_headers(self.headers)))
        content = encode_tlvs(items)
        self.decode(content)  # what the caller put in must be what a gateway may accept
        return content

    @classmethod
    def decode(cls, content: bytes) -> RequestHead:
        found = decode_tlvs(content, set(range(1, 0x0C)), {1, 2, 6, 8, 9})
        _need(_METHOD.fullmatch(found[1]), "method")
        _need(len(found[6]) == 16, "exchange id")
        max_frame = _number(found[9], 4, "max frame")
        _need(max_frame >= 1024, "max frame")
        idempotency = found.get(7)
        if idempotency is not None:
            _need(len(idempotency) <= 64 and _VISIBLE.fullmatch(idempotency), "idempotency key")
        padding = _number(found[0x0A], 1, "padding") if 0x0A in found else None
        _need(padding in (None, 0, 1), "padding")
        return cls(
            method=found[1].decode("ascii"),
            path=_path(found[2]),
            exchange_id=found[6],
            time=_number(found[8], 8, "time"),
            max_frame=max_frame,
            content_type=_text(found[3], 256, "content type") if 3 in found else None,
            authorization=_text(found[4], 8192, "authorization") if 4 in found else None,
            tier=_tier(found[5]) if 5 in found else None,
            idempotency_key=idempotency.decode("ascii") if idempotency is not None else None,
            padding=padding,
            headers=_headers(found[0x0B], REQUEST_HEADERS) if 0x0B in found else (),
        )


@dataclass(frozen=True)
class ResponseHead:
    status: int
    exchange_id: bytes
    content_type: str | None = None
    retry_after: int | None = None
    protection: tuple[int, str] | None = None
    processed_at: int | None = None
    tier: str | None = None
    headers: Headers = field(default=())

    def encode(self) -> bytes:
        items = [(1, self.status.to_bytes(2, "big")), (3, self.exchange_id)]
        if self.content_type is not None:
            items.append((2, self.content_type.encode()))
        if self.retry_after is not None:
            items.append((4, self.retry_after.to_bytes(4, "big")))
        if self.protection is not None:
            items.append((5, bytes([self.protection[0]]) + self.protection[1].encode()))
        if self.processed_at is not None:
            items.append((6, self.processed_at.to_bytes(8, "big")))
        if self.tier is not None:
            items.append((7, self.tier.encode()))
        if self.headers:
            items.append((8, encode_headers(self.headers)))
        content = encode_tlvs(items)
        self.decode(content)
        return content

    @classmethod
    def decode(cls, content: bytes) -> ResponseHead:
        found = decode_tlvs(content, set(range(1, 9)), {1, 3})
        status = _number(found[1], 2, "status")
        _need(200 <= status <= 599, "status")
        _need(len(found[3]) == 16, "exchange id")
        protection = None
        if 5 in found:
            value = found[5]
            _need(1 <= len(value) <= 33 and not value[0] & ~7, "memory protection")
            _need(len(value) == 1 or _VISIBLE.fullmatch(value[1:]), "platform")
            protection = (value[0], value[1:].decode("ascii"))
        return cls(
            status=status,
            exchange_id=found[3],
            content_type=_text(found[2], 256, "content type") if 2 in found else None,
            retry_after=_number(found[4], 4, "retry after") if 4 in found else None,
            protection=protection,
            processed_at=_number(found[6], 8, "processed at") if 6 in found else None,
            tier=_tier(found[7]) if 7 in found else None,
            headers=_headers(found[8], RESPONSE_HEADERS) if 8 in found else (),
        )
