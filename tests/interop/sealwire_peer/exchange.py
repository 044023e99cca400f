"""Sections 4, 7, 8, 10 and 11: both ends of one exchange, bytes in and bytes out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import frames, hpke
from .errors import (
    ERROR_CODES,
    ERROR_NAMES,
    REJECT_CODES,
    REJECT_NAMES,
    CannotSend,
    Malformed,
    ProtocolError,
    TooLarge,
    Truncated,
    Undecryptable,
    Unfollowable,
)
from .frames import ACCEPT, CANCEL, DATA, END, ERROR, HEAD, KEYS_REQUEST, OPEN, REJECT
from .heads import RequestHead, ResponseHead
from .keys import Record
from .sealing import Opener, Sealer, Secrets, Suite, open_header, request_info

WINDOW = 300_000
_FOLLOWS_OPEN = (HEAD, DATA, END, CANCEL)


@dataclass(frozen=True)
class Limits:
    frame: int = 16_404
    request_wire: int = 24 << 20
    response_content: int = 64 << 20
    response_wire: int = 1 << 30


DEFAULTS = Limits()


# --- The client's end ----------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """How a response ended: `complete`, `error` or `reject`; code and detail for the latter two."""

    kind: str
    code: int = 0
    detail: bytes = b""

    @property
    def name(self) -> str:
        if self.kind == "complete":
            return "complete"
        names = ERROR_NAMES if self.kind == "error" else REJECT_NAMES
        unknown = "internal" if self.kind == "error" else "unknown"  # ERR-1
        return f"{self.kind}:{names.get(self.code, unknown)}"


class ClientExchange:
    """One try: `request` is to be sent once, the answer's bytes go to feed() and then finish()."""

    def __init__(
        self,
        record: Record,
        suite: Suite,
        head: RequestHead,
        body: bytes,
        *,
        http: bool = True,
        pad: bool = True,
        limits: Limits = DEFAULTS,
        ikm_ephemeral: bytes | None = None,
    ) -> None:
        if suite not in record.suites():
            raise ValueError("the record does not offer this suite")
        if len(body) > record.max_request:
            raise CannotSend(f"the body has {len(body)} bytes, and this gateway takes {record.max_request}")  # 5.1
        shared, enc = hpke.encap(suite.kem, record.public_key, ikm_ephemeral)
        header = open_header(suite, record.key_id)
        secrets = Secrets.derive(suite, shared, request_info(header))
        sealer = Sealer(secrets.request_key, secrets.request_nonce)
        max_frame = min(limits.frame, record.max_frame)
        layout = frames.whole if pad else frames.plain_frames
        self.sealer = sealer
        self.plain = layout(head.encode(), body, max_frame)
        self.open_body = header + enc
        self.request = frames.frame(OPEN, self.open_body)
        self.request += b"".join(sealer.seal(plain) for plain in self.plain)
        self.receiver = ResponseReceiver(secrets, enc, head.exchange_id, head.max_frame, http=http, limits=limits)

    def cancel(self) -> bytes:
        return self.sealer.seal(frames.Plain(CANCEL, b""))


