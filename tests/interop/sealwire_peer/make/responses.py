"""Responses that a client refuses, or that are refusals."""

from __future__ import annotations

from typing import Any

from ..errors import ERROR_CODES, REJECT_CODES
from ..frames import ACCEPT, CANCEL, DATA, END, ERROR, HEAD, REJECT, Plain, frame
from ..heads import encode_headers, encode_tlvs
from ..sealing import Sealer
from ..vectors import Vector
from .case import ANSWER, EXCHANGE_ID, MAX_FRAME, NONCE, NOW, Case, request_head, response_head, seed, top


class Responses:
    def __init__(self, case: Case, prefix: str = "response-") -> None:
        self.case = case
        self.prefix = prefix
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
                **top("refusal", self.prefix + name, description, requirements),
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

    def hybrid(self) -> list[Vector]:
        """What the other suite changes: the keys."""
        self._sealed()
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
