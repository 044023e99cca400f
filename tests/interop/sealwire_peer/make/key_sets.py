"""Key sets, as bytes and as JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from .. import hpke
from ..keys import Identity, KeySet, Signed, encode_record, pin_of
from ..vectors import Vector
from .case import AFTER, BEFORE, IDENTITY, NOW, seed, top


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
            **top("key-set", "keys-" + name, description, requirements),
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

    def beside(name: str, description: str, requirements: str, other: Signed, *outcome: Any) -> None:
        """Another record and the good one, in both orders: whatever a client thinks of the first, it reads on."""
        add(name + "-first", description, requirements, KeySet(IDENTITY.public, (other, signed(good))), *outcome)
        add(name + "-last", description, requirements, KeySet(IDENTITY.public, (signed(good), other)), *outcome)

    def malformed(whole: bytes, **kem: Any) -> list[tuple[str, str, bytes]]:
        return [
            ("version-2", "a record of version 2", record(**kem, version=2)),
            ("no-ciphers", "n = 0", record(**kem, ciphers=())),
            ("never-valid", "not_after = not_before", record(**kem, not_after=BEFORE)),
            ("max-frame-1023", "max_frame below 1024", record(**kem, max_frame=1023)),
            ("record-left-over", "a byte left over", whole + b"\x00"),
            ("record-cut", "a byte missing", whole[:-1]),
        ]

    good = record()
    hybrid = record(
        kem=hpke.MLKEM768_P256, public_key=hpke.derive_key_pair(hpke.MLKEM768_P256, seed("recipient 0x0050")).public
    )
    unknown = {"kem": 0x7777, "public_key": seed("key of an unknown kem", 48)}
    foreign = record(**unknown)
    newer = record(not_before=BEFORE + 1)
    usable = "usable"
    add("one", "one record", "", one(good), usable, good)
    add("json", "one record as JSON", "", one(good).to_json(), usable, good)
    extra = one(good).to_json().replace('"version": 1', '"more": [], "version": 1')
    add("json-extra", "an unknown member", "", extra, usable, good)
    beside("unknown-kem", "a record of a kem that the client does not know", "REC-3", signed(foreign), usable, good)
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
    add(
        "latest-last",
        "the latest not_before is chosen, though it comes last",
        "TRUST-3",
        KeySet(IDENTITY.public, (signed(good), signed(newer))),
        usable,
        newer,
    )
    # One ends later, the other takes more: neither decides.
    equals = (record(not_after=AFTER + 1), record(max_request=20 << 20))
    for name, (first, second) in (("equals", equals), ("equals-swapped", equals[::-1])):
        both = KeySet(IDENTITY.public, (signed(first), signed(second)))
        add(name, "of two with the same not_before the first is chosen", "TRUST-3", both, usable, first)
    # Both begin later than the good one, and would be chosen if they were valid.
    ended, early = record(not_before=NOW - 1000, not_after=NOW), record(not_before=NOW + 300_001)
    beside("newer-ended", "a newer record that has ended", "TIME-1 TRUST-3", signed(ended), usable, good)
    beside("newer-early", "a newer record whose time has not come", "TIME-1 TRUST-3", signed(early), usable, good)
    two = record(ciphers=((3, 3), (hpke.HKDF_SHA256, hpke.AES_256_GCM)))
    add("two-ciphers", "a record that offers more", "", one(two), usable, two)
    add("other-cipher", "a record that offers something else", "SUITE-1", one(record(ciphers=((3, 3),))))
    # Newer, so that a client that looks at the kem alone would choose it.
    cipher = record(ciphers=((3, 3),), not_before=BEFORE + 1)
    beside("other-cipher", "a newer record that offers something else", "REC-3", signed(cipher), usable, good)
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
    add(
        "one-bad-of-two-first",
        "one that somebody else signed before a good record",
        "REC-4",
        KeySet(IDENTITY.public, (Signed(newer, other.sign(newer)), signed(good))),
    )
    for name, skipped in (("unknown-kem", foreign), ("other-cipher", cipher)):
        description = "a record that would be skipped, signed by another identity"
        beside(name + "-other-signer", description, "REC-1 REC-3 REC-4", Signed(skipped, other.sign(skipped)))
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
    for name, description, bad in malformed(good):
        add(name, description, "REC-2", one(bad))
        beside(name, f"{description}, beside a good record", "REC-2 REC-4", signed(bad))
    for name, description, bad in malformed(foreign, **unknown):
        both = KeySet(IDENTITY.public, (signed(bad), signed(good)))
        add("unknown-kem-" + name, f"{description}, of a kem that the client does not know", "REC-2 REC-4", both)
    short = record(public_key=public[:-1])
    add("pk-length", "public key of 64 bytes", "REC-2", one(short))
    beside("pk-length", "public key of 64 bytes, beside a good record", "REC-2 REC-4", signed(short))
    add("set-left-over", "a byte after the key set", "", one(good).encode() + b"\x00")
    add("set-cut", "a byte of the key set missing", "", one(good).encode()[:-1])
    add("set-empty", "no records", "", KeySet(IDENTITY.public, ()))
    add("json-version-2", "a key set of version 2", "", one(good).to_json().replace('"version": 1', '"version": 2'))
    for name, version in (("fraction", "1.0"), ("exponent", "1e0"), ("text", '"1"')):
        text = one(good).to_json().replace('"version": 1', f'"version": {version}')
        add(f"json-version-{name}", f"a version that is written {version}", "", text)
    add("json-mark", "a byte order mark before the document", "", "\ufeff" + one(good).to_json())
    add("json-left-over", "a character behind the document", "", one(good).to_json() + "x")
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
    for name, value in (("identity", "AAEC"), ("signature", "AAEC")):
        twice = text.replace(f'"{name}":', f'"{name}": "{value}", "{name}":')
        add(f"json-{name}-twice", f"{name} twice", "REC-5", twice)
    twice = text.replace('"signature":', '"evidence": "AAEC", "evidence": "AAEC", "signature":')
    add("json-evidence-twice", "evidence twice, the same both times", "REC-5", twice)
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