class ResponseReceiver:
    """Reads one response. `head` and `content` hold only what was verified."""

    def __init__(
        self,
        secrets: Secrets,
        enc: bytes,
        exchange_id: bytes,
        max_frame: int,
        *,
        http: bool = True,
        limits: Limits = DEFAULTS,
    ) -> None:
        self._secrets, self._enc, self._exchange_id = secrets, enc, exchange_id
        self._max_frame, self._limits, self._http = max_frame, limits, http
        self._reader = frames.Reader(self._check)
        self._state = "start"
        self._opener: Opener | None = None
        self._wire = self._content = 0
        self._failed = False
        self.head: ResponseHead | None = None
        self.answer: Answer | None = None
        self.opened = 0

    def _check(self, kind: int, length: int) -> None:
        allowed = {
            "start": (ACCEPT, REJECT),
            "first": (HEAD, ERROR),
            "body": (DATA, END, ERROR),
        }.get(self._state, ())
        if kind not in allowed:
            raise Malformed(f"{frames.NAMES[kind]} is out of order")
        if kind in frames.SEALED and frames.HEADER + length > self._max_frame:
            raise TooLarge("sealed frame")
        self._wire += frames.HEADER + length
        if self._wire > self._limits.response_wire:
            raise TooLarge("response on the wire")

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the content of each DATA frame as soon as it verified."""
        if self._failed:
            raise Malformed("an earlier part of this response was refused")
        try:
            self._reader.feed(data)
            while self.answer is None:
                frame = self._reader.next()
                if frame is None:
                    return
                content = self._take(frame)
                if content:
                    yield content
            if self._http and self._reader.pending:
                raise Malformed("bytes after the response")
        except ProtocolError:
            self._failed = True
            if self._opener:
                self._opener.poison()
            raise

    def _take(self, frame: frames.Frame) -> bytes:
        if frame.kind == REJECT:
            self.answer = Answer("reject", frame.body[0])
            return b""
        if frame.kind == ACCEPT:
            self._opener = Opener(*self._secrets.response(self._enc, frame.body))
            self._state = "first"
            return b""
        assert self._opener
        try:
            content = self._opener.open(frame)
        finally:
            self.opened = self._opener.sequence  # what is malformed inside its tag counts
        if frame.kind == HEAD:
            self.head = ResponseHead.decode(content)
            if self.head.exchange_id != self._exchange_id:
                raise Malformed("answer to another exchange")
            self._state = "body"
        elif frame.kind == DATA:
            self._content += len(content)
            if self._content > self._limits.response_content:
                raise TooLarge("response content")
            return content
        elif frame.kind == ERROR:
            code, detail = content[0], content[1:]
            if code in ERROR_NAMES and len(detail) != (8 if ERROR_NAMES[code] == "time" else 0):
                raise Malformed("detail of ERROR")
            self.answer = Answer("error", code, detail)
        else:
            self.answer = Answer("complete")
        return b""

    def finish(self) -> Answer:
        if self.answer is None:
            raise Truncated("the response ends early")
        return self.answer

    def receive(self, data: bytes) -> tuple[Answer, bytes]:
        body = b"".join(self.feed(data))
        return self.finish(), body


# --- The gateway's end ---------------------------------------------------------------------


@dataclass
class HeldKey:
    record: Record
    private: hpke.PrivateKey


class ReplayStore:
    """What was admitted, until it can no longer be replayed (section 11)."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._until: dict[bytes, int] = {}
        self._latest = 0

    def admit(self, digest: bytes, until: int, now: int) -> str | None:
        """None, or the name of the ERROR to answer with. What a clock that was set back may have made it forget is refused."""
        self._latest = max(self._latest, now)
        if until < self._latest:
            return "time"
        if digest in self._until and now <= self._until[digest]:
            return "replay"
        if len(self._until) >= self._capacity:
            self._until = {k: t for k, t in self._until.items() if now <= t}
            if len(self._until) >= self._capacity:
                return "busy"
        self._until[digest] = until
        return None

    def forget(self, digest: bytes) -> None:
        self._until.pop(digest, None)


@dataclass
class Gateway:
    """What outlives an exchange."""

    keys: list[HeldKey]
    clock: Callable[[], int]
    served: Callable[[str, str], bool] = lambda method, path: True
    limits: Limits = DEFAULTS
    refuse_before: int = 0  # REPLAY-4
    offered: frozenset[Suite] = frozenset()  # SUITE-2; those of the first keys if none are named
    replays: ReplayStore = field(default_factory=ReplayStore)
    running: dict[bytes, int | None] = field(default_factory=dict)  # idempotency -> forget after

    def __post_init__(self) -> None:
        self.offered = self.offered or frozenset(suite for key in self.keys for suite in key.record.suites())

    def begin(self, head: RequestHead) -> str | None:
        """What is asked once END verified, in the order of section 11: claims the idempotency key (REPLAY-6), or names the ERROR."""
        now = self.clock()
        for old in [m for m, until in self.running.items() if until is not None and until < now]:
            del self.running[old]
        mark = self._mark(head)
        if mark in self.running:
            return "duplicate"
        if mark is not None:
            self.running[mark] = None
        if not self.served(head.method, head.path):
            self.ended(head)
            return "forbidden"
        return None

    def ended(self, head: RequestHead) -> None:
        mark = self._mark(head)
        if mark is not None:
            self.running[mark] = self.clock() + WINDOW

    @staticmethod
    def _mark(head: RequestHead) -> bytes | None:
        if head.idempotency_key is None:
            return None
        key = head.idempotency_key.encode()
        return hashlib.sha256(bytes([len(key)]) + key + (head.authorization or "").encode()).digest()


@dataclass(frozen=True)
class Refusal:
    kind: str  # "reject" or "error"
    reason: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.reason}"


