"""Exchanges that end well, or in an ERROR that the gateway meant."""

from __future__ import annotations

from collections.abc import Callable

from .. import frames
from ..exchange import ResponseWriter
from ..frames import DATA, END, HEAD, Plain
from ..heads import tlv
from ..sealing import HYBRID_SUITE
from ..vectors import Vector
from .case import ANSWER, BODY, MAX_FRAME, NOW, Case, plain, request_head, response_head, seed, top


def exchange(
    name: str,
    description: str,
    case: Case,
    request: list[Plain],
    respond: Callable[[ResponseWriter], bytes],
    *,
    padded: bool = True,
    body: bytes = BODY,
    answer: bytes = ANSWER,
    expect: str = "complete",
    transport: str = "http",
    max_frame: int = MAX_FRAME,
    requirements: str = "",
) -> Vector:
    sealer, writer = case.client(), case.writer(padded, max_frame)
    wire = case.opening() + b"".join(sealer.seal(plain) for plain in request)
    response = respond(writer)
    return {
        **top("exchange", name, description, requirements),
        "transport": transport,
        **case.fields,
        "request": {"frames": plain(request), "wire": wire.hex(), "body": body.hex()},
        "response": {
            "frames": plain(writer.plain),
            "wire": response.hex(),
            "body": answer.hex(),
            "expect": expect,
        },
    }


def _streamed(pieces: list[bytes], error: str | None = None) -> Callable[[ResponseWriter], bytes]:
    def respond(writer: ResponseWriter) -> bytes:
        out = writer.start(response_head(content_type="text/event-stream"))
        out += b"".join(writer.piece(piece) for piece in pieces)
        return out + (writer.error(error) if error else writer.end())

    return respond


