"""HPKE base mode, export only: RFC 9180, and MLKEM768-P256 of draft-ietf-hpke-pq."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, mlkem

P256 = 0x0010
MLKEM768_P256 = 0x0050
HKDF_SHA256 = 0x0001
AES_256_GCM = 0x0002
EXPORT_ONLY = 0xFFFF

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_POINT = 65


class KemError(Exception):
    """A public key or encapsulation that does not decode."""


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out += block
        counter += 1
    return out[:length]


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    numbers = key.public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def read_point(encoded: bytes) -> ec.EllipticCurvePublicKey:
    """Uncompressed SEC 1 only; the library checks that the point is on the curve."""
    if len(encoded) != _POINT or encoded[0] != 4:
        raise KemError("not an uncompressed P-256 point")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)
    except ValueError as error:
        raise KemError("point is not on the curve") from error


def scalar_key(scalar: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(scalar, ec.SECP256R1())


class PrivateKey(Protocol):
    kem: int

    @property
    def public(self) -> bytes: ...

    def decap(self, enc: bytes) -> bytes: ...


# --- DHKEM(P-256, HKDF-SHA256) -------------------------------------------------------------


def _kem_suite(kem: int) -> bytes:
    return b"KEM" + kem.to_bytes(2, "big")


def _dh_secret(dh: bytes, enc: bytes, recipient: bytes) -> bytes:
    suite = _kem_suite(P256)
    prk = labeled_extract(suite, b"", b"eae_prk", dh)
    return labeled_expand(suite, prk, b"shared_secret", enc + recipient, 32)


@dataclass
class P256Key:
    secret: ec.EllipticCurvePrivateKey

    kem = P256

    @property
    def public(self) -> bytes:
        return point(self.secret.public_key())

    def decap(self, enc: bytes) -> bytes:
        dh = self.secret.exchange(ec.ECDH(), read_point(enc))
        return _dh_secret(dh, enc, self.public)

    @classmethod
    def derive(cls, ikm: bytes) -> P256Key:
        suite = _kem_suite(P256)
        prk = labeled_extract(suite, b"", b"dkp_prk", ikm)
        for counter in range(256):
            candidate = labeled_expand(suite, prk, b"candidate", bytes([counter]), 32)
            scalar = int.from_bytes(candidate, "big")
            if 0 < scalar < _ORDER:
                return cls(scalar_key(scalar))
        raise KemError("no candidate in range")


def _p256_encap(public: bytes, ephemeral: P256Key) -> tuple[bytes, bytes]:
    dh = ephemeral.secret.exchange(ec.ECDH(), read_point(public))
    return _dh_secret(dh, ephemeral.public, public), ephemeral.public


# --- MLKEM768-P256 -------------------------------------------------------------------------

_EK, _CT, _LABEL = 1184, 1088, b"MLKEM768-P256"


def _combine(pq: bytes, dh: bytes, ct_t: bytes, ek_t: bytes) -> bytes:
    return hashlib.sha3_256(pq + dh + ct_t + ek_t + _LABEL).digest()


@dataclass
class HybridKey:
    seed: bytes

    kem = MLKEM768_P256

    def __post_init__(self) -> None:
        full = hashlib.shake_256(self.seed).digest(64 + 128)
        self._pq = mlkem.MLKEM768PrivateKey.from_seed_bytes(full[:64])
        for start in range(64, 192, 32):
            scalar = int.from_bytes(full[start : start + 32], "big")
            if 0 < scalar < _ORDER:
                break
        else:
            raise KemError("no scalar in range")
        self._dh = scalar_key(scalar)
        self._point = point(self._dh.public_key())
        self.public = self._pq.public_key().public_bytes_raw() + self._point

    def decap(self, enc: bytes) -> bytes:
        if len(enc) != _CT + _POINT:
            raise KemError("wrong length of enc")
        ct_pq, ct_t = enc[:_CT], enc[_CT:]
        dh = self._dh.exchange(ec.ECDH(), read_point(ct_t))
        return _combine(self._pq.decapsulate(ct_pq), dh, ct_t, self._point)

    @classmethod
    def derive(cls, ikm: bytes) -> HybridKey:
        label = b"DeriveKeyPair"
        labeled = ikm + b"HPKE-v1" + _kem_suite(MLKEM768_P256)
        labeled += len(label).to_bytes(2, "big") + label + (32).to_bytes(2, "big")
        return cls(hashlib.shake_256(labeled).digest(32))


def encap_derand(public: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    """(shared secret, enc) of the hybrid from its 64 random bytes: m of ML-KEM, and the ephemeral scalar. For
    vectors only: `cryptography` does not take m, so ML-KEM is that of another library here."""
    from kyber_py.ml_kem import ML_KEM_768

    ek_pq, ek_t = public[:_EK], public[_EK:]
    shared, ct_pq = ML_KEM_768._encaps_internal(ek_pq, randomness[:32])
    ephemeral = P256Key(scalar_key(int.from_bytes(randomness[32:], "big")))
    dh = ephemeral.secret.exchange(ec.ECDH(), read_point(ek_t))
    return _combine(shared, dh, ephemeral.public, ek_t), ct_pq + ephemeral.public


def _hybrid_encap(public: bytes, ephemeral: P256Key) -> tuple[bytes, bytes]:
    ek_pq, ek_t = public[:_EK], public[_EK:]
    peer = read_point(ek_t)
    try:
        key = mlkem.MLKEM768PublicKey.from_public_bytes(ek_pq)
    except ValueError as error:
        raise KemError("ML-KEM key does not decode") from error
    shared, ct_pq = key.encapsulate()
    dh = ephemeral.secret.exchange(ec.ECDH(), peer)
    return _combine(shared, dh, ephemeral.public, ek_t), ct_pq + ephemeral.public


# --- What the rest of the package uses -----------------------------------------------------


@dataclass(frozen=True)
class Kem:
    name: str
    enc_length: int
    public_length: int


KEMS = {
    P256: Kem("DHKEM(P-256, HKDF-SHA256)", 65, 65),
    MLKEM768_P256: Kem("MLKEM768-P256", 1153, 1249),
}


def derive_key_pair(kem: int, ikm: bytes) -> PrivateKey:
    return P256Key.derive(ikm) if kem == P256 else HybridKey.derive(ikm)


def generate_key_pair(kem: int) -> PrivateKey:
    return derive_key_pair(kem, os.urandom(64))


def encap(kem: int, public: bytes, ikm_ephemeral: bytes | None = None) -> tuple[bytes, bytes]:
    """(shared secret, enc). With ikm_ephemeral the P-256 share is repeatable: vectors only."""
    if len(public) != KEMS[kem].public_length:
        raise KemError("wrong length of public key")
    ephemeral = P256Key.derive(os.urandom(64) if ikm_ephemeral is None else ikm_ephemeral)
    return _p256_encap(public, ephemeral) if kem == P256 else _hybrid_encap(public, ephemeral)


@dataclass
class Context:
    suite: bytes
    exporter_secret: bytes

    def export(self, context: bytes, length: int) -> bytes:
        return labeled_expand(self.suite, self.exporter_secret, b"sec", context, length)


def key_schedule(kem: int, kdf: int, aead: int, shared: bytes, info: bytes) -> Context:
    """Base mode: mode 0, empty psk and psk_id. Only the exporter secret is kept."""
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (kem, kdf, aead))
    psk_id_hash = labeled_extract(suite, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(suite, b"", b"info_hash", info)
    secret = labeled_extract(suite, shared, b"secret", b"")
    exporter = labeled_expand(suite, secret, b"exp", b"\x00" + psk_id_hash + info_hash, 32)
    return Context(suite, exporter)
