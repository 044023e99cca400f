"""Fixed inputs, and what every vector is made of."""

from __future__ import annotations

import hashlib
from typing import Any

from .. import hpke
from ..exchange import ResponseWriter
from ..frames import OPEN, Plain, frame
from ..heads import RequestHead, ResponseHead
from ..keys import Identity, decode_record, encode_record
from ..sealing import P256_SUITE, Sealer, Secrets, Suite, open_header, request_info
from ..vectors import FORMAT, Vector

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


def top(kind: str, name: str, description: str, requirements: str = "") -> Vector:
    return {
        "format": FORMAT,
        "kind": kind,
        "name": name,
        "description": description,
        "requirements": requirements.split(),
    }


def plain(frames_: list[Plain]) -> list[Vector]:
    return [{"type": f.kind, "content": f.content.hex(), "padding": f.padding} for f in frames_]
