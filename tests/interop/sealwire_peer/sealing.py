"""Section 2.1 and 4: key derivation, and one direction of sealed frames."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import hpke
from .errors import Malformed, ProtocolError, Undecryptable
from .frames import CANCEL, DATA, END, SEALED, SMALLEST_SEALED, Frame, Plain

MOST_FRAMES = 1 << 32


@dataclass(frozen=True)
class Suite:
    kem: int
    kdf: int = hpke.HKDF_SHA256
    aead: int = hpke.AES_256_GCM

    def encode(self) -> bytes:
        return b"".join(n.to_bytes(2, "big") for n in (self.kem, self.kdf, self.aead))


P256_SUITE = Suite(hpke.P256)
HYBRID_SUITE = Suite(hpke.MLKEM768_P256)
SUITES = (P256_SUITE, HYBRID_SUITE)


def open_header(suite: Suite, key_id: bytes, version: int = 1) -> bytes:
    return bytes([version]) + suite.encode() + key_id


@dataclass(frozen=True)
class Secrets:
    request_key: bytes
    request_nonce: bytes
    response_secret: bytes

    @classmethod
    def derive(cls, suite: Suite, shared: bytes, info: bytes) -> Secrets:
        context = hpke.key_schedule(suite.kem, suite.kdf, hpke.EXPORT_ONLY, shared, info)
        return cls(
            context.export(b"sealwire/1 request key", 32),
            context.export(b"sealwire/1 request nonce", 12),
            context.export(b"sealwire/1 response", 32),
        )

    def response(self, enc: bytes, response_nonce: bytes) -> tuple[bytes, bytes]:
        prk = hpke.hkdf_extract(enc + response_nonce, self.response_secret)
        return (
            hpke.hkdf_expand(prk, b"sealwire/1 response key", 32),
            hpke.hkdf_expand(prk, b"sealwire/1 response nonce", 12),
        )


def request_info(header: bytes) -> bytes:
    return b"sealwire/1 request" + header


class _Direction:
    def __init__(self, key: bytes, base: bytes) -> None:
        self._cipher = AESGCM(key)
        self._base = int.from_bytes(base, "big")
        self.sequence = 0

    def _nonce(self) -> bytes:
        return (self._base ^ self.sequence).to_bytes(12, "big")


class Sealer(_Direction):
    def seal(self, plain: Plain) -> bytes:
        zeros = bytes(plain.padding)
        return self.seal_raw(plain.kind, len(plain.content).to_bytes(2, "big") + plain.content + zeros)

    def seal_raw(self, kind: int, plaintext: bytes) -> bytes:
        """Seals any plaintext, also one that no receiver may accept: vectors need those."""
        if self.sequence >= MOST_FRAMES:
            raise OverflowError("direction is used up")
        header = bytes([kind]) + (len(plaintext) + 16).to_bytes(3, "big")
        body = self._cipher.encrypt(self._nonce(), plaintext, header)
        self.sequence += 1
        return header + body


class Opener(_Direction):
    """Opens frames in order. After the first failure nothing more is opened (SEAL-3)."""

    def __init__(self, key: bytes, base: bytes) -> None:
        super().__init__(key, base)
        self.poisoned = False

    def poison(self) -> None:
        self.poisoned = True

    def open(self, frame: Frame) -> bytes:
        if self.poisoned:
            raise Malformed("direction is poisoned")
        try:
            content = self._open(frame)
        except ProtocolError:
            self.poisoned = True
            raise
        return content

    def _open(self, frame: Frame) -> bytes:
        if frame.kind not in SEALED or len(frame.body) < SMALLEST_SEALED:
            raise Malformed("not a sealed frame")
        if self.sequence >= MOST_FRAMES:
            raise Malformed("direction is used up")  # SEAL-6
        try:
            plaintext = self._cipher.decrypt(self._nonce(), frame.body, frame.header)
        except InvalidTag as error:
            raise Undecryptable(f"frame {self.sequence} does not verify") from error
        self.sequence += 1
        length = int.from_bytes(plaintext[:2], "big")
        content, zeros = plaintext[2 : 2 + length], plaintext[2 + length :]
        if len(content) != length:
            raise Malformed("content length exceeds the frame")
        if any(zeros):
            raise Malformed("padding is not zero")
        if frame.kind in (END, CANCEL) and content:
            raise Malformed("END and CANCEL are empty")
        if frame.kind not in (END, CANCEL, DATA) and not content:
            raise Malformed("HEAD and ERROR are not empty")
        return content
