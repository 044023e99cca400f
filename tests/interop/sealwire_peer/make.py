"""Makes vector files from fixed inputs: they come out the same each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from . import cobs, frames, hpke
from .errors import ERROR_CODES, REJECT_CODES
from .exchange import ResponseWriter
from .frames import (
    ACCEPT, CANCEL, DATA, END, ERROR, HEAD, KEYS_REQUEST, LONGEST_OPEN, OPEN, REJECT, Plain, frame,
)  # fmt: skip
from .heads import RequestHead, ResponseHead, encode_headers, encode_tlvs, tlv
from .keys import Identity, KeySet, Signed, decode_record, encode_record, pin_of
from .sealing import HYBRID_SUITE, P256_SUITE, Sealer, Secrets, Suite, open_header, request_info
from .vectors import FORMAT, Vector

NOW = 1_800_000_000_000
BEFORE, AFTER = NOW - 3_600_000, NOW + 82_800_000
MAX_FRAME, MAX_REQUEST = 16_404, 10 << 20


def seed(label: str, length: int = 32) -> bytes:
    return hashlib.shake_256(b"sealwire vector " + label.encode()).digest(length)


IDENTITY = Identity(hpke.P256Key.derive(seed("identity")).secret)
EXCHANGE_ID = seed("exchange id", 16)
NONCE = seed("response nonce")
BODY = b'{"model":"echo","messages":[{"role":"user","content":"Is this sealed?"}]}'
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"It is."}}]}'

HEADS: dict[str, Any] = {
    "method": "POST",
    "path": "/v1/chat/completions",
    "content_type": "application/json",
    "authorization": "Bearer sk-vector",
    "exchange_id": EXCHANGE_ID,
    "idempotency_key": "vector-1",
    "time": NOW,
    "max_frame": MAX_FRAME,
}


def request_head(**changes: Any) -> RequestHead:
    return RequestHead(**{**HEADS, **changes})


def response_head(**changes: Any) -> ResponseHead:
    base: dict[str, Any] = {"status": 200, "exchange_id": EXCHANGE_ID, "content_type": "application/json"}
    return ResponseHead(**{**base, **changes})


class Case:
    """One key schedule, and the fields of it that every vector carries."""

    def __init__(self, suite: Suite = P256_SUITE, max_frame: int = MAX_FRAME, max_request: int = MAX_REQUEST) -> None:
        self.suite = suite
        ikm = seed(f"recipient {suite.kem:#06x}")
        private = hpke.derive_key_pair(suite.kem, ikm)
        encoded = encode_record(suite.kem, private.public, BEFORE, AFTER, max_frame, max_request)
        record = decode_record(encoded)
        assert record
        self.record = record
        if suite.kem == hpke.P256:
            random = {"ikm_ephemeral": seed("ephemeral")}
            shared, self.enc = hpke.encap(suite.kem, private.public, random["ikm_ephemeral"])
        else:
            random = {"encap_randomness": seed("encapsulation", 64)}
            shared, self.enc = hpke.encap_derand(private.public, random["encap_randomness"])
        header = open_header(suite, record.key_id)
        self.open_body = header + self.enc
        self.secrets = Secrets.derive(suite, shared, request_info(header))
        key, base = self.secrets.response(self.enc, NONCE)
        self.fields: Vector = {
            "suite": {"kem": suite.kem, "kdf": suite.kdf, "aead": suite.aead},
            "clock": NOW,
            "ikm_recipient": ikm.hex(),
            **{name: value.hex() for name, value in random.items()},
            "record": encoded.hex(),
            "key_id": record.key_id.hex(),
            "open": self.open_body.hex(),
            "info": request_info(header).hex(),
            "enc": self.enc.hex(),
            "request_key": self.secrets.request_key.hex(),
            "request_nonce": self.secrets.request_nonce.hex(),
            "response_secret": self.secrets.response_secret.hex(),
            "response_nonce": NONCE.hex(),
            "response_key": key.hex(),
            "response_base": base.hex(),
        }

    def opening(self) -> bytes:
        return frame(OPEN, self.open_body)

    def client(self) -> Sealer:
        return Sealer(self.secrets.request_key, self.secrets.request_nonce)

    def gateway(self) -> Sealer:
        return Sealer(*self.secrets.response(self.enc, NONCE))

    def writer(self, padded: bool, max_frame: int = MAX_FRAME) -> ResponseWriter:
        return ResponseWriter(self.secrets, self.enc, NONCE, max_frame, padded)


def _top(kind: str, name: str, description: str, requirements: str = "") -> Vector:
    return {
        "format": FORMAT,
        "kind": kind,
        "name": name,
        "description": description,
        "requirements": requirements.split(),
    }


def _plain(frames_: list[Plain]) -> list[Vector]:
    return [{"type": f.kind, "content": f.content.hex(), "padding": f.padding} for f in frames_]


# --- Exchanges -----------------------------------------------------------------------------


def exchange(
    name: str,
    description: str,
    case: Case,
    request: list[Plain],
    respond: Callable[[ResponseWriter], bytes],
    *,
    padded: bool = True,
    body: bytes = BODY,
    answer: bytes = ANSWER,
    expect: str = "complete",
    transport: str = "http",
    max_frame: int = MAX_FRAME,
    requirements: str = "",
) -> Vector:
    sealer, writer = case.client(), case.writer(padded, max_frame)
    wire = case.opening() + b"".join(sealer.seal(plain) for plain in request)
    response = respond(writer)
    return {
        **_top("exchange", name, description, requirements),
        "transport": transport,
        **case.fields,
        "request": {"frames": _plain(request), "wire": wire.hex(), "body": body.hex()},
        "response": {
            "frames": _plain(writer.plain),
            "wire": response.hex(),
            "body": answer.hex(),
            "expect": expect,
        },
    }


def _streamed(pieces: list[bytes], error: str | None = None) -> Callable[[ResponseWriter], bytes]:
    def respond(writer: ResponseWriter) -> bytes:
        out = writer.start(response_head(content_type="text/event-stream"))
        out += b"".join(writer.piece(piece) for piece in pieces)
        return out + (writer.error(error) if error else writer.end())

    return respond


def exchanges() -> list[Vector]:
    p256, hybrid = Case(), Case(HYBRID_SUITE)
    head = request_head().encode()
    whole = frames.whole(head, BODY, MAX_FRAME)
    unpadded = frames.plain_frames(request_head(padding=0).encode(), BODY, MAX_FRAME)
    pieces = [f'data: {{"choices":[{{"delta":{{"content":"{n}"}}}}]}}\n\n'.encode() for n in range(5)]
    pieces.append(b"data: [DONE]\n\n")
    long, longer = seed("long body", 18_000), seed("longer body", 33_000)
    covers = [Plain(HEAD, head, 3), Plain(DATA, b""), Plain(DATA, BODY), Plain(DATA, b"", 70), Plain(END, b"", 1)]
    full_request = request_head(
        tier="maximum",
        padding=1,
        headers=((b"accept", b"text/event-stream"), (b"openai-beta", b"a=1"), (b"x-request-id", b"")),
        path="/v1/responses?b=/../%2F",
    )
    full_response = response_head(
        status=599,
        retry_after=7,
        protection=(7, "linux-x86_64"),
        processed_at=NOW,
        tier="high",
        headers=((b"openai-version", b"1"), (b"retry-after-ms", b"5"), (b"x-ratelimit-limit-tokens", b"9")),
    )
    unknown = head + tlv(0x80, b"") + tlv(0xFF, b"ignored")

    def plain_answer(writer: ResponseWriter) -> bytes:
        return writer.whole(response_head(), ANSWER)

    small = Case(max_frame=1024)
    small_head = request_head(max_frame=1024).encode()
    window_old = frames.plain_frames(request_head(time=NOW - 300_000).encode(), BODY, MAX_FRAME)
    window_new = frames.plain_frames(request_head(time=NOW + 300_000).encode(), BODY, MAX_FRAME)
    return [
        exchange("p256-whole-padded", "both directions whole and padded", p256, whole, plain_answer),
        exchange("p256-whole-unpadded", "no padding in either direction", p256, unpadded, plain_answer, padded=False),
        exchange(
            "p256-streamed-uniform",
            "a streamed answer in frames of 1024, their number padded",
            p256,
            whole,
            _streamed(pieces),
            answer=b"".join(pieces),
        ),
        exchange(
            "p256-streamed-unpadded",
            "a streamed answer without padding",
            p256,
            unpadded,
            _streamed(pieces),
            padded=False,
            answer=b"".join(pieces),
        ),
        exchange(
            "p256-streamed-error",
            "a streamed answer that ends with ERROR(upstream)",
            p256,
            whole,
            _streamed(pieces[:2], "upstream"),
            answer=b"".join(pieces[:2]),
            expect="error:upstream",
            requirements="ORDER-1",
        ),
        exchange(
            "p256-long-bodies",
            "bodies of several frames, padded",
            p256,
            frames.whole(head, long, MAX_FRAME),
            lambda writer: writer.whole(response_head(), long[::-1]),
            body=long,
            answer=long[::-1],
        ),
        exchange(
            "p256-cover-frames-small-limit",
            "padding that does not fit in END of a peer that takes frames of 1024",
            small,
            frames.whole(small_head, longer, 1024),
            lambda writer: writer.whole(response_head(), longer),
            body=longer,
            answer=longer,
            max_frame=1024,
            requirements="PAD-2 ORDER-8 FRAME-4",
        ),
        exchange(
            "p256-any-padding",
            "cover frames first and in the middle, zeros in every frame",
            p256,
            covers,
            plain_answer,
            requirements="PAD-2 ORDER-8",
        ),
        exchange(
            "p256-every-head-field",
            "every TLV of both heads",
            p256,
            frames.whole(full_request.encode(), b"", MAX_FRAME),
            lambda writer: writer.whole(full_response, b""),
            body=b"",
            answer=b"",
        ),
        exchange(
            "p256-unknown-high-tags",
            "unknown tags from 0x80 are ignored",
            p256,
            frames.plain_frames(unknown, BODY, MAX_FRAME),
            plain_answer,
            requirements="HEAD-2",
        ),
        exchange("p256-time-window-old", "a time just inside the window", p256, window_old, plain_answer),
        exchange("p256-time-window-new", "a time just inside the window", p256, window_new, plain_answer),
        exchange("hybrid-whole-padded", "MLKEM768-P256", hybrid, whole, plain_answer),
        exchange(
            "hybrid-streamed-uniform",
            "MLKEM768-P256, streamed answer",
            hybrid,
            whole,
            _streamed(pieces),
            answer=b"".join(pieces),
        ),
        exchange("hybrid-whole-unpadded", "MLKEM768-P256, no padding", hybrid, unpadded, plain_answer, padded=False),
        exchange(
            "hybrid-streamed-unpadded",
            "MLKEM768-P256, a streamed answer without padding",
            hybrid,
            unpadded,
            _streamed(pieces),
            padded=False,
            answer=b"".join(pieces),
        ),
        exchange(
            "hybrid-long-bodies",
            "MLKEM768-P256, bodies of several frames, padded",
            hybrid,
            frames.whole(head, long, MAX_FRAME),
            lambda writer: writer.whole(response_head(), longer),
            body=long,
            answer=longer,
        ),
        exchange(
            "hybrid-streamed-error",
            "MLKEM768-P256, a streamed answer that ends with ERROR(timeout)",
            hybrid,
            whole,
            _streamed(pieces[:2], "timeout"),
            answer=b"".join(pieces[:2]),
            expect="error:timeout",
            requirements="ORDER-1",
        ),
    ]


# --- Refused requests ----------------------------------------------------------------------


class Requests:
    def __init__(self) -> None:
        self.case = Case()
        self.made: list[Vector] = []

    def add(
        self,
        name: str,
        description: str,
        requirements: str,
        wire: bytes,
        expect: str,
        opened: int,
        *,
        case: Case | None = None,
        transport: str = "http",
        **more: Any,
    ) -> None:
        self.made.append(
            {
                **_top("refusal", "request-" + name, description, requirements),
                "direction": "request",
                "transport": transport,
                **(case or self.case).fields,
                **more,
                "wire": wire.hex(),
                "expect": expect,
                "opened": opened,
            }
        )

    def begin(self, head: bytes | None = None) -> tuple[Sealer, bytes]:
        """OPEN and a HEAD that opens."""
        sealer = self.case.client()
        content = request_head().encode() if head is None else head
        return sealer, self.case.opening() + sealer.seal(Plain(HEAD, content))

    def head(self, name: str, description: str, requirements: str, content: bytes) -> None:
        sealer, wire = self.begin(content)
        wire += sealer.seal(Plain(DATA, BODY)) + sealer.seal(Plain(END, b""))
        self.add("head-" + name, description, requirements, wire, "error:malformed", 1)

    def all(self) -> list[Vector]:
        self._frames()
        self._sealed()
        self._opens()
        self._heads()
        self._order()
        self._replay_and_limits()
        return self.made

    def _frames(self) -> None:
        add, malformed = self.add, "reject:malformed"
        add("unknown-type", "first frame of type 0x07", "FRAME-1", frame(7, b"x"), malformed, 0)
        add("resume", "RESUME is reserved", "FRAME-1", frame(6, bytes(40)), malformed, 0)
        add("open-length-0", "OPEN of length 0", "FRAME-2", bytes.fromhex("03000000"), malformed, 0)
        add(
            "open-too-long",
            "the header of an OPEN of 65536",
            "FRAME-3 FRAME-5",
            bytes.fromhex("03010000"),
            malformed,
            0,
        )
        add("starts-with-accept", "ACCEPT from a client", "FRAME-6", frame(ACCEPT, bytes(32)), malformed, 0)
        add("starts-with-head", "HEAD without OPEN", "FRAME-6", frame(HEAD, bytes(40)), malformed, 0)
        add("empty", "nothing at all", "ORDER-1", b"", malformed, 0)
        for length in (0, 2):
            wire = frame(KEYS_REQUEST, b"\x01" * length)
            add(
                f"keys-request-length-{length}",
                "length of KEYS_REQUEST",
                "FRAME-5",
                wire,
                malformed,
                0,
                transport="stream",
            )
        sealer, wire = self.begin()
        add(
            "unknown-type-later", "type 0x15 after HEAD", "FRAME-1", wire + frame(0x15, bytes(40)), "error:malformed", 1
        )
        sealer, wire = self.begin()
        add("data-length-0", "DATA of length 0", "FRAME-2", wire + bytes.fromhex("11000000"), "error:malformed", 1)
        _, wire = self.begin()
        header = bytes([DATA]) + (MAX_FRAME - 3).to_bytes(3, "big")
        add(
            "frame-too-large",
            "a header that announces one byte too much",
            "FRAME-3",
            wire + header,
            "error:too large",
            1,
        )
        header = self.case.opening() + bytes([HEAD]) + (MAX_FRAME - 3).to_bytes(3, "big")
        add("head-too-large", "the first sealed frame is one byte too large", "FRAME-3", header, "reject:too large", 0)
        header = bytes([OPEN]) + (LONGEST_OPEN + 1).to_bytes(3, "big")
        add("open-1169", "the header of an OPEN of 1169", "FRAME-5 FRAME-7", header, malformed, 0)
        header = bytes([HEAD]) + (MAX_FRAME - 3).to_bytes(3, "big")
        add("order-before-limit", "a HEAD that is too large, without OPEN", "FRAME-7", header, malformed, 0)
        _, wire = self.begin()
        header = bytes([DATA]) + bytes([0xFF, 0xFF, 0xFF])
        add("longest-frame", "the longest frame there is", "FRAME-7", wire + header, "error:too large", 1)
        add("end-too-large", "a second HEAD, too large", "FRAME-7", wire + bytes([HEAD]) + header[1:], "error:malformed", 1)
        for transport, body, expect in (("stream", b"\x02", "reject:version"), ("http", b"\x01", malformed)):
            name = f"keys-request-{transport}"
            ask = frame(KEYS_REQUEST, body)
            add(name, "KEYS_REQUEST of version 2, and over HTTP", "RAW-2", ask, expect, 0, transport=transport)

    def _sealed(self) -> None:
        sealer, wire = self.begin()
        end = sealer.seal(Plain(DATA, BODY)) + sealer.seal(Plain(END, b""))

        def later(name: str, description: str, requirements: str, tail: bytes, opened: int = 1) -> None:
            self.add(name, description, requirements, wire + tail, "error:malformed", opened)

        later("data-length-17", "a sealed frame without room for a content length", "SEAL-1", frame(DATA, bytes(17)))
        changed = bytearray(wire)
        changed[-1] ^= 1
        self.add(
            "head-changed",
            "one bit of the first tag",
            "ORDER-4 SEAL-3",
            bytes(changed) + end,
            "reject:undecryptable",
            0,
        )
        changed = bytearray(end)
        changed[8] ^= 0x80
        later("data-changed", "one bit of a later ciphertext", "SEAL-3 ORDER-4", bytes(changed))
        changed = bytearray(end)
        changed[0] = END
        later("type-changed", "DATA renamed to END: the header is authenticated", "SEAL-2", bytes(changed))
        one, _ = self.begin()
        data = one.seal(Plain(DATA, BODY))
        last = one.seal(Plain(END, b""))
        later("frames-swapped", "END before DATA", "SEAL-2", last + data)
        later("frame-dropped", "DATA is missing", "SEAL-2", last)
        later("frame-repeated", "DATA twice", "SEAL-2", data + data + last, 2)
        bad = bytearray(data)
        bad[-1] ^= 1
        later("poisoned", "after a changed frame its true form is not taken", "SEAL-3", bytes(bad) + data + last)

        def raw(name: str, description: str, requirements: str, kind: int, plaintext: bytes) -> None:
            fresh, start = self.begin()
            tail = fresh.seal_raw(kind, plaintext) + fresh.seal(Plain(END, b""))
            self.add(name, description, requirements, start + tail, "error:malformed", 2)

        raw("content-too-long", "content length exceeds the frame", "SEAL-4", DATA, b"\x00\x05abcd")
        raw("padding-not-zero", "the last byte of padding is 1", "SEAL-4", DATA, b"\x00\x02ab\x00\x00\x01")
        raw("end-with-content", "END that holds a byte", "SEAL-7", END, b"\x00\x01a")
        raw("cancel-with-content", "CANCEL that holds a byte", "SEAL-7", CANCEL, b"\x00\x01a")
        first = self.case.client()
        wire_ = self.case.opening() + first.seal_raw(HEAD, bytes(2)) + first.seal(Plain(END, b""))
        self.add("head-empty", "HEAD without content", "SEAL-7", wire_, "error:malformed", 1)
        first = self.case.client()
        content = request_head().encode()
        wire_ = self.case.opening() + first.seal_raw(HEAD, len(content).to_bytes(2, "big") + content + b"\x01")
        self.add(
            "head-padding-not-zero",
            "padding of HEAD",
            "SEAL-4",
            wire_ + first.seal(Plain(END, b"")),
            "error:malformed",
            1,
        )

    def _opens(self) -> None:
        case = self.case
        sealer = case.client()
        rest = sealer.seal(Plain(HEAD, request_head().encode())) + sealer.seal(Plain(END, b""))

        def add(name: str, description: str, requirements: str, body: bytes, expect: str, **more: Any) -> None:
            self.add(name, description, requirements, frame(OPEN, body) + rest, expect, 0, **more)

        body = case.open_body
        kem = hpke.MLKEM768_P256.to_bytes(2, "big")
        add("open-version", "version 2", "OPEN-1", b"\x02" + body[1:], "reject:version")
        add("open-version-short", "version 2 in an OPEN of 3 bytes", "OPEN-1", b"\x02\x00\x10", "reject:version")
        add("open-unknown-kem", "kem 0x1234", "SUITE-2 OPEN-1", b"\x01\x12\x34" + body[3:], "reject:suite")
        add(
            "open-other-kem",
            "the hybrid, which this gateway does not offer",
            "SUITE-2",
            b"\x01" + kem + body[3:15] + bytes(1153),
            "reject:suite",
        )
        add("open-other-kdf", "kdf 0x0002", "SUITE-2", body[:3] + b"\x00\x02" + body[5:], "reject:suite")
        add("open-other-aead", "aead 0x0001", "SUITE-2", body[:5] + b"\x00\x01" + body[7:], "reject:suite")
        add("open-short", "one byte of enc is missing", "OPEN-1", body[:-1], "reject:malformed")
        add("open-long", "one byte too many", "OPEN-1", body + b"\x00", "reject:malformed")
        add("open-14", "the open header is cut", "OPEN-1", body[:14], "reject:malformed")
        add("open-key", "another key_id", "OPEN-2", body[:7] + bytes([body[7] ^ 1]) + body[8:], "reject:key")
        add("open-expired", "past not_after and the skew", "OPEN-2 TIME-2", body, "reject:key", clock=AFTER + 300_001)
        late = AFTER + 300_000
        add("open-ended", "the first moment that is too late", "OPEN-2 TIME-2", body, "reject:key", clock=late)
        add(
            "open-not-a-point",
            "enc is not on the curve",
            "ORDER-4",
            body[:-1] + bytes([body[-1] ^ 1]),
            "reject:undecryptable",
        )
        add("open-compressed", "enc begins with 2", "ORDER-4", body[:15] + b"\x02" + body[16:], "reject:undecryptable")
        other = hpke.P256Key.derive(seed("another ephemeral")).public
        add("open-other-enc", "another valid enc", "ORDER-4", body[:15] + other, "reject:undecryptable")

    def _heads(self) -> None:
        good = {
            1: b"POST", 2: b"/v1/chat/completions", 4: b"Bearer k", 6: EXCHANGE_ID,
            8: NOW.to_bytes(8, "big"), 9: MAX_FRAME.to_bytes(4, "big"),
        }  # fmt: skip

        def bad(name: str, requirements: str, description: str, **changes: bytes | None) -> None:
            tags = {**good, **{int(tag[1:], 16): value for tag, value in changes.items()}}
            items = [(tag, value) for tag, value in tags.items() if value is not None]
            self.head(name, description, requirements, encode_tlvs(items))

        tlvs = [tlv(tag, value) for tag, value in good.items()]
        self.head("descending", "tags do not ascend", "HEAD-1", b"".join([tlvs[1], tlvs[0], *tlvs[2:]]))
        self.head("twice", "a tag twice", "HEAD-1", b"".join([tlvs[0], *tlvs]))
        self.head("cut-value", "ends inside a value", "HEAD-1", b"".join(tlvs)[:-1])
        self.head("cut-tag", "ends inside a TLV's header", "HEAD-1", b"".join(tlvs) + b"\x80\x00")
        for tag in (0x00, 0x0C, 0x7F):
            bad(f"unknown-{tag:02x}", "HEAD-2", "an unknown tag below 0x80", **{f"t{tag:02x}": b""})
        for tag in (1, 2, 6, 8, 9):
            bad(f"lacks-{tag:02x}", "HEAD-4", "a required tag is missing", **{f"t{tag:02x}": None})
        bad("method-lower", "HEAD-4", "method in lower case", t01=b"post")
        bad("method-17", "HEAD-4", "method of 17 letters", t01=b"A" * 17)
        bad("method-empty", "HEAD-4", "empty method", t01=b"")
        bad("exchange-id-15", "HEAD-4", "exchange id of 15 bytes", t06=bytes(15))
        bad("time-7", "HEAD-4", "time of 7 bytes", t08=bytes(7))
        bad("max-frame-1023", "FRAME-4", "max frame below 1024", t09=(1023).to_bytes(4, "big"))
        bad("tier", "HEAD-4", "a tier that is not in the table", t05=b"huge")
        bad("padding-2", "HEAD-4", "padding 2", t0a=b"\x02")
        bad("idempotency-space", "HEAD-3", "idempotency key with a space", t07=b"a b")
        bad("idempotency-65", "HEAD-3", "idempotency key of 65 bytes", t07=b"a" * 65)
        bad("authorization-crlf", "HEAD-3", "authorization with CR LF", t04=b"Bearer k\r\nx: y")
        bad("authorization-nul", "HEAD-3", "authorization with NUL", t04=b"Bearer\0k")
        bad("authorization-trailing-space", "HEAD-3", "a space at the end", t04=b"Bearer ")
        bad("authorization-utf8", "HEAD-3", "not ASCII", t04="Bearer \u00e9".encode())
        bad("authorization-empty", "HEAD-3", "no bytes", t04=b"")
        bad("authorization-8193", "HEAD-3", "too long", t04=b"k" * 8193)
        bad("content-type-257", "HEAD-3", "too long", t03=b"k" * 257)
        for name, path in (
            ("relative", b"v1"), ("empty", b""), ("double-slash", b"//host/v1"), ("fragment", b"/v1#a"),
            ("backslash", b"/v1\\..\\a"), ("space", b"/v 1"), ("long", b"/" + b"a" * 2048), ("nul", b"/v1\0"),
            ("absolute", b"http://host/v1"),
        ):  # fmt: skip
            bad("path-" + name, "HEAD-3", "path", t02=path)
        for name, path in (
            ("dot", b"/v1/./a"), ("dots", b"/v1/../a"), ("dots-last", b"/v1/.."), ("dots-encoded", b"/v1/%2e%2E/a"),
            ("dots-mixed", b"/v1/.%2e"), ("slash-encoded", b"/v1%2fa"), ("slash-encoded-upper", b"/v1%2Fa"),
            ("backslash-encoded", b"/v1%5Ca"), ("nul-encoded", b"/v1%00"), ("escape-cut", b"/v1%2"),
            ("escape-bad", b"/v1%zz"),
        ):  # fmt: skip
            bad("path-" + name, "HEAD-5", "path", t02=path)
        for name, pairs in (
            ("upper", ((b"Accept", b"a"),)), ("not-listed", ((b"cookie", b"a"),)), ("bare-prefix", ((b"openai-", b"a"),)),
            ("response-only", ((b"retry-after-ms", b"1"),)), ("twice", ((b"accept", b"a"), (b"accept", b"b"))),
            ("descending", ((b"x-request-id", b"a"), (b"accept", b"b"))), ("crlf", ((b"accept", b"a\r\nb"),)),
            ("value-1025", ((b"accept", b"a" * 1025),)), ("name-65", ((b"openai-" + b"a" * 58, b"a"),)),
            ("name-empty", ((b"", b"a"),)), ("leading-space", ((b"accept", b" a"),)),
        ):  # fmt: skip
            bad("headers-" + name, "HEAD-7", "headers", t0b=encode_headers(pairs))
        bad("headers-empty", "HEAD-7", "no header in the list", t0b=b"")
        bad("headers-cut", "HEAD-7", "ends inside a value", t0b=encode_headers(((b"accept", b"abc"),))[:-1])

    def _order(self) -> None:
        case, add = self.case, self.add
        for kind, name in ((DATA, "data"), (END, "end"), (CANCEL, "cancel")):
            sealer = case.client()
            wire = case.opening() + sealer.seal(Plain(kind, b"")) + sealer.seal(Plain(END, b""))
            add(f"{name}-before-head", "HEAD must come first", "FRAME-6", wire, "reject:malformed", 0)
        for kind, name in ((HEAD, "second-head"), (ERROR, "error-frame")):
            sealer, wire = self.begin()
            wire += sealer.seal(Plain(kind, request_head().encode())) + sealer.seal(Plain(END, b""))
            add(name, "a frame that may not come here", "FRAME-6", wire, "error:malformed", 1)
        sealer, wire = self.begin()
        add("second-open", "OPEN inside a request", "FRAME-6", wire + case.opening(), "error:malformed", 1)
        sealer, wire = self.begin()
        wire += sealer.seal(Plain(DATA, BODY))
        add("cut-before-end", "the input ends before END", "ORDER-2", wire, "error:malformed", 2)
        wire += sealer.seal(Plain(END, b""))
        add("cut-in-end", "the input ends inside END", "ORDER-2", wire[:-1], "error:malformed", 2)
        add("cut-in-head", "the input ends inside HEAD", "ORDER-2", self.begin()[1][:-1], "reject:malformed", 0)
        add("bytes-after-end", "one byte after END over HTTP", "ORDER-5", wire + b"\x00", "error:malformed", 3)
        cancel = sealer.seal(Plain(CANCEL, b""))
        add("cancel-after-end-http", "CANCEL after END over HTTP", "ORDER-5", wire + cancel, "error:malformed", 3)
        add(
            "cancel-after-end",
            "CANCEL after END on a stream",
            "ORDER-6",
            wire + cancel,
            "error:cancelled",
            4,
            transport="stream",
        )

        def behind_end(name: str, description: str, requirements: str, tail: bytes, expect: str, opened: int = 3) -> None:
            add(f"behind-end-{name}", description, requirements, wire + tail, expect, opened, transport="stream")

        changed = cancel[:-1] + bytes([cancel[-1] ^ 1])
        behind_end("cancel-changed", "one bit of the tag of a CANCEL", "ORDER-6", changed, "error:malformed")
        behind_end("cancel-17", "the header of a CANCEL too short", "SEAL-1", frame(CANCEL, b"")[:3] + b"\x11", "error:malformed")
        behind_end("unknown-type", "what follows waits, whatever it is", "ORDER-5", frame(0x15, bytes(40)), "complete")
        behind_end("open", "the next request waits", "ORDER-5", case.opening(), "complete")
        fresh, start = self.begin()
        start += fresh.seal(Plain(END, b"")) + fresh.seal_raw(CANCEL, b"\x00\x01a")
        name, description = "behind-end-cancel-with-content", "CANCEL after END that holds a byte"
        add(name, description, "SEAL-7 ORDER-6", start, "error:malformed", 3, transport="stream")
        for kind, name in ((CANCEL, "cancel"), (END, "end")):
            sealer = case.client()
            other = Sealer(seed("another key"), bytes(12)).seal(Plain(kind, b""))
            whole = case.opening() + sealer.seal(Plain(HEAD, request_head().encode())) + sealer.seal(Plain(END, b""))
            expect = "complete" if kind == CANCEL else "reject:malformed"
            opened = 2 if kind == CANCEL else 0
            add(
                f"late-{name}",
                "what stands before OPEN on a stream",
                "RAW-3",
                other + whole,
                expect,
                opened,
                transport="stream",
            )
        sealer, wire = self.begin()
        wire += sealer.seal(Plain(CANCEL, b""))
        add("cancel-for-end", "CANCEL in place of END", "ORDER-6", wire, "error:cancelled", 2, transport="stream")
        add("cancel-for-end-http", "over HTTP, with a byte behind it", "ORDER-6", wire + b"\x00", "error:cancelled", 2)
        late, ask = frame(CANCEL, bytes(18)), frame(KEYS_REQUEST, b"\x01")
        for name, description, requirements, wire in (
            ("late-cancel-twice", "a second late CANCEL", "RAW-3", late + late + wire),
            ("late-cancel-cut", "the input ends inside a late CANCEL", "ORDER-4", late[:-1]),
            ("keys-request-cut", "the input ends inside KEYS_REQUEST", "ORDER-4", ask[:-1]),
            ("open-cut", "the input ends inside an OPEN of version 2", "ORDER-4", frame(OPEN, b"\x02" + bytes(79))[:-1]),
        ):
            add(name, description, requirements, wire, "reject:malformed", 0, transport="stream")

    def _replay_and_limits(self) -> None:
        add, clock = self.add, NOW.to_bytes(8, "big").hex()
        for name, time in (("old", NOW - 300_001), ("new", NOW + 300_001), ("zero", 0), ("largest", 2**64 - 1)):
            sealer, wire = self.begin(request_head(time=time).encode())
            wire += sealer.seal(Plain(END, b""))
            add(f"time-{name}", "outside the window", "REPLAY-1", wire, "error:time", 1, detail=clock)
        sealer, wire = self.begin()
        wire += sealer.seal(Plain(END, b""))
        add("replayed", "the same request again", "REPLAY-2", wire, "error:replay", 1, earlier=[wire.hex()])
        cut = self.begin()[1]
        add(
            "replayed-after-cut",
            "again, after its HEAD alone came",
            "REPLAY-2",
            wire,
            "error:replay",
            1,
            earlier=[cut.hex()],
        )
        add(
            "before-start",
            "sealed before a restart",
            "REPLAY-4",
            wire,
            "error:time",
            1,
            detail=clock,
            refuse_before=NOW + 1,
        )
        add("store-full", "a replay store without room", "REPLAY-3", wire, "error:busy", 1, replay_capacity=0)
        add("forbidden", "a path that is not served", "", wire, "error:forbidden", 2, served=["GET /v1/models"])

        small = Case(max_frame=1024, max_request=100)
        sealer = small.client()
        wire = small.opening() + sealer.seal(Plain(HEAD, request_head().encode()))
        wire += sealer.seal(Plain(DATA, bytes(60))) + sealer.seal(Plain(DATA, bytes(41))) + sealer.seal(Plain(END, b""))
        add(
            "content-limit",
            "101 content bytes where 100 are accepted",
            "LIMIT-1",
            wire,
            "error:too large",
            3,
            case=small,
        )
        sealer, wire = self.begin()
        wire += b"".join(sealer.seal(Plain(DATA, b"", 978)) for _ in range(8)) + sealer.seal(Plain(END, b""))
        covered = (5_000 - len(self.begin()[1])) // 1000
        add(
            "wire-limit", "cover frames beyond the limit on wire bytes", "LIMIT-1 ORDER-8", wire,
            "error:too large", 1 + covered, limits={"request_wire": 5_000},
        )  # fmt: skip


# --- Refused responses ---------------------------------------------------------------------


class Responses:
    def __init__(self) -> None:
        self.case = Case()
        self.made: list[Vector] = []
        self.accept = frame(ACCEPT, NONCE)

    def add(
        self,
        name: str,
        description: str,
        requirements: str,
        wire: bytes,
        expect: str,
        opened: int,
        body: bytes = b"",
        **more: Any,
    ) -> None:
        self.made.append(
            {
                **_top("refusal", "response-" + name, description, requirements),
                "direction": "response",
                "transport": "http",
                **self.case.fields,
                "exchange_id": EXCHANGE_ID.hex(),
                "max_frame": MAX_FRAME,
                **more,
                "wire": wire.hex(),
                "body": body.hex(),
                "expect": expect,
                "opened": opened,
            }
        )

    def begin(self, head: bytes | None = None) -> tuple[Sealer, bytes]:
        sealer = self.case.gateway()
        content = response_head().encode() if head is None else head
        return sealer, self.accept + sealer.seal(Plain(HEAD, content))

    def all(self) -> list[Vector]:
        self._frames()
        self._sealed()
        self._heads()
        self._errors()
        return self.made

    def _frames(self) -> None:
        add, accept = self.add, self.accept
        add("unknown-type", "first frame of type 0x20", "FRAME-1", frame(0x20, b"x"), "malformed", 0)
        add("length-0", "ACCEPT of length 0", "FRAME-2", bytes.fromhex("04000000"), "malformed", 0)
        add("accept-31", "ACCEPT of length 31", "FRAME-5", frame(ACCEPT, bytes(31)), "malformed", 0)
        add(
            "accept-33",
            "the header of an ACCEPT of length 33",
            "FRAME-5 FRAME-3",
            bytes.fromhex("04000021"),
            "malformed",
            0,
        )
        add("reject-2", "REJECT of length 2", "FRAME-5", frame(REJECT, b"\x03\x00"), "malformed", 0)
        add("length-before-order", "ACCEPT where it may come, of a length that it has not", "FRAME-7", bytes.fromhex("04ffffff"), "malformed", 0)
        header = bytes([DATA]) + bytes([0xFF, 0xFF, 0xFF])
        add("order-before-limit", "DATA before ACCEPT, too large", "FRAME-7", header, "malformed", 0)
        add("keys", "KEYS that nobody asked for", "FRAME-6", frame(2, bytes(66)), "malformed", 0)
        add("no-accept", "HEAD without ACCEPT", "FRAME-6", self.begin()[1][36:], "malformed", 0)
        add("two-accepts", "ACCEPT twice", "FRAME-6", accept + accept, "malformed", 0)
        add("reject-after-accept", "REJECT after ACCEPT", "FRAME-6", accept + frame(REJECT, b"\x05"), "malformed", 0)
        for kind, name in ((DATA, "data"), (END, "end"), (CANCEL, "cancel")):
            wire = accept + self.case.gateway().seal(Plain(kind, b""))
            add(f"{name}-before-head", "HEAD must come first", "FRAME-6", wire, "malformed", 0)
        sealer, wire = self.begin()
        again = wire + sealer.seal(Plain(HEAD, response_head().encode()))
        add("second-head", "HEAD twice", "FRAME-6", again, "malformed", 1)
        header = bytes([DATA]) + (2048 - 3).to_bytes(3, "big")
        add(
            "frame-too-large",
            "one byte above the client's max frame",
            "FRAME-3 FRAME-4",
            wire + header,
            "too large",
            1,
            max_frame=2048,
        )
        add("empty", "nothing at all", "ORDER-1", b"", "truncated", 0)
        add("cut-in-accept", "the input ends inside ACCEPT", "ORDER-1", accept[:-1], "truncated", 0)
        add("cut-after-accept", "the input ends after ACCEPT", "ORDER-1", accept, "truncated", 0)

    def _sealed(self) -> None:
        add = self.add
        sealer, wire = self.begin()
        half, rest = ANSWER[:30], ANSWER[30:]
        first, second = sealer.seal(Plain(DATA, half)), sealer.seal(Plain(DATA, rest))
        end = sealer.seal(Plain(END, b"", 9))
        add("cut-before-end", "DATA verified, END is missing", "ORDER-1", wire + first + second, "truncated", 3, ANSWER)
        add(
            "cut-in-end",
            "END without its last byte",
            "ORDER-1",
            (wire + first + second + end)[:-1],
            "truncated",
            3,
            ANSWER,
        )
        add(
            "bytes-after-end",
            "one byte after END over HTTP",
            "ORDER-5",
            wire + first + second + end + b"\x00",
            "malformed",
            4,
            ANSWER,
        )
        add("swapped", "two DATA frames swapped", "SEAL-2", wire + second + first + end, "undecryptable", 1)
        add("dropped", "a DATA frame is missing", "SEAL-2", wire + first + end, "undecryptable", 2, half)
        add("repeated", "a DATA frame twice", "SEAL-2", wire + first + first + second + end, "undecryptable", 2, half)
        bad = bytearray(first)
        bad[6] ^= 1
        add("changed", "one bit of a ciphertext", "SEAL-3 SEAL-5", wire + bytes(bad) + first, "undecryptable", 1)
        bad = bytearray(first)
        bad[0] = ERROR
        add("type-changed", "DATA renamed to ERROR", "SEAL-2", wire + bytes(bad), "undecryptable", 1)
        changed = bytearray(wire)
        changed[10] ^= 1
        add("nonce-changed", "one bit of response_nonce", "ORDER-1", bytes(changed) + first, "undecryptable", 0)
        other = Sealer(*self.case.secrets.response(self.case.enc, seed("another nonce")))
        other.seal(Plain(HEAD, response_head().encode()))
        add(
            "spliced",
            "DATA of another answer to the same request",
            "SEAL-3",
            wire + other.seal(Plain(DATA, half)),
            "undecryptable",
            1,
        )
        mirror = self.case.client().seal(Plain(HEAD, request_head().encode()))
        add("reflected", "the client's own HEAD", "SEAL-3", self.accept + mirror, "undecryptable", 0)
        for name, plaintext in (("content-too-long", b"\x00\x05abcd"), ("padding-not-zero", b"\x00\x02ab\x01")):
            sealer, wire = self.begin()
            add(name, "structure of the plaintext", "SEAL-4", wire + sealer.seal_raw(DATA, plaintext), "malformed", 2)
        add("data-length-17", "too short to hold anything", "SEAL-1", wire + frame(DATA, bytes(17)), "malformed", 1)
        sealer, wire = self.begin()
        add(
            "end-with-content",
            "END that holds a byte",
            "SEAL-7",
            wire + sealer.seal_raw(END, b"\x00\x01a"),
            "malformed",
            2,
        )
        sealer, wire = self.begin()
        add("error-empty", "ERROR without content", "SEAL-7", wire + sealer.seal_raw(ERROR, bytes(2)), "malformed", 2)
        sealer, wire = self.begin()
        parts = b"".join(sealer.seal(Plain(DATA, bytes(60))) for _ in range(3))
        add(
            "content-limit", "content beyond the client's limit", "LIMIT-1", wire + parts,
            "too large", 3, bytes(60), limits={"response_content": 100},
        )  # fmt: skip
        sealer, wire = self.begin()
        parts = b"".join(sealer.seal(Plain(DATA, b"", 978)) for _ in range(5))
        add(
            "wire-limit", "cover frames beyond the client's limit", "LIMIT-1 ORDER-8", wire + parts,
            "too large", 1 + (3_000 - len(wire)) // 1000, limits={"response_wire": 3_000},
        )  # fmt: skip

    def _heads(self) -> None:
        good = {1: b"\x00\xc8", 3: EXCHANGE_ID}
        for name, requirements, changes in (
            ("no-status", "HEAD-4", {1: None}), ("no-exchange-id", "HEAD-4", {3: None}),
            ("status-199", "HEAD-4", {1: b"\x00\xc7"}), ("status-600", "HEAD-4", {1: b"\x02\x58"}),
            ("status-1-byte", "HEAD-4", {1: b"\xc8"}), ("other-exchange", "HEAD-6", {3: seed("other", 16)}),
            ("unknown-09", "HEAD-2", {9: b""}), ("retry-after-3", "HEAD-4", {4: bytes(3)}),
            ("protection-flag-8", "HEAD-4", {5: b"\x08"}), ("platform-33", "HEAD-4", {5: b"\x07" + b"a" * 33}),
            ("content-type-crlf", "HEAD-3", {2: b"a\r\nb"}), ("tier", "HEAD-4", {7: b"low"}),
            ("header-not-listed", "HEAD-7", {8: encode_headers(((b"set-cookie", b"a"),))}),
        ):  # fmt: skip
            tags: dict[int, bytes | None] = {**good, **changes}
            content = encode_tlvs([(tag, value) for tag, value in tags.items() if value is not None])
            sealer, wire = self.begin(content)
            wire += sealer.seal(Plain(DATA, ANSWER)) + sealer.seal(Plain(END, b""))
            self.add("head-" + name, "HEAD of a response", requirements, wire, "malformed", 1)

    def _errors(self) -> None:
        for name, code in ERROR_CODES.items():
            detail = NOW.to_bytes(8, "big") if name == "time" else b""
            wire = self.accept + self.case.gateway().seal(Plain(ERROR, bytes([code]) + detail))
            self.add(f"error-{code}", f"ERROR({name})", "", wire, f"error:{name}", 1)
        for name, content in (("unknown", b"\xc8"), ("unknown-with-detail", b"\xc8abc")):
            wire = self.accept + self.case.gateway().seal(Plain(ERROR, content))
            self.add(f"error-{name}", "a code that does not exist", "ERR-1", wire, "error:internal", 1)
        for name, content in (("detail", b"\x06x"), ("time-7", b"\x03" + bytes(7))):
            wire = self.accept + self.case.gateway().seal(Plain(ERROR, content))
            self.add(f"error-{name}", "detail that the table does not have", "ERR-2", wire, "malformed", 1)
        for name, code in REJECT_CODES.items():
            self.add(
                f"reject-code-{code}", f"REJECT({name})", "ERR-3", frame(REJECT, bytes([code])), f"reject:{name}", 0
            )
        self.add("reject-code-99", "a code that does not exist", "ERR-3", frame(REJECT, b"\x63"), "reject:unknown", 0)
        self.add(
            "reject-then-bytes",
            "a byte after REJECT over HTTP",
            "ORDER-5",
            frame(REJECT, b"\x03") + b"\x00",
            "malformed",
            0,
        )


# --- Key sets ------------------------------------------------------------------------------


def key_sets() -> list[Vector]:
    made: list[Vector] = []
    public = hpke.derive_key_pair(hpke.P256, seed("recipient 0x0010")).public

    def record(**changes: Any) -> bytes:
        return encode_record(
            **{"kem": hpke.P256, "public_key": public, "not_before": BEFORE, "not_after": AFTER, **changes}
        )

    def signed(encoded: bytes) -> Signed:
        return Signed(encoded, IDENTITY.sign(encoded))

    def add(
        name: str,
        description: str,
        requirements: str,
        key_set: KeySet | bytes | str,
        expect: str = "refused",
        chosen: bytes = b"",
        **more: Any,
    ) -> None:
        vector = {
            **_top("key-set", "keys-" + name, description, requirements),
            "suite": {"kem": hpke.P256, "kdf": hpke.HKDF_SHA256, "aead": hpke.AES_256_GCM},
            "clock": NOW,
            "pin": pin_of(IDENTITY.public),
            **more,
            "expect": expect,
        }
        if isinstance(key_set, str):
            vector["json"] = key_set
        else:
            vector["key_set"] = (key_set if isinstance(key_set, bytes) else key_set.encode()).hex()
        if chosen:
            vector["key_id"] = hashlib.sha256(chosen).digest()[:8].hex()
        made.append(vector)

    def one(encoded: bytes) -> KeySet:
        return KeySet(IDENTITY.public, (signed(encoded),))

    good = record()
    hybrid = record(
        kem=hpke.MLKEM768_P256, public_key=hpke.derive_key_pair(hpke.MLKEM768_P256, seed("recipient 0x0050")).public
    )
    foreign = record(kem=0x7777, public_key=seed("key of an unknown kem", 48))
    newer = record(not_before=BEFORE + 1)
    usable = "usable"
    add("one", "one record", "", one(good), usable, good)
    add("json", "one record as JSON", "", one(good).to_json(), usable, good)
    extra = one(good).to_json().replace('"version": 1', '"more": [], "version": 1')
    add("json-extra", "an unknown member", "", extra, usable, good)
    add(
        "unknown-kem-first",
        "a record of a kem that the client does not know",
        "REC-3",
        KeySet(IDENTITY.public, (signed(foreign), signed(good))),
        usable,
        good,
    )
    add(
        "hybrid-beside",
        "records of two kems",
        "SUITE-1",
        KeySet(IDENTITY.public, (signed(hybrid), signed(good))),
        usable,
        good,
    )
    wanted = {"kem": hpke.MLKEM768_P256, "kdf": hpke.HKDF_SHA256, "aead": hpke.AES_256_GCM}
    add(
        "hybrid-wanted",
        "the hybrid record is chosen",
        "SUITE-1",
        KeySet(IDENTITY.public, (signed(good), signed(hybrid))),
        usable,
        hybrid,
        suite=wanted,
    )
    add("hybrid-missing", "no record of the wanted suite", "SUITE-1", one(good), suite=wanted)
    add(
        "latest",
        "the latest not_before is chosen",
        "TRUST-3",
        KeySet(IDENTITY.public, (signed(newer), signed(good))),
        usable,
        newer,
    )
    two = record(ciphers=((3, 3), (hpke.HKDF_SHA256, hpke.AES_256_GCM)))
    add("two-ciphers", "a record that offers more", "", one(two), usable, two)
    add("other-cipher", "a record that offers something else", "SUITE-1", one(record(ciphers=((3, 3),))))
    add(
        "no-clock",
        "a client without a clock takes an expired record",
        "TIME-1",
        one(record(not_after=NOW - 1)),
        usable,
        record(not_after=NOW - 1),
        clock=None,
    )
    add("at-not-after", "the first moment that is too late", "TIME-1", one(good), clock=AFTER)
    add("before-not-after", "the last moment", "TIME-1", one(good), usable, good, clock=AFTER - 1)
    add("too-early", "one millisecond before the skew", "TIME-1", one(good), clock=BEFORE - 300_001)
    add("early", "the skew", "TIME-1", one(good), usable, good, clock=BEFORE - 300_000)
    other = Identity(hpke.P256Key.derive(seed("another identity")).secret)
    add(
        "other-identity",
        "not the pinned identity",
        "TRUST-2",
        KeySet(other.public, (Signed(good, other.sign(good)),)),
        "untrusted",
    )
    add(
        "other-signer",
        "signed by another identity",
        "REC-1",
        KeySet(IDENTITY.public, (Signed(good, other.sign(good)),)),
    )
    add(
        "one-bad-of-two",
        "a good record beside one that somebody else signed",
        "REC-4",
        KeySet(IDENTITY.public, (signed(good), Signed(newer, other.sign(newer)))),
    )
    evidence = one(good).to_json().replace('"signature":', '"evidence": "AAEC", "signature":')
    add("json-evidence", "evidence, which a client that pins does not ask for", "", evidence, usable, good)
    mark = bytearray(IDENTITY.sign(good))
    mark[40] ^= 1
    add("signature-changed", "one bit of a signature", "REC-1", KeySet(IDENTITY.public, (Signed(good, bytes(mark)),)))
    changed = bytearray(good)
    changed[-9] ^= 1
    add(
        "record-changed",
        "one bit of a record",
        "REC-1",
        KeySet(IDENTITY.public, (Signed(bytes(changed), IDENTITY.sign(good)),)),
    )
    bare = IDENTITY.secret  # a signature without the label
    r, s = decode_dss_signature(bare.sign(good, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    add(
        "signature-without-label",
        "the record alone is signed",
        "REC-1",
        KeySet(IDENTITY.public, (Signed(good, r.to_bytes(32, "big") + s.to_bytes(32, "big")),)),
    )
    add("signature-zero", "r = s = 0", "REC-1", KeySet(IDENTITY.public, (Signed(good, bytes(64)),)))
    add("version-2", "a record of version 2", "REC-2", one(record(version=2)))
    add("no-ciphers", "n = 0", "REC-2", one(record(ciphers=())))
    add("pk-length", "public key of 64 bytes", "REC-2", one(record(public_key=public[:-1])))
    add("never-valid", "not_after = not_before", "REC-2", one(record(not_after=BEFORE)))
    add("max-frame-1023", "max_frame below 1024", "REC-2", one(record(max_frame=1023)))
    add("record-left-over", "a byte left over", "REC-2", one(good + b"\x00"))
    add("record-cut", "a byte missing", "REC-2", one(good[:-1]))
    add("set-left-over", "a byte after the key set", "", one(good).encode() + b"\x00")
    add("set-cut", "a byte of the key set missing", "", one(good).encode()[:-1])
    add("set-empty", "no records", "", KeySet(IDENTITY.public, ()))
    add("json-version-2", "a key set of version 2", "", one(good).to_json().replace('"version": 1', '"version": 2'))
    document = json.loads(one(good).to_json())
    add("json-array", "an array in place of the document", "REC-5", json.dumps(list(document.values())))
    keys = [list(key.values()) for key in document["keys"]]
    add("json-key-array", "an array in place of a key", "REC-5", json.dumps({**document, "keys": keys}))
    text = one(good).to_json()
    twice = text.replace('"version": 1', '"version": 1, "version": 1')
    add("json-twice", "the version twice, the same both times", "REC-5", twice)
    twice = text.replace('"keys": [', '"keys": [], "key\\u0073": [')
    add("json-keys-twice", "two lists of keys, one under an escaped name", "REC-5", twice)
    twice = text.replace('"record":', '"record": "AAEC", "record":')
    add("json-record-twice", "two records in a key", "REC-5", twice)
    twice = text.replace('"version": 1', '"x": {"keys": 1, "keys": 2}, "x": 0, "version": 1')
    add("json-unknown-twice", "unknown members twice, and a known name within one", "REC-5", twice, usable, good)
    null = text.replace('"signature":', '"evidence": null, "signature":')
    add("json-evidence-null", "evidence that is null", "REC-5", null)
    assert text.count("==") == 1  # the signature's
    bits = text[text.index("==") - 1]
    assert bits in "AQgw"
    loose = text.replace(bits + "==", chr(ord(bits) + 1) + "==")
    add("json-base64-bits", "base64 with unused bits that are not zero", "REC-5", loose)
    urlsafe = one(good).to_json().replace("+", "-").replace("/", "_")
    add("json-urlsafe", "the wrong alphabet of base64", "", urlsafe)
    add("json-no-padding", "base64 without padding", "", one(good).to_json().replace("=", ""))
    return made


def cobs_vectors() -> list[Vector]:
    def vector(name: str, description: str, packet: bytes, expect: str) -> Vector:
        return {**_top("cobs", "cobs-" + name, description, "RAW-1"), "packet": packet.hex(), "expect": expect}

    accept = frame(ACCEPT, bytes(32))
    long = frame(DATA, seed("cobs", 900).replace(b"\0", b"\1"))
    ask = frame(KEYS_REQUEST, b"\x01")
    bare = frame(DATA, bytes(range(1, 254)))
    return [
        vector("accept", "a frame of zeros", cobs.encode(accept)[:-1], accept.hex()),
        vector("long", "runs longer than 254", cobs.encode(long)[:-1], long.hex()),
        vector("two-frames", "two frames in a packet", cobs.encode(ask + ask)[:-1], "malformed"),
        vector("cut-frame", "a frame without its last byte", cobs.encode(ask[:-1])[:-1], "malformed"),
        vector("short", "less than a header", cobs.encode(b"\x01\x00")[:-1], "malformed"),
        vector("empty", "nothing between two zero bytes", b"", "ignored"),
        vector("last-piece-bare", "254 bytes without a rest", b"\x02\x11\x01\xff" + bare[3:], bare.hex()),
        vector("run-too-long", "a code that points past the end", b"\x09\x01\x01", "malformed"),
    ]


def all_vectors() -> list[Vector]:
    assert LONGEST_OPEN == 1168
    return [*exchanges(), *Requests().all(), *Responses().all(), *key_sets(), *cobs_vectors()]
