"""Section 5: identity, key records and key sets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from . import hpke
from .errors import Refused, Untrusted
from .sealing import Suite

SKEW = 300_000
# What the length of a record in KEYS can say (REC-5), and how many records this peer reads.
MAX_RECORD = 65_535
MAX_RECORDS = 64
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_LABEL = b"sealwire/1 key record\x00"


def pin_of(identity: bytes) -> str:
    return "sha256:" + hashlib.sha256(_SPKI + identity).hexdigest()


@dataclass(frozen=True)
class Record:
    encoded: bytes
    kem: int
    ciphers: tuple[tuple[int, int], ...]
    public_key: bytes
    not_before: int
    not_after: int
    max_frame: int
    max_request: int

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.encoded).digest()[:8]

    def suites(self) -> list[Suite]:
        return [Suite(self.kem, kdf, aead) for kdf, aead in self.ciphers]

    def usable_by_client(self, now: int | None) -> bool:
        return now is None or self.not_before - SKEW <= now < self.not_after

    def usable_by_gateway(self, now: int) -> bool:
        return now < self.not_after + SKEW


def encode_record(
    kem: int,
    public_key: bytes,
    not_before: int,
    not_after: int,
    max_frame: int = 16404,
    max_request: int = 10 * 1024 * 1024,
    ciphers: tuple[tuple[int, int], ...] = ((hpke.HKDF_SHA256, hpke.AES_256_GCM),),
    version: int = 1,
) -> bytes:
    out = bytes([version]) + kem.to_bytes(2, "big") + bytes([len(ciphers)])
    for kdf, aead in ciphers:
        out += kdf.to_bytes(2, "big") + aead.to_bytes(2, "big")
    out += len(public_key).to_bytes(2, "big") + public_key
    out += not_before.to_bytes(8, "big") + not_after.to_bytes(8, "big")
    return out + max_frame.to_bytes(4, "big") + max_request.to_bytes(4, "big")


def decode_record(encoded: bytes) -> Record | None:
    """The record; None if its kem is not known (REC-3)."""
    try:
        cursor = _Cursor(encoded)
        if cursor.number(1) != 1:
            raise Refused("record of another version")
        kem, count = cursor.number(2), cursor.number(1)
        ciphers = tuple((cursor.number(2), cursor.number(2)) for _ in range(count))
        public_key = cursor.take(cursor.number(2))
        before, after, frame, request = (cursor.number(n) for n in (8, 8, 4, 4))
        cursor.done()
    except _Short as error:
        raise Refused("record has the wrong length") from error
    if count == 0 or after <= before or frame < 1024:
        raise Refused("record holds a value out of range")
    if kem not in hpke.KEMS:
        return None
    if len(public_key) != hpke.KEMS[kem].public_length:
        raise Refused("public key has the wrong length")
    return Record(encoded, kem, ciphers, public_key, before, after, frame, request)


@dataclass
class Identity:
    secret: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> bytes:
        return hpke.point(self.secret.public_key())

    def sign(self, record: bytes) -> bytes:
        der = self.secret.sign(_LABEL + record, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(identity: bytes, record: bytes, signature: bytes) -> None:
    try:
        key = hpke.read_point(identity)
        if len(signature) != 64:
            raise Refused("signature has the wrong length")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        key.verify(encode_dss_signature(r, s), _LABEL + record, ec.ECDSA(hashes.SHA256()))
    except (hpke.KemError, InvalidSignature) as error:
        raise Refused("signature of a record does not verify") from error


@dataclass(frozen=True)
class Signed:
    record: bytes
    signature: bytes


@dataclass(frozen=True)
class KeySet:
    identity: bytes
    keys: tuple[Signed, ...]

    def encode(self) -> bytes:
        out = self.identity + bytes([len(self.keys)])
        for key in self.keys:
            out += len(key.record).to_bytes(2, "big") + key.record + key.signature
        return out

    def to_json(self) -> str:
        def text(data: bytes) -> str:
            return base64.b64encode(data).decode()

        keys = [{"record": text(k.record), "signature": text(k.signature)} for k in self.keys]
        return json.dumps({"version": 1, "identity": text(self.identity), "keys": keys})

    def check(self, pin: str | None) -> list[Record]:
        """The records that may be used. `pin=None` is the explicit choice to trust any identity."""
        if pin is not None and pin_of(self.identity) != pin:
            raise Untrusted(f"gateway is {pin_of(self.identity)}, expected {pin}")
        records = []
        for key in self.keys:
            verify(self.identity, key.record, key.signature)
            record = decode_record(key.record)
            if record is not None:
                records.append(record)
        return records


def choose(records: list[Record], suite: Suite, now: int | None) -> Record:
    fitting = [r for r in records if suite in r.suites() and r.usable_by_client(now)]
    if not fitting:
        raise Refused("no valid key of the wanted suite")
    return max(fitting, key=lambda record: record.not_before)


def decode_key_set(body: bytes) -> KeySet:
    try:
        cursor = _Cursor(body)
        identity, count = cursor.take(65), cursor.number(1)
        keys = tuple(Signed(cursor.take(cursor.number(2)), cursor.take(64)) for _ in range(count))
        cursor.done()
    except _Short as error:
        raise Refused("key set has the wrong length") from error
    return _bounded(KeySet(identity, keys))


def _bounded(key_set: KeySet) -> KeySet:
    if len(key_set.keys) > MAX_RECORDS:
        raise Refused("key set has too many records")
    if any(len(key.record) > MAX_RECORD for key in key_set.keys):
        raise Refused("record is longer than KEYS can say")
    return key_set


class _Object(dict[str, Any]):
    """A JSON object, and which of its members stand in it more than once (REC-5)."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = {name for name in names if names.count(name) > 1} if len(self) < len(names) else set()


