"""Section 13: one frame in each COBS packet, for lines that neither open nor close."""

from __future__ import annotations

from . import frames
from .errors import Malformed


def encode(data: bytes) -> bytes:
    """The packet and the zero byte that ends it."""
    out = bytearray()
    for run in data.split(b"\0"):
        while len(run) >= 254:
            out += b"\xff" + run[:254]
            run = run[254:]
        out.append(len(run) + 1)
        out += run
    return bytes(out) + b"\0"


def decode(packet: bytes) -> bytes:
    """A packet without the zero byte that ended it."""
    out, at = bytearray(), 0
    while at < len(packet):
        code = packet[at]
        run = packet[at + 1 : at + code]
        if code == 0 or len(run) != code - 1 or 0 in run:
            raise Malformed("COBS packet does not decode")
        out += run
        at += code
        if code < 255 and at < len(packet):
            out.append(0)
    return bytes(out)


def frame_in(packet: bytes) -> bytes:
    """The one frame of a packet (RAW-1). One whose header is malformed is none."""
    data = decode(packet)
    length = int.from_bytes(data[1 : frames.HEADER], "big")
    if len(data) < frames.HEADER or len(data) != frames.HEADER + length:
        raise Malformed("packet does not hold exactly one frame")
    frames.check_header(data[0], length)
    return data
