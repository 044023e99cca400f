"""Section 12, the gateway: HTTP, with an echo model behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from . import hpke
from .client import now_ms
from .exchange import Gateway, GatewayExchange, HeldKey
from .heads import ResponseHead
from .keys import Identity, KeySet, Signed, decode_record, encode_record, pin_of

DAY = 86_400_000
CHAT = "/v1/chat/completions"


def new_gateway(
    identity: Identity | None = None, kems: tuple[int, ...] = (hpke.P256, hpke.MLKEM768_P256)
) -> tuple[Gateway, KeySet]:
    identity = identity or Identity(ec.generate_private_key(ec.SECP256R1()))
    now = now_ms()
    held, signed = [], []
    for kem in kems:
        private = hpke.generate_key_pair(kem)
        encoded = encode_record(kem, private.public, now, now + DAY)
        record = decode_record(encoded)
        assert record
        held.append(HeldKey(record, private))
        signed.append(Signed(encoded, identity.sign(encoded)))
    gateway = Gateway(held, now_ms, served=lambda method, path: (method, path) == ("POST", CHAT))
    return gateway, KeySet(identity.public, tuple(signed))


def _echo(body: dict[str, Any]) -> str:
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            return str(message["content"])
    return ""


def _completion(model: str, text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"id": "echo", "object": "chat.completion", "model": model, "choices": [choice]}
    return json.dumps(answer).encode()


def _chunks(model: str, text: str) -> Iterator[bytes]:
    def event(delta: dict[str, str], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "echo", "object": "chat.completion.chunk", "model": model, "choices": [choice]}
        return b"data: " + json.dumps(chunk).encode() + b"\n\n"

    words = text.split(" ")
    for word in [*(word + " " for word in words[:-1]), words[-1]]:
        yield event({"content": word}, None)
    yield event({}, "stop")
    yield b"data: [DONE]\n\n"


def answer(exchange: GatewayExchange) -> Iterator[bytes]:
    """The bytes of the response, in pieces as they become ready."""
    head = exchange.head
    if exchange.refusal or head is None:
        yield exchange.refuse()
        return
    gateway = exchange.gateway
    refused = gateway.begin(head)
    writer = exchange.writer()
    if refused:
        yield writer.error(refused)
        return
    try:
        try:
            request = json.loads(bytes(exchange.body))
            text, model, stream = _echo(request), str(request["model"]), request.get("stream") is True
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            problem = json.dumps({"error": {"message": "not a chat completion request"}}).encode()
            yield writer.whole(ResponseHead(400, head.exchange_id, "application/json"), problem)
            return
        now = gateway.clock()
        if stream:
            yield writer.start(ResponseHead(200, head.exchange_id, "text/event-stream", processed_at=now))
            for chunk in _chunks(model, text):
                yield writer.piece(chunk)
            yield writer.end()
        else:
            reply = ResponseHead(200, head.exchange_id, "application/json", processed_at=now)
            yield writer.whole(reply, _completion(model, text))
    finally:
        gateway.ended(head)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], gateway: Gateway, key_set: KeySet, base: str = "") -> None:
        self.gateway, self.key_set, self.base = gateway, key_set, base.rstrip("/")
        super().__init__(address, _Handler)

    @property
    def pin(self) -> str:
        return pin_of(self.key_set.identity)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Server

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def _plain(self, status: int, kind: str = "text/plain", body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == self.server.base + "/.well-known/sealwire-keys":
            self._plain(200, "application/json", self.server.key_set.to_json().encode())
        else:
            self._plain(404)

    def do_POST(self) -> None:
        kind = (self.headers.get("Content-Type") or "").split(";")[0].strip().lower()
        if self.path != self.server.base + "/sealwire/v1" or kind != "application/sealwire":
            self.close_connection = True
            self._plain(404 if kind == "application/sealwire" else 415)
            return
        exchange = GatewayExchange(self.server.gateway)
        if not self._read_into(exchange):
            self.close_connection = True
        self.send_response(200)
        for name, value in (
            ("Content-Type", "application/sealwire"),
            ("Cache-Control", "no-store, no-transform"),
            ("X-Accel-Buffering", "no"),
            ("Transfer-Encoding", "chunked"),
        ):
            self.send_header(name, value)
        self.end_headers()
        for part in answer(exchange):
            self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _read_into(self, exchange: GatewayExchange) -> bool:
        """Feeds the HTTP body. False if the connection cannot be used again."""
        clean = True
        deadline = time.monotonic() + 60
        for part in self._body_parts():
            if part is None or time.monotonic() > deadline:
                clean = False
                break
            exchange.feed(part)
            if exchange.stopped:
                clean = False
                break
        exchange.finish()
        return clean

    def _body_parts(self) -> Iterator[bytes | None]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while True:
                try:
                    left = int(self.rfile.readline(32).strip() or b"x", 16)
                except ValueError:
                    yield None
                    return
                if left == 0:
                    self.rfile.readline(32)
                    return
                while left:
                    part = self.rfile.read(min(left, 65536))
                    if not part:
                        yield None
                        return
                    left -= len(part)
                    yield part
                self.rfile.readline(32)
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            part = self.rfile.read(min(left, 65536))
            if not part:
                yield None
                return
            left -= len(part)
            yield part
