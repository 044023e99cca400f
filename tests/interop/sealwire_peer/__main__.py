"""python -m sealwire_peer client|server|vectors|make-vectors|selftest"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
from pathlib import Path

from . import vectors
from .client import Client, GatewaySaid, InBetween, sse_texts
from .errors import ProtocolError, Refused, Untrusted
from .heads import ResponseHead
from .sealing import HYBRID_SUITE, P256_SUITE
from .server import CHAT, Server, new_gateway

EXITS = """exit codes of `client`: 0 answered, 1 the gateway or model refused, 2 usage,
3 keys or identity refused, 4 the answer was changed or cut, 5 network or something in between"""


def chat(arguments: argparse.Namespace) -> int:
    if arguments.pin is None and not arguments.dangerously_trust_any_identity:
        print("no --pin: refusing to trust whatever key arrives", file=sys.stderr)
        return 3
    key = os.environ.get(arguments.api_key_variable)
    client = Client(
        arguments.gateway,
        HYBRID_SUITE if arguments.suite == "hybrid" else P256_SUITE,
        arguments.pin,
        authorization=f"Bearer {key}" if key else None,
        pad=not arguments.no_padding,
    )
    prompt = sys.stdin.read() if arguments.prompt == "-" else arguments.prompt
    body = {"model": arguments.model, "messages": [{"role": "user", "content": prompt}]}
    if arguments.stream:
        body["stream"] = True
    try:
        return _print_answer(client, json.dumps(body).encode(), arguments.path)
    except (Untrusted, Refused) as error:
        print(f"keys: {error}", file=sys.stderr)
        return 3
    except ProtocolError as error:
        print(f"{error.name}: {error}", file=sys.stderr)
        return 4
    except GatewaySaid as error:
        print(error, file=sys.stderr)
        return 1
    except (InBetween, OSError) as error:
        print(error, file=sys.stderr)
        return 5


def _print_answer(client: Client, body: bytes, path: str) -> int:
    parts = client.send("POST", path, "application/json", body)
    head = next(parts)
    assert isinstance(head, ResponseHead)
    pieces = (part for part in parts if isinstance(part, bytes))
    if head.status >= 300:
        print(f"status {head.status}: {b''.join(pieces).decode(errors='replace')}", file=sys.stderr)
        return 1
    if (head.content_type or "").startswith("text/event-stream"):
        for text in sse_texts(pieces):
            print(text, end="", flush=True)
        for _ in pieces:  # the answer is whole only when END verified
            pass
        print()
        return 0
    answer = json.loads(b"".join(pieces))
    print(answer["choices"][0]["message"]["content"])
    return 0


def serve(arguments: argparse.Namespace) -> int:
    host, _, port = arguments.listen.rpartition(":")
    gateway, key_set = new_gateway()
    server = Server((host, int(port)), gateway, key_set, arguments.base)
    print(f"listening on http://{host}:{server.server_address[1]}{server.base}", flush=True)
    print(f"pin {server.pin}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    return 0


def check_vectors(arguments: argparse.Namespace) -> int:
    good, problems = vectors.check_directory(Path(arguments.directory))
    for problem in problems:
        print(problem)
    print(f"{good} vectors hold, {len(problems)} do not")
    return 0 if good and not problems else 1


def make_vectors(arguments: argparse.Namespace) -> int:
    print(f"{vectors.make_directory(Path(arguments.directory))} vectors written")
    return 0


def selftest(_: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as directory:
        vectors.make_directory(Path(directory))
        good, problems = vectors.check_directory(Path(directory))
    gateway, key_set = new_gateway()
    server = Server(("127.0.0.1", 0), gateway, key_set)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    for suite in (P256_SUITE, HYBRID_SUITE):
        for stream in (False, True):
            request = {"model": "echo", "messages": [{"role": "user", "content": "a b"}], "stream": stream}
            parts = list(Client(base, suite, server.pin).send("POST", CHAT, None, json.dumps(request).encode()))
            if not isinstance(parts[0], ResponseHead) or len(parts) < 2:
                problems.append(f"no answer for {suite}")
    server.shutdown()
    server.server_close()
    print(*problems, f"{good} vectors and 4 exchanges", "failed" if problems else "ok", sep="\n")
    return 1 if problems else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="sealwire_peer", epilog=EXITS)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("client", help="ask a model behind a gateway", epilog=EXITS)
    command.add_argument("--gateway", required=True, metavar="URL")
    command.add_argument("--model", required=True)
    command.add_argument("--pin", help="sha256: and 64 hexadecimal digits")
    command.add_argument("--dangerously-trust-any-identity", action="store_true")
    command.add_argument("--suite", choices=("p256", "hybrid"), default="p256")
    command.add_argument("--stream", action="store_true")
    command.add_argument("--no-padding", action="store_true")
    command.add_argument("--path", default=CHAT)
    command.add_argument("--api-key-variable", default="SEALWIRE_API_KEY", metavar="NAME")
    command.add_argument("prompt", help="the prompt; - reads it from standard input")
    command.set_defaults(run=chat)

    command = commands.add_parser("server", help="a gateway with an echo model")
    command.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    command.add_argument("--base", default="", help="path prefix, such as /llm")
    command.set_defaults(run=serve)

    command = commands.add_parser("vectors", help="check every vector file under a directory")
    command.add_argument("directory")
    command.set_defaults(run=check_vectors)

    command = commands.add_parser("make-vectors", help="write this peer's vectors")
    command.add_argument("directory")
    command.set_defaults(run=make_vectors)

    command = commands.add_parser("selftest", help="vectors in memory, exchanges over loopback")
    command.set_defaults(run=selftest)

    arguments = parser.parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