class _Refuse(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class GatewayExchange:
    """Reads one request. When `ended` is true, either `refusal` says what to answer,
    or `head` and `body` are the verified request."""

    def __init__(self, gateway: Gateway, *, http: bool = True) -> None:
        self.gateway, self._http = gateway, http
        self._reader = frames.Reader(self._check)
        self._state = "start"
        self._wire = 0
        self._opener: Opener | None = None
        self._held: HeldKey | None = None
        self._late: tuple[int, ...] = (CANCEL,)  # of the exchange before (RAW-3)
        self._secrets: Secrets | None = None
        self._enc = b""
        self._open_body = b""
        self.opened = 0
        self.body = bytearray()
        self.head: RequestHead | None = None
        self.refusal: Refusal | None = None
        self.keys_wanted = False

    @property
    def stopped(self) -> bool:
        """Nothing more will be read: the rest of the input cannot be made sense of."""
        return self._state == "stopped"

    @property
    def ended(self) -> bool:
        """No answer before this is true (ORDER-3)."""
        return self._state in ("ended", "stopped")

    def _check(self, kind: int, length: int) -> None:
        allowed = {
            "start": (OPEN,) if self._http else (OPEN, KEYS_REQUEST, *self._late),
            "first": (HEAD,),
            "body": (DATA, END, CANCEL),
            "ended": () if self._http else (CANCEL,),
            "discard": _FOLLOWS_OPEN,
        }[self._state]
        if kind not in allowed:
            raise (Malformed if kind in _FOLLOWS_OPEN else Unfollowable)(f"{frames.NAMES[kind]} is out of order")
        limit = self.gateway.limits.request_wire
        if self._state == "discard":
            limit *= 2  # that of reading on (ORDER-3)
        elif kind in frames.SEALED and frames.HEADER + length > self._frame_limit():
            raise TooLarge("sealed frame")
        if self._wire + frames.HEADER + length > limit:
            raise TooLarge("request on the wire")
        self._wire += frames.HEADER + length

    def _frame_limit(self) -> int:
        if self._held:
            return self._held.record.max_frame
        return max((held.record.max_frame for held in self.gateway.keys), default=1024)  # a late CANCEL (RAW-3)

    def feed(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._state != "stopped":
            if self._state == "ended" and not self._http and (self.refusal or not self._reader.comes(CANCEL)):
                return  # what follows waits (ORDER-5)
            try:
                frame = self._reader.next()
            except ProtocolError as error:
                self._refuse(_reason(error, self.opened))
                # A header that can be followed is read again, as one to throw away (ORDER-3).
                last = isinstance(error, Unfollowable) or self._state in ("discard", "ended")
                self._state = "stopped" if last else "discard"
                continue
            if frame is None:
                break
            try:
                self._take(frame)
            except (ProtocolError, _Refuse) as error:
                self._refuse(error.reason if isinstance(error, _Refuse) else _reason(error, self.opened))
                self._state = "ended" if frame.kind in (END, CANCEL) else "discard"
        if self._http and self._state == "ended" and self._reader.pending:
            self._refuse("malformed")  # ORDER-5
            self._state = "stopped"

    def finish(self) -> None:
        """The input ended."""
        if not self._http and self._state == "start" and not self._reader.pending:
            self._state = "stopped"  # a stream may end where no request has begun
        if not self.ended:
            self._refuse("malformed")
            self._state = "stopped"

    def _refuse(self, reason: str) -> None:
        if self._opener:
            self._opener.poison()
        if self.refusal is None:
            self.refusal = Refusal("error" if self.opened else "reject", reason)

    def _take(self, frame: frames.Frame) -> None:
        if self._state == "discard":
            if frame.kind in (END, CANCEL):
                self._state = "ended"
        elif self._state == "start" and frame.kind == CANCEL:
            self._late = ()
            self._wire = 0  # it is not of this request
        elif frame.kind == KEYS_REQUEST:
            if frame.body != b"\x01":
                self._refuse("version")
                self._state = "ended"
                return
            self.keys_wanted = True
            self._state = "stopped"
        elif frame.kind == OPEN:
            self._open(frame.body)
        else:
            self._sealed(frame)

    def _open(self, body: bytes) -> None:
        if body[0] != 1:
            raise _Refuse("version")
        if len(body) < 15:
            raise _Refuse("malformed")
        kem, kdf, aead = (int.from_bytes(body[at : at + 2], "big") for at in (1, 3, 5))
        suite, header, enc = Suite(kem, kdf, aead), body[:15], body[15:]
        if suite not in self.gateway.offered:
            raise _Refuse("suite")
        if len(enc) != hpke.KEMS[kem].enc_length:
            raise _Refuse("malformed")
        now = self.gateway.clock()
        for held in self.gateway.keys:
            record = held.record
            if record.key_id == body[7:15] and suite in record.suites() and record.usable_by_gateway(now):
                break
        else:
            raise _Refuse("key")
        try:
            shared = held.private.decap(enc)
        except hpke.KemError:
            raise _Refuse("undecryptable") from None
        self._secrets = Secrets.derive(suite, shared, request_info(header))
        self._opener = Opener(self._secrets.request_key, self._secrets.request_nonce)
        self._held, self._enc, self._open_body = held, enc, body
        self._state = "first"

    def _sealed(self, frame: frames.Frame) -> None:
        assert self._opener and self._held
        try:
            content = self._opener.open(frame)
        finally:
            self.opened = self._opener.sequence  # what is malformed inside its tag counts
        if frame.kind == HEAD:
            self.head = RequestHead.decode(content)
            self._admit(self.head)
            self._state = "body"
        elif frame.kind == DATA:
            if len(self.body) + len(content) > self._held.record.max_request:
                raise _Refuse("too large")
            self.body += content
        elif frame.kind == END:
            self._state = "ended"
        else:
            raise _Refuse("cancelled")

    def _admit(self, head: RequestHead) -> None:
        now = self.gateway.clock()
        if abs(head.time - now) > WINDOW or head.time < self.gateway.refuse_before:
            raise _Refuse("time")
        digest = hashlib.sha256(self._open_body).digest()
        refused = self.gateway.replays.admit(digest, head.time + WINDOW, now)
        if refused:
            raise _Refuse(refused)

    # --- Answers ---

    def writer(self, response_nonce: bytes | None = None) -> ResponseWriter:
        assert self._secrets and self.ended
        max_frame = self.gateway.limits.frame
        padded = True
        if self.head:
            max_frame = min(max_frame, self.head.max_frame)
            padded = self.head.padding != 0
        else:
            max_frame = frames.EVERY_PEER_ACCEPTS
        nonce = os.urandom(32) if response_nonce is None else response_nonce
        return ResponseWriter(self._secrets, self._enc, nonce, max_frame, padded)

    def refuse(self, response_nonce: bytes | None = None) -> bytes:
        """The answer to a request that was refused."""
        assert self.ended and self.refusal
        if self.refusal.kind == "reject":
            return frames.frame(REJECT, bytes([REJECT_CODES[self.refusal.reason]]))
        return self.writer(response_nonce).error(self.refusal.reason, self.detail())

    def detail(self) -> bytes:
        """That of the ERROR, if it is sealed now (8.1)."""
        told = self.refusal is not None and self.refusal.name == "error:time"
        return self.gateway.clock().to_bytes(8, "big") if told else b""


def _reason(error: ProtocolError, opened: int) -> str:
    if isinstance(error, Undecryptable) and opened:
        return "malformed"  # section 8.1 has no code of its own for a later frame
    return error.name


class ResponseWriter:
    """Seals one response. Use whole(), or start(), piece() and end(); error() at any point."""

    def __init__(self, secrets: Secrets, enc: bytes, nonce: bytes, max_frame: int, padded: bool) -> None:
        self._sealer = Sealer(*secrets.response(enc, nonce))
        self._accept = frames.frame(ACCEPT, nonce)
        self._max_frame = max_frame
        self._uniform = frames.Uniform(max_frame) if padded else None
        self._begun = False
        self.plain: list[frames.Plain] = []

    def _seal(self, plain: list[frames.Plain]) -> bytes:
        accept, self._accept, self._begun = self._accept, b"", True
        self.plain += plain
        return accept + b"".join(self._sealer.seal(frame) for frame in plain)

    def whole(self, head: ResponseHead, body: bytes) -> bytes:
        layout = frames.whole if self._uniform else frames.plain_frames
        return self._seal(layout(head.encode(), body, self._max_frame))

    def start(self, head: ResponseHead) -> bytes:
        content = head.encode()
        if self._uniform:
            return self._seal([self._uniform.head(content, self._max_frame)])
        return self._seal([frames.Plain(HEAD, content)])

    def piece(self, data: bytes) -> bytes:
        if self._uniform:
            return self._seal(self._uniform.piece(data))
        return self._seal([frames.Plain(DATA, part) for part in frames.split(data, self._max_frame)])

    def _last(self, kind: int, content: bytes) -> bytes:
        if self._uniform:
            return self._seal(self._uniform.last(kind, content))
        return self._seal([frames.Plain(kind, content)])

    def end(self) -> bytes:
        return self._last(END, b"")

    def error(self, reason: str, detail: bytes = b"") -> bytes:
        content = bytes([ERROR_CODES[reason]]) + detail
        if self._begun:
            return self._last(ERROR, content)
        size = frames.EVERY_PEER_ACCEPTS  # whatever the client asked for (9.2)
        return self._seal([frames.Plain(ERROR, content, size - frames.OVERHEAD - len(content))])