def exchanges() -> list[Vector]:
    p256, hybrid = Case(), Case(HYBRID_SUITE)
    head = request_head().encode()
    whole = frames.whole(head, BODY, MAX_FRAME)
    unpadded = frames.plain_frames(request_head(padding=0).encode(), BODY, MAX_FRAME)
    pieces = [f'data: {{"choices":[{{"delta":{{"content":"{n}"}}}}]}}\n\n'.encode() for n in range(5)]
    pieces.append(b"data: [DONE]\n\n")
    long, longer = seed("long body", 18_000), seed("longer body", 33_000)
    covers = [Plain(HEAD, head, 3), Plain(DATA, b""), Plain(DATA, BODY), Plain(DATA, b"", 70), Plain(END, b"", 1)]
    full_request = request_head(
        tier="maximum",
        padding=1,
        headers=((b"accept", b"text/event-stream"), (b"openai-beta", b"a=1"), (b"x-request-id", b"")),
        path="/v1/responses?b=/../%2F",
    )
    full_response = response_head(
        status=599,
        retry_after=7,
        protection=(7, "linux-x86_64"),
        processed_at=NOW,
        tier="high",
        headers=((b"openai-version", b"1"), (b"retry-after-ms", b"5"), (b"x-ratelimit-limit-tokens", b"9")),
    )
    longest_request = request_head(
        method="A" * 16,
        path="/" + "a" * 2047,
        content_type="c" * 256,
        authorization="k" * 8192,
        idempotency_key="i" * 64,
        headers=((b"accept", b"v" * 1024), (b"openai-" + b"n" * 57, b"v" * 1024)),
    )
    longest_response = response_head(
        content_type="c" * 256,
        protection=(0, "p" * 32),
        headers=((b"openai-" + b"n" * 57, b"v" * 1024), (b"x-request-id", b"v" * 1024)),
    )
    shortest_request = request_head(
        method="A",
        path="/",
        content_type="c",
        authorization="k",
        idempotency_key="i",
        headers=((b"openai-n", b""),),
    )
    shortest_response = response_head(content_type="c", protection=(0, ""), headers=((b"openai-n", b""),))
    unknown = head + tlv(0x80, b"") + tlv(0xFF, b"ignored")

    def plain_answer(writer: ResponseWriter) -> bytes:
        return writer.whole(response_head(), ANSWER)

    small = Case(max_frame=1024)
    small_head = request_head(max_frame=1024).encode()
    window_old = frames.plain_frames(request_head(time=NOW - 300_000).encode(), BODY, MAX_FRAME)
    window_new = frames.plain_frames(request_head(time=NOW + 300_000).encode(), BODY, MAX_FRAME)
    return [
        exchange("p256-whole-padded", "both directions whole and padded", p256, whole, plain_answer),
        exchange("p256-whole-unpadded", "no padding in either direction", p256, unpadded, plain_answer, padded=False),
        exchange(
            "p256-streamed-uniform",
            "a streamed answer in frames of 1024, their number padded",
            p256,
            whole,
            _streamed(pieces),
            answer=b"".join(pieces),
        ),
        exchange(
            "p256-streamed-unpadded",
            "a streamed answer without padding",
            p256,
            unpadded,
            _streamed(pieces),
            padded=False,
            answer=b"".join(pieces),
        ),
        exchange(
            "p256-streamed-error",
            "a streamed answer that ends with ERROR(upstream)",
            p256,
            whole,
            _streamed(pieces[:2], "upstream"),
            answer=b"".join(pieces[:2]),
            expect="error:upstream",
            requirements="ORDER-1",
        ),
        exchange(
            "p256-long-bodies",
            "bodies of several frames, padded",
            p256,
            frames.whole(head, long, MAX_FRAME),
            lambda writer: writer.whole(response_head(), long[::-1]),
            body=long,
            answer=long[::-1],
        ),
        exchange(
            "p256-cover-frames-small-limit",
            "padding that does not fit in END of a peer that takes frames of 1024",
            small,
            frames.whole(small_head, longer, 1024),
            lambda writer: writer.whole(response_head(), longer),
            body=longer,
            answer=longer,
            max_frame=1024,
            requirements="PAD-2 ORDER-8 FRAME-4",
        ),
        exchange(
            "p256-any-padding",
            "cover frames first and in the middle, zeros in every frame",
            p256,
            covers,
            plain_answer,
            requirements="PAD-2 ORDER-8",
        ),
        exchange(
            "p256-every-head-field",
            "every TLV of both heads",
            p256,
            frames.whole(full_request.encode(), b"", MAX_FRAME),
            lambda writer: writer.whole(full_response, b""),
            body=b"",
            answer=b"",
        ),
        exchange(
            "p256-longest-head-fields",
            "every text of both heads as long as it may be",
            p256,
            frames.whole(longest_request.encode(), BODY, MAX_FRAME),
            lambda writer: writer.whole(longest_response, ANSWER),
            requirements="HEAD-3 HEAD-7",
        ),
        exchange(
            "p256-shortest-head-fields",
            "every text of both heads as short as it may be",
            p256,
            frames.whole(shortest_request.encode(), BODY, MAX_FRAME),
            lambda writer: writer.whole(shortest_response, ANSWER),
            requirements="HEAD-3 HEAD-7",
        ),
        exchange(
            "p256-unknown-high-tags",
            "unknown tags from 0x80 are ignored",
            p256,
            frames.plain_frames(unknown, BODY, MAX_FRAME),
            plain_answer,
            requirements="HEAD-2",
        ),
        exchange("p256-time-window-old", "a time just inside the window", p256, window_old, plain_answer),
        exchange("p256-time-window-new", "a time just inside the window", p256, window_new, plain_answer),
        exchange("hybrid-whole-padded", "MLKEM768-P256", hybrid, whole, plain_answer),
        exchange(
            "hybrid-streamed-uniform",
            "MLKEM768-P256, streamed answer",
            hybrid,
            whole,
            _streamed(pieces),
            answer=b"".join(pieces),
        ),
        exchange("hybrid-whole-unpadded", "MLKEM768-P256, no padding", hybrid, unpadded, plain_answer, padded=False),
        exchange(
            "hybrid-streamed-unpadded",
            "MLKEM768-P256, a streamed answer without padding",
            hybrid,
            unpadded,
            _streamed(pieces),
            padded=False,
            answer=b"".join(pieces),
        ),
        exchange(
            "hybrid-long-bodies",
            "MLKEM768-P256, bodies of several frames, padded",
            hybrid,
            frames.whole(head, long, MAX_FRAME),
            lambda writer: writer.whole(response_head(), longer),
            body=long,
            answer=longer,
        ),
        exchange(
            "hybrid-streamed-error",
            "MLKEM768-P256, a streamed answer that ends with ERROR(timeout)",
            hybrid,
            whole,
            _streamed(pieces[:2], "timeout"),
            answer=b"".join(pieces[:2]),
            expect="error:timeout",
            requirements="ORDER-1",
        ),
    ]