def _integer(text: str) -> int | None:
    """None for one of which only the length is known to matter: int() raises on thousands of digits."""
    return int(text) if len(text) < 20 else None


def key_set_from_json(text: str | bytes) -> KeySet:
    def binary(owner: dict[str, Any], name: str) -> bytes:
        value = owner[name]
        if not isinstance(value, str):
            raise Refused(f"{name} is not text")
        data = base64.b64decode(value, validate=True)
        if base64.b64encode(data).decode() != value:
            raise Refused(f"{name} is not the base64 of what it says")
        return data

    def signed(key: dict[str, Any]) -> Signed:
        if "evidence" in key:
            binary(key, "evidence")  # of no use here, but it has its form
        return Signed(binary(key, "record"), binary(key, "signature"))

    try:
        if isinstance(text, bytes):
            text = text.decode()
        # Members that are ignored may hold anything (REC-5). This parser cannot look past deep nesting, and refuses it.
        top = json.loads(text, object_pairs_hook=_Object, parse_int=_integer)
        if not isinstance(top, dict) or not isinstance(top["keys"], list):
            raise Refused("key set is no object with a list of keys")
        if not all(isinstance(key, dict) for key in top["keys"]):
            raise Refused("key is no object")
        objects = [(top, {"version", "identity", "keys"})]
        objects += [(key, {"record", "signature", "evidence"}) for key in top["keys"]]
        if any(found.twice & names for found, names in objects):
            raise Refused("a member of the key set stands twice")
        if type(top["version"]) is not int or top["version"] != 1:
            raise Refused("key set of another version")
        keys = tuple(signed(key) for key in top["keys"])
        return _bounded(KeySet(binary(top, "identity"), keys))
    except (KeyError, TypeError, ValueError, binascii.Error, RecursionError) as error:
        raise Refused("key set does not parse") from error


class _Short(Exception):
    pass


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, length: int) -> bytes:
        part = self._data[self._at : self._at + length]
        if len(part) != length:
            raise _Short
        self._at += length
        return part

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def done(self) -> None:
        if self._at != len(self._data):
            raise _Short
