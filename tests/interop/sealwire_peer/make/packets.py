"""Packets of lines without open and close."""

from __future__ import annotations

from .. import cobs
from ..frames import ACCEPT, DATA, KEYS_REQUEST, frame
from ..vectors import Vector
from .case import seed, top


def packets() -> list[Vector]:
    def vector(name: str, description: str, packet: bytes, expect: str) -> Vector:
        return {**top("cobs", "cobs-" + name, description, "RAW-1"), "packet": packet.hex(), "expect": expect}

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
