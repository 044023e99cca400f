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
        self._in, self._out, self.packets = incoming, outgoing, packets

    def send(self, data: bytes) -> None:
        """Sends whole frames."""
        if self.packets:
            # Noise on the line ends here (13.3).
            data = b"\0" + b"".join(cobs.encode(frame) for frame in _cut(data))
        self._out.write(data)
        self._out.flush()

    def next(self) -> bytes | None:
        """The next frame; None where the stream ends between two. On a line, after a bad packet, the next call goes on behind it."""
        return self._next_packet() if self.packets else self._next_frame()

    def next_of(self, *kinds: int) -> bytes | None:
        """The next frame that begins what is waited for. On a line all others are passed over; a packet that holds none may
        have been that one, and ends what is under way (RAW-4)."""
        while True:
            frame = self.next()
            if not self.packets or frame is None or frame[0] in kinds:
                return frame

    def pass_on(self, exchange: GatewayExchange) -> None:
        """The next frame of a stream to a gateway, or what there is of it: the header is judged before the body is waited for."""
        header = self._in.read(frames.HEADER)
        exchange.feed(header)
        length = int.from_bytes(header[1:], "big")
        if len(header) < frames.HEADER:
            exchange.finish()
        elif not exchange.stopped:
            body = self._in.read(length)
            exchange.feed(body)
            if len(body) < length:
                exchange.finish()

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
    reply = line.next_of(frames.KEYS, frames.REJECT)
    if reply is None or reply[0] != frames.KEYS:
        raise Malformed("no KEYS in answer to KEYS_REQUEST")
    return decode_key_set(reply[frames.HEADER :])


def receive(line: Line, exchange: ClientExchange) -> tuple[Answer, bytes]:
    body = b""
    frame = line.next_of(frames.ACCEPT, frames.REJECT)
    while exchange.receiver.answer is None:
        if frame is None:
            exchange.receiver.finish()
            break
        body += b"".join(exchange.receiver.feed(frame))
        if exchange.receiver.answer is None:
            frame = line.next()
    return exchange.receiver.finish(), body


def serve(line: Line, gateway: Gateway, key_set: KeySet) -> None:
    """Answers what comes until the client's bytes end, or cannot be followed: that too is answered first (ORDER-4, 13.2)."""
    if line.packets:
        return _serve_line(line, gateway, key_set)
    while True:
        exchange = GatewayExchange(gateway, http=False)
        while not exchange.ended:
            line.pass_on(exchange)
        if exchange.stopped and not exchange.refusal and not exchange.keys_wanted:
            return  # it ended where no request has begun
        _answer(line, exchange, key_set)
        if exchange.stopped and not exchange.keys_wanted:
            return


def _serve_line(line: Line, gateway: Gateway, key_set: KeySet) -> None:
    """RAW-4: what begins an exchange begins one at any time; outside of one, and after a bad packet, the rest is passed over."""
    exchange: GatewayExchange | None = None
    while True:
        try:
            frame = line.next()
        except Malformed:
            exchange = None
            continue
        if frame is None:
            return
        if frame[0] in (frames.OPEN, frames.KEYS_REQUEST):
            exchange = GatewayExchange(gateway, http=False)
        if exchange is None:
            continue
        exchange.feed(frame)
        if exchange.ended:
            _answer(line, exchange, key_set)
            exchange = None


def _answer(line: Line, exchange: GatewayExchange, key_set: KeySet) -> None:
    if exchange.keys_wanted:
        line.send(frames.frame(frames.KEYS, key_set.encode()))
        return
    for part in answer(exchange):
        line.send(part)
