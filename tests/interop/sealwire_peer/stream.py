"""Section 13: exchanges one after another on a raw stream, bare or in COBS packets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from . import cobs, frames
from .errors import Malformed, Truncated
from .exchange import Answer, ClientExchange, Gateway, GatewayExchange
from .keys import KeySet, decode_key_set
from .server import answer


class Line:
    """Whole frames over two byte streams."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, *, packets: bool = False) -> None:
        self._in, self._out, self._packets = incoming, outgoing, packets

    def send(self, data: bytes) -> None:
        """Sends whole frames."""
        if self._packets:
            data = b"".join(cobs.encode(frame) for frame in _cut(data))
        self._out.write(data)
        self._out.flush()

    def next(self) -> bytes | None:
        """The next frame; None where the stream ends between two."""
        return self._next_packet() if self._packets else self._next_frame()

    def _next_frame(self) -> bytes | None:
        header = self._in.read(frames.HEADER)
        if not header:
            return None
        if len(header) == frames.HEADER:
            length = int.from_bytes(header[1:], "big")
            frames.check_header(header[0], length)
            body = self._in.read(length)
            if len(body) == length:
                return header + body
        raise Truncated("the stream ends within a frame")

    def _next_packet(self) -> bytes | None:
        packet = bytearray()
        while True:
            byte = self._in.read(1)
            if not byte:
                return None
            if byte != b"\0":
                packet += byte
            elif packet:
                return cobs.frame_in(bytes(packet))


def _cut(data: bytes) -> Iterator[bytes]:
    while data:
        size = frames.HEADER + int.from_bytes(data[1:4], "big")
        yield data[:size]
        data = data[size:]


def fetch_keys(line: Line) -> KeySet:
    line.send(frames.frame(frames.KEYS_REQUEST, b"\x01"))
    reply = line.next()
    if reply is None or reply[0] != frames.KEYS:
        raise Malformed("no KEYS in answer to KEYS_REQUEST")
    return decode_key_set(reply[frames.HEADER :])


def receive(line: Line, exchange: ClientExchange) -> tuple[Answer, bytes]:
    body = b""
    while exchange.receiver.answer is None:
        frame = line.next()
        if frame is None:
            exchange.receiver.finish()
            break
        body += b"".join(exchange.receiver.feed(frame))
    return exchange.receiver.finish(), body


def serve(line: Line, gateway: Gateway, key_set: KeySet) -> None:
    """Answers what comes until the client's bytes end, or cannot be followed."""
    while True:
        exchange = GatewayExchange(gateway, http=False)
        while not exchange.ended:
            frame = line.next()
            if frame is None:
                return
            exchange.feed(frame)
        if exchange.keys_wanted:
            line.send(frames.frame(frames.KEYS, key_set.encode()))
            continue
        for part in answer(exchange):
            line.send(part)
        if exchange.stopped:
            return
