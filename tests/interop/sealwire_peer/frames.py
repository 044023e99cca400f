"""Sections 2 and 9: frames, their reader, and padding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import CannotSend, Unfollowable

KEYS_REQUEST, KEYS, OPEN, ACCEPT, REJECT, RESUME = 1, 2, 3, 4, 5, 6
HEAD, DATA, END, ERROR, CANCEL = 0x10, 0x11, 0x12, 0x13, 0x14

NAMES = {
    KEYS_REQUEST: "KEYS_REQUEST",
    KEYS: "KEYS",
    OPEN: "OPEN",
    ACCEPT: "ACCEPT",
    REJECT: "REJECT",
    HEAD: "HEAD",
    DATA: "DATA",
    END: "END",
    ERROR: "ERROR",
    CANCEL: "CANCEL",
}
SEALED = frozenset({HEAD, DATA, END, ERROR, CANCEL})

HEADER = 4
OVERHEAD = 22  # header, content length and tag of a sealed frame
SMALLEST_SEALED = 18  # by length
EVERY_PEER_ACCEPTS = 1024  # by size
LONGEST_OPEN = 15 + 1153
CLEAR_LENGTHS = {
    KEYS_REQUEST: range(1, 2),
    KEYS: range(1, 0x10000),
    OPEN: range(1, LONGEST_OPEN + 1),
    ACCEPT: range(32, 33),
    REJECT: range(1, 2),
}


def check_header(kind: int, length: int) -> None:
    """What is wrong with a header whoever receives it: the first two checks of FRAME-7."""
    if kind not in NAMES:
        raise Unfollowable(f"frame type {kind:#04x}")
    lengths = CLEAR_LENGTHS.get(kind, range(SMALLEST_SEALED, 1 << 24))
    if length not in lengths:
        raise Unfollowable(f"{NAMES[kind]} of length {length}")


def frame(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


@dataclass(frozen=True)
class Frame:
    kind: int
    header: bytes
    body: bytes

    @property
    def size(self) -> int:
        return HEADER + len(self.body)


class Reader:
    """Cuts a byte stream into frames. `check(kind, length)` sees each header as soon as its four
    bytes are there, before any byte of the body is waited for (FRAME-3)."""

    def __init__(self, check: Callable[[int, int], None]) -> None:
        self._check = check
        self._buffer = bytearray()
        self._need: int | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Frame | None:
        if self._need is None:
            if len(self._buffer) < HEADER:
                return None
            kind, length = self._buffer[0], int.from_bytes(self._buffer[1:4], "big")
            check_header(kind, length)
            self._check(kind, length)
            self._need = length
        end = HEADER + self._need
        if len(self._buffer) < end:
            return None
        header, body = bytes(self._buffer[:HEADER]), bytes(self._buffer[HEADER:end])
        del self._buffer[:end]
        self._need = None
        return Frame(header[0], header, body)

    def comes(self, kind: int) -> bool:
        """Whether a frame of this type is what comes next, or has begun to."""
        return self._need is not None or self._buffer.startswith(bytes([kind]))

    @property
    def pending(self) -> int:
        """Bytes that are not part of a whole frame yet."""
        return len(self._buffer)


# --- Padding -------------------------------------------------------------------------------


def padme(length: int) -> int:
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    bits = max(exponent - exponent.bit_length(), 0)
    unit = 1 << bits
    return (length + unit - 1) // unit * unit


@dataclass(frozen=True)
class Plain:
    """A frame before sealing: `padding` zeros follow the content."""

    kind: int
    content: bytes
    padding: int = 0

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.content) + self.padding


def split(body: bytes, max_frame: int) -> list[bytes]:
    room = min(max_frame - OVERHEAD, 0xFFFF)
    return [body[i : i + room] for i in range(0, len(body), room)]


def _fits(head: bytes, max_frame: int) -> None:
    if len(head) > min(max_frame - OVERHEAD, 0xFFFF):
        raise CannotSend("the HEAD does not fit in one frame of this peer")


def plain_frames(head: bytes, body: bytes, max_frame: int) -> list[Plain]:
    _fits(head, max_frame)
    middle = [Plain(DATA, piece) for piece in split(body, max_frame)]
    return [Plain(HEAD, head), *middle, Plain(END, b"")]


def whole(head: bytes, body: bytes, max_frame: int) -> list[Plain]:
    """HEAD in steps of 256, DATA padded to a Padmé sum of sizes, a bare END (9.2)."""
    _fits(head, max_frame)
    size = min((OVERHEAD + len(head) + 255) // 256 * 256, max_frame)
    return [Plain(HEAD, head, size - OVERHEAD - len(head)), *_whole_data(body, max_frame), Plain(END, b"")]


def _whole_data(body: bytes, max_frame: int) -> list[Plain]:
    if not body:
        return []
    total = padme(sum(OVERHEAD + len(piece) for piece in split(body, max_frame)))
    if total % max_frame and total % max_frame < OVERHEAD:
        total += OVERHEAD - total % max_frame
    out = []
    for at in range(0, total, max_frame):
        room = min(max_frame, total - at) - OVERHEAD
        content, body = body[:room], body[room:]
        out.append(Plain(DATA, content, room - len(content)))
    assert not body
    return out


class Uniform:
    """The streamed form: every frame has one size, and the number of frames is a Padmé number."""

    def __init__(self, max_frame: int, size: int = EVERY_PEER_ACCEPTS) -> None:
        self.size = min(size, max_frame)
        self.count = 0

    def _one(self, kind: int, content: bytes) -> Plain:
        self.count += 1
        return Plain(kind, content, self.size - OVERHEAD - len(content))

    def head(self, content: bytes, max_frame: int) -> Plain:
        _fits(content, max_frame)
        self.size = max(self.size, len(content) + OVERHEAD)
        return self._one(HEAD, content)

    def piece(self, data: bytes) -> list[Plain]:
        return [self._one(DATA, part) for part in split(data, self.size)]

    def last(self, kind: int, content: bytes) -> list[Plain]:
        covers = padme(self.count + 1) - (self.count + 1)
        return [*(self._one(DATA, b"") for _ in range(covers)), self._one(kind, content)]
