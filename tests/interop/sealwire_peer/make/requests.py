"""Requests that a gateway refuses."""

from __future__ import annotations

from typing import Any

from .. import hpke
from ..frames import ACCEPT, CANCEL, DATA, END, ERROR, HEAD, KEYS_REQUEST, LONGEST_OPEN, OPEN, Plain, frame
from ..heads import encode_headers, encode_tlvs, tlv
from ..sealing import P256_SUITE, Sealer
from ..vectors import Vector
from .case import AFTER, BODY, EXCHANGE_ID, MAX_FRAME, NOW, Case, request_head, seed, top


class Requests:
    def __init__(self, case: Case, prefix: str = "request-") -> None:
        self.case = case
        self.prefix = prefix
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
                **top("refusal", self.prefix + name, description, requirements),
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

    def open(self, name: str, description: str, requirements: str, body: bytes, expect: str, **more: Any) -> None:
        """An OPEN of this body, before what would be right behind a good one."""
        sealer = self.case.client()
        rest = sealer.seal(Plain(HEAD, request_head().encode())) + sealer.seal(Plain(END, b""))
        self.add(name, description, requirements, frame(OPEN, body) + rest, expect, 0, **more)

    def all(self) -> list[Vector]:
        self._frames()
        self._sealed()
        self._opens()
        self._heads()
        self._order()
        self._replay_and_limits()
        return self.made

    def hybrid(self) -> list[Vector]:
        """What the other suite changes: the encapsulated key, and every key that comes from it."""
        self._sealed()
        self._hybrid_opens()
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
        add, body = self.open, self.case.open_body
        self._key_ids()
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

    def _key_ids(self) -> None:
        body = self.case.open_body
        key = body[:7] + bytes([body[7] ^ 1]) + body[8:]
        self.open("open-key", "another key_id", "OPEN-2", key, "reject:key")
        bad = key[:-1] + bytes([key[-1] ^ 1])
        self.open("open-key-not-a-point", "another key_id, and enc is not on the curve", "OPEN-2", bad, "reject:key")

    def _hybrid_opens(self) -> None:
        add, body, other = self.open, self.case.open_body, Case(P256_SUITE).open_body
        self._key_ids()
        add("open-short", "one byte of enc is missing", "OPEN-1 FRAME-5", body[:-1], "reject:malformed")
        add("open-of-p256", "P-256, which this gateway does not offer", "SUITE-2", other, "reject:suite")
        renamed = body[:1] + other[1:3] + body[3:]
        add("open-renamed", "kem of P-256 on an enc of the hybrid", "SUITE-2", renamed, "reject:suite")
        for at, name, description in (
            (15, "first", "one bit of the first byte of ML-KEM's ciphertext"),
            (15 + 1087, "last", "one bit of the last byte of ML-KEM's ciphertext"),
            (15 + 1088, "form", "the point's form is 5"),
            (15 + 1152, "point", "the point is not on the curve"),
        ):
            changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            add(f"open-{name}-changed", description, "ORDER-4", changed, "reject:undecryptable")
        swapped = body[:15] + body[15 + 1088 :] + body[15 : 15 + 1088]
        add("open-swapped", "the point before ML-KEM's ciphertext", "ORDER-4", swapped, "reject:undecryptable")

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
        reasons = (
            ("time-before-full", "outside the window, and a store without room", NOW - 300_001, "error:time", {"detail": clock, "replay_capacity": 0}),
            ("replayed-before-full", "seen before, by a store that is full of it", NOW, "error:replay", {"earlier": [wire.hex()], "replay_capacity": 1}),
        )
        for name, description, time, expect, more in reasons:
            sealer, wire = self.begin(request_head(time=time).encode())
            add(name, description, "REPLAY-7", wire + sealer.seal(Plain(END, b"")), expect, 1, **more)
        sealer, wire = self.begin(request_head(time=0).encode() + tlv(0x0C, b""))
        wire += sealer.seal(Plain(END, b""))
        add("malformed-before-time", "an unknown tag in a HEAD outside the window", "REPLAY-7", wire, "error:malformed", 1, replay_capacity=0)

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
