"""Checks vector files. The format is described in ../VECTORS.md."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from . import cobs, hpke
from .errors import Malformed, ProtocolError
from .exchange import DEFAULTS, Gateway, GatewayExchange, HeldKey, ReplayStore, ResponseReceiver
from .frames import OPEN, Plain, frame
from .keys import KeySet, choose, decode_key_set, decode_record, key_set_from_json
from .sealing import Sealer, Secrets, Suite, request_info

FORMAT = "sealwire-vector/1"
Vector = dict[str, Any]


class Wrong(Exception):
    """A vector and this peer disagree."""


def same(what: str, got: object, expected: object) -> None:
    if got != expected:
        raise Wrong(f"{what}: this peer has {got!r:.200}, the vector {expected!r:.200}")


def unhex(vector: Vector, name: str) -> bytes:
    return bytes.fromhex(vector[name])


def frames_of(vector: Vector) -> list[Plain]:
    return [Plain(f["type"], bytes.fromhex(f["content"]), f["padding"]) for f in vector["frames"]]


@dataclasses.dataclass
class Setting:
    """The key schedule of a vector, every value of it checked."""

    gateway: Gateway
    private: hpke.PrivateKey
    secrets: Secrets
    enc: bytes
    open_body: bytes

    @classmethod
    def of(cls, vector: Vector) -> Setting:
        suite = Suite(**vector["suite"])
        record = decode_record(unhex(vector, "record"))
        if record is None:
            raise Wrong("record of an unknown kem")
        private = hpke.derive_key_pair(suite.kem, unhex(vector, "ikm_recipient"))
        same("public key", private.public, record.public_key)
        same("key_id", record.key_id.hex(), vector["key_id"])
        body = unhex(vector, "open")
        enc = unhex(vector, "enc")
        same("open", body[:1] + body[1:7] + body[7:15] + body[15:], b"\x01" + suite.encode() + record.key_id + enc)
        info = request_info(body[:15])
        same("info", info.hex(), vector["info"])
        shared = private.decap(enc)
        if "ikm_ephemeral" in vector:
            same("encapsulation", hpke.encap(suite.kem, private.public, unhex(vector, "ikm_ephemeral")), (shared, enc))
        if "encap_randomness" in vector:
            same("encapsulation", hpke.encap_derand(private.public, unhex(vector, "encap_randomness")), (shared, enc))
        secrets = Secrets.derive(suite, shared, info)
        for name in ("request_key", "request_nonce", "response_secret"):
            same(name, getattr(secrets, name).hex(), vector[name])
        key, base = secrets.response(enc, unhex(vector, "response_nonce"))
        same("response_key", key.hex(), vector["response_key"])
        same("response_base", base.hex(), vector["response_base"])
        limits = dataclasses.replace(DEFAULTS, **vector.get("limits", {}))
        served = vector.get("served")
        gateway = Gateway(
            [HeldKey(record, private)],
            clock=lambda: int(vector["clock"]),
            served=lambda method, path: served is None or f"{method} {path}" in served,
            limits=limits,
            replays=ReplayStore(vector.get("replay_capacity", 1000)),
            refuse_before=vector.get("refuse_before", 0),
        )
        return cls(gateway, private, secrets, enc, body)


def _check_exchange(vector: Vector) -> None:
    setting = Setting.of(vector)
    request, response = vector["request"], vector["response"]
    sealer = Sealer(setting.secrets.request_key, setting.secrets.request_nonce)
    wire = frame(OPEN, setting.open_body) + b"".join(sealer.seal(plain) for plain in frames_of(request))
    same("request wire", wire.hex(), request["wire"])

    nonce = unhex(vector, "response_nonce")
    sealer = Sealer(*setting.secrets.response(setting.enc, nonce))
    wire = frame(4, nonce) + b"".join(sealer.seal(plain) for plain in frames_of(response))
    same("response wire", wire.hex(), response["wire"])

    exchange_id, max_frame = b"", 0
    for step in (1 << 20, 1, 7):
        setting = Setting.of(vector) if step != 1 << 20 else setting
        end = GatewayExchange(setting.gateway, http=vector["transport"] == "http")
        _feed(end, unhex(request, "wire"), step)
        same("refusal", end.refusal and end.refusal.name, None)
        assert end.head
        same("request body", bytes(end.body).hex(), request["body"])
        exchange_id, max_frame = end.head.exchange_id, end.head.max_frame
        outcome, body, _ = _receive(vector, setting, unhex(response, "wire"), exchange_id, max_frame, step)
        same("outcome", outcome, response["expect"])
        same("response body", body.hex(), response["body"])


def _feed(end: GatewayExchange, wire: bytes, step: int) -> None:
    for at in range(0, len(wire), step):
        end.feed(wire[at : at + step])
    end.finish()


def _receive(
    vector: Vector, setting: Setting, wire: bytes, exchange_id: bytes, max_frame: int, step: int
) -> tuple[str, bytes, int]:
    receiver = ResponseReceiver(
        setting.secrets,
        setting.enc,
        exchange_id,
        max_frame,
        http=vector["transport"] == "http",
        limits=setting.gateway.limits,
    )
    body = b""
    try:
        for at in range(0, len(wire), step):
            for piece in receiver.feed(wire[at : at + step]):
                body += piece
        outcome = receiver.finish().name
    except ProtocolError as error:
        outcome = error.name
    return outcome, body, receiver.opened


def _check_refusal(vector: Vector) -> None:
    wire = unhex(vector, "wire")
    for step in (1 << 20, 1):
        setting = Setting.of(vector)
        if vector["direction"] == "request":
            for earlier in vector.get("earlier", []):
                _feed(GatewayExchange(setting.gateway), bytes.fromhex(earlier), step)
            end = GatewayExchange(setting.gateway, http=vector["transport"] == "http")
            _feed(end, wire, step)
            outcome, opened = end.refusal.name if end.refusal else "complete", end.opened
            refused = end.gateway.begin(end.head) if outcome == "complete" and end.head else None
            if refused:
                outcome = f"error:{refused}"
            if end.detail():
                same("detail", end.detail().hex(), vector["detail"])
        else:
            outcome, body, opened = _receive(
                vector, setting, wire, unhex(vector, "exchange_id"), vector["max_frame"], step
            )
            same("body", body.hex(), vector["body"])
        same("outcome", outcome, vector["expect"])
        same("opened", opened, vector["opened"])


def _check_key_set(vector: Vector) -> None:
    try:
        key_set: KeySet
        key_set = key_set_from_json(vector["json"]) if "json" in vector else decode_key_set(unhex(vector, "key_set"))
        record = choose(key_set.check(vector["pin"]), Suite(**vector["suite"]), vector["clock"])
        outcome, key_id = "usable", record.key_id.hex()
    except ProtocolError as error:
        outcome, key_id = error.name, None
    same("outcome", outcome, vector["expect"])
    same("key_id", key_id, vector.get("key_id"))


def _check_cobs(vector: Vector) -> None:
    packet = unhex(vector, "packet")
    try:
        got = cobs.frame_in(packet).hex() if packet else "ignored"
    except Malformed:
        got = "malformed"
    same("frame", got, vector["expect"])


_CHECKS = {
    "exchange": _check_exchange,
    "refusal": _check_refusal,
    "key-set": _check_key_set,
    "cobs": _check_cobs,
}


def check(vector: Vector) -> None:
    same("format", vector["format"], FORMAT)
    _CHECKS[vector["kind"]](vector)


def check_directory(directory: Path) -> tuple[int, list[str]]:
    good, problems = 0, []
    for path in sorted(directory.rglob("*.json")):
        try:
            check(json.loads(path.read_text()))
            good += 1
        except Wrong as error:
            problems.append(f"{path}: {error}")
        except (KeyError, TypeError, ValueError, AssertionError, ProtocolError, hpke.KemError) as error:
            problems.append(f"{path}: cannot be checked: {error!r:.200}")
    return good, problems


def make_directory(directory: Path) -> int:
    from . import make

    directory.mkdir(parents=True, exist_ok=True)
    made = make.all_vectors()
    for vector in made:
        path = directory / f"{vector['name']}.json"
        path.write_text(json.dumps(vector, indent=1) + "\n")
    return len(made)
