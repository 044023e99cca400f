"""Section 12, the client: key set, retries and one chat completion over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from urllib.parse import urlsplit

from .errors import Malformed, ProtocolError, Refused
from .exchange import Answer, ClientExchange
from .heads import RequestHead, ResponseHead
from .keys import Record, choose, key_set_from_json
from .sealing import Suite

MOST_KEY_SET = 1 << 20
_REQUEST_PATH = "/sealwire/v1"
_KEYS_PATH = "/.well-known/sealwire-keys"


class InBetween(Exception):
    """A reply that no gateway made (HTTP-3)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"something on the way answered with HTTP status {status}")
        self.status = status


class GatewaySaid(Exception):
    """The exchange ended by ERROR or REJECT."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.name)
        self.answer = answer


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Client:
    def __init__(
        self,
        base: str,
        suite: Suite,
        pin: str | None,
        *,
        authorization: str | None = None,
        pad: bool = True,
        clock: Callable[[], int] = now_ms,
        timeout: float = 60,
    ) -> None:
        self._url = urlsplit(base.rstrip("/"))
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError("the gateway's address must begin with http:// or https://")
        self._suite, self._pin, self._authorization = suite, pin, authorization
        self._pad, self._clock, self._timeout = pad, clock, timeout
        self._told: tuple[int, float] | None = None  # the time of ERROR(time), and when it came by a clock that is not set
        self._record: Record | None = None
        self.tries = 0

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname, self._url.port
        assert host
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout)

    def _time(self) -> int:
        """That of a request (REPLAY-5)."""
        if self._told is None:
            return self._clock()
        told, at = self._told
        return told + int((time.monotonic() - at) * 1000)

    def keys(self) -> list[Record]:
        connection = self._connect()
        try:
            connection.request("GET", self._url.path + _KEYS_PATH, headers={"Accept": "application/json"})
            reply = connection.getresponse()
            text = reply.read(MOST_KEY_SET + 1)
            if reply.status != 200 or _content_type(reply) != "application/json":
                raise InBetween(reply.status)
            if len(text) > MOST_KEY_SET:
                raise Refused("key set is too long")
            return key_set_from_json(text).check(self._pin)
        finally:
            connection.close()

    def send(self, method: str, path: str, content_type: str | None, body: bytes) -> Iterator[ResponseHead | bytes]:
        """The verified head, then verified pieces of the body; an exception if anything is missing.

        The idempotency key is the same in every try, since a REJECT, a status or a lost answer
        does not prove that no gateway ran the first one.
        """
        idempotency = os.urandom(16).hex()
        seen: set[str] = set()
        while True:
            if self._record is None or not self._record.usable_by_client(self._clock()):  # TIME-1, before each try
                self._record = choose(self.keys(), self._suite, self._clock())
            head = RequestHead(
                method=method,
                path=path,
                content_type=content_type,
                authorization=self._authorization,
                exchange_id=os.urandom(16),
                idempotency_key=idempotency,
                time=self._time(),
                max_frame=16404,
                padding=1 if self._pad else 0,
            )
            exchange = ClientExchange(self._record, self._suite, head, body, pad=self._pad)
            self.tries += 1
            answer = yield from self._one(exchange)
            if answer.kind == "complete":
                return
            if not self._may_retry(answer, exchange, seen):
                raise GatewaySaid(answer)

    def _may_retry(self, answer: Answer, exchange: ClientExchange, seen: set[str]) -> bool:
        """Each kind once (8.1)."""
        kinds = {"reject:key": "keys", "reject:undecryptable": "keys", "error:time": "afresh", "error:replay": "afresh"}
        if answer.name == "error:time":  # learned even if it is too late for this request
            self._told = int.from_bytes(answer.detail, "big"), time.monotonic()
        what = kinds.get(answer.name)
        if what is None or exchange.receiver.head or what in seen:
            return False
        seen.add(what)
        if what == "keys":
            self._record = None
        return True

    def _one(self, exchange: ClientExchange) -> Generator[ResponseHead | bytes, None, Answer]:
        connection = self._connect()
        try:
            headers = {"Content-Type": "application/sealwire", "Accept": "application/sealwire"}
            connection.request("POST", self._url.path + _REQUEST_PATH, exchange.request, headers)
            reply = connection.getresponse()
            if reply.status != 200 or _content_type(reply) != "application/sealwire":
                raise InBetween(reply.status)
            shown = False
            while True:
                try:
                    data = reply.read1(65536)
                except (OSError, http.client.HTTPException) as error:
                    if isinstance(error, TimeoutError) and exchange.receiver.answer is None:
                        raise
                    break  # whether that loses anything, finish() says: behind END it does not (ORDER-5, HTTP-5)
                if not data:
                    break
                for piece in exchange.receiver.feed(data):
                    if not shown and exchange.receiver.head:
                        shown = True
                        yield exchange.receiver.head
                    yield piece
            answer = exchange.receiver.finish()
            if not shown and exchange.receiver.head:
                yield exchange.receiver.head
            return answer
        finally:
            connection.close()


def _content_type(reply: http.client.HTTPResponse) -> str:
    return (reply.getheader("Content-Type") or "").split(";")[0].strip().lower()


def sse_texts(pieces: Iterator[bytes]) -> Iterator[str]:
    """The text of each streamed chat completion chunk."""
    rest = b""
    for piece in pieces:
        rest += piece
        *lines, rest = rest.split(b"\n")
        for line in lines:
            line = line.strip()
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            try:
                text = json.loads(data)["choices"][0]["delta"].get("content")
            except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
                raise Malformed("the model's stream does not parse") from error
            if text:
                yield text


__all__ = ["Client", "GatewaySaid", "InBetween", "ProtocolError", "now_ms", "sse_texts"]
