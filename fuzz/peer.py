"""The independent Python peer behind a pipe, for the fuzz target `peer`.

Reads requests `length u32 | kind u8 | payload` from standard input and answers `length u32 | text` on standard output. Its cryptography
is taken out as the Rust side's is (`fuzz/src/null.rs`): agreeing on a key always works for a point of the right shape, and a tag
verifies if it is zero. What is left is what the two implementations can disagree about.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/interop"))

from sealwire_peer import cobs, exchange, heads, hpke, keys  # noqa: E402
from sealwire_peer.errors import ProtocolError, Undecryptable  # noqa: E402
from sealwire_peer.sealing import Opener, Secrets  # noqa: E402

NO_SECRETS = Secrets(bytes(32), bytes(12), bytes(32))
CLOCK = 1_800_000_000_000


class NullCipher:
    def decrypt(self, _nonce: bytes, body: bytes, _header: bytes) -> bytes:
        if any(body[-16:]):
            raise Undecryptable("the tag is not zero")
        return body[:-16]


class NullOpener(Opener):
    def __init__(self, key: bytes, base: bytes) -> None:
        super().__init__(key, base)
        self._cipher = NullCipher()


class NullKey:
    def __init__(self, kem: int, public: bytes) -> None:
        self.kem, self.public = kem, public

    def decap(self, enc: bytes) -> bytes:
        if self.kem == hpke.P256 and enc[0] != 4:
            raise hpke.KemError("not a point")
        return bytes(32)


exchange.Opener = NullOpener
Secrets.derive = classmethod(lambda cls, suite, shared, info: NO_SECRETS)
held: list[exchange.HeldKey] = []


def set_keys(body: bytes) -> str:
    for signed in keys.decode_key_set(body).keys:
        record = keys.decode_record(signed.record)
        assert record
        held.append(exchange.HeldKey(record, NullKey(record.kem, record.public_key)))
    return "ok"


def request(payload: bytes) -> str:
    """A gateway's view: flags u8, then the wire."""
    gateway = exchange.Gateway(held, clock=lambda: CLOCK)
    end = exchange.GatewayExchange(gateway, http=payload[0] == 0)
    end.feed(payload[1:])
    end.finish()
    if end.keys_wanted:
        return "keys"
    if end.refusal:
        return end.refusal.name
    if end.head is None:
        return "nothing"
    return f"complete {bytes(end.body).hex()}"


def response(payload: bytes) -> str:
    """A client's view: flags u8, exchange id, then the wire."""
    limits = exchange.Limits(response_content=1 << 20, response_wire=1 << 20)
    end = exchange.ResponseReceiver(
        NO_SECRETS, b"", payload[1:17], exchange.DEFAULTS.frame, http=payload[0] == 0, limits=limits
    )
    body = b""
    try:
        for piece in end.feed(payload[17:]):
            body += piece
        outcome = end.finish().name
    except ProtocolError as error:
        outcome = error.name
    return f"{outcome} {body.hex()}"


def word(value: object) -> str:
    return "-" if value is None else str(value)


def headers(pairs: heads.Headers) -> str:
    return ",".join(f"{name.decode()}={value.decode()}" for name, value in pairs)


def request_head(content: bytes) -> str:
    head = heads.RequestHead.decode(content)
    parts = (
        head.method,
        head.path,
        word(head.content_type),
        word(head.authorization),
        word(head.tier),
        head.exchange_id.hex(),
        word(head.idempotency_key),
        head.time,
        head.max_frame,
        word(head.padding),
        headers(head.headers),
    )
    return "\n".join(map(str, parts))


def response_head(content: bytes) -> str:
    head = heads.ResponseHead.decode(content)
    protection = head.protection and f"{head.protection[0]} {head.protection[1]}"
    parts = (
        head.status,
        word(head.content_type),
        head.exchange_id.hex(),
        word(head.retry_after),
        word(protection),
        word(head.processed_at),
        word(head.tier),
        headers(head.headers),
    )
    return "\n".join(map(str, parts))


def record(encoded: bytes) -> str:
    record = keys.decode_record(encoded)
    if record is None:
        return "unknown"
    ours = any((kdf, aead) == (1, 2) for kdf, aead in record.ciphers)
    kem = record.kem if ours else "-"
    return f"{kem} {record.not_before} {record.not_after} {record.max_frame} {record.max_request}"


def key_set(body: bytes) -> str:
    found = keys.decode_key_set(body)
    return " ".join([found.identity.hex(), *(key.record.hex() + key.signature.hex() for key in found.keys)])


def packet(encoded: bytes) -> str:
    return cobs.frame_in(encoded).hex()


KINDS = {0: set_keys, 1: request, 2: response, 3: request_head, 4: response_head, 5: record, 6: key_set, 7: packet}


def answer(kind: int, payload: bytes) -> str:
    try:
        return KINDS[kind](payload)
    except ProtocolError:
        return "refused"


def main() -> None:
    take, put = sys.stdin.buffer, sys.stdout.buffer
    while header := take.read(5):
        text = answer(header[4], take.read(int.from_bytes(header[:4], "big"))).encode()
        put.write(len(text).to_bytes(4, "big") + text)
        put.flush()


if __name__ == "__main__":
    main()
