#!/usr/bin/env python3
"""Runs one program under QEMU, with the gateway of tests/interop at the other end of its serial line.

    host.py [--flip | --drop | --noise | --other-pin] ELF

The line is a socket that QEMU connects the board's UART to; frames travel in COBS packets (protocol section 13). It
stood before: the rest of a packet comes first, and frames of exchanges that nobody ended come before the first KEYS and
the first ACCEPT, which the program must pass over (RAW-4). The exit code is that of the program, which QEMU passes on from its semihosting
call, or 2 if the host fails: if the program does not begin with a zero byte, for one.

--flip changes one bit of the answer, --drop leaves a frame of it out, --noise puts a packet that holds no frame into
it, --other-pin gives the program another gateway's pin: each must make the program fail, by a panic, with exit code 1.
"""

import argparse
import pathlib
import socket
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

from sealwire_peer import cobs, frames  # noqa: E402
from sealwire_peer.exchange import GatewayExchange  # noqa: E402
from sealwire_peer.keys import pin_of  # noqa: E402
from sealwire_peer.server import answer, new_gateway  # noqa: E402

# What a client that waits for KEYS, or for ACCEPT, passes over.
STRAY = {
    kind: bytes([kind]) + len(body).to_bytes(3, "big") + body
    for kind, body in {
        frames.KEYS: bytes(70),
        frames.ACCEPT: bytes(32),
        frames.HEAD: bytes(40),
        frames.DATA: bytes(200),
        frames.END: bytes(18),
        frames.ERROR: bytes(19),
    }.items()
}
NO_FRAME = b"\x03\x11\x11\0"

QEMU = ["qemu-system-arm", "-cpu", "cortex-m4", "-machine", "mps2-an386", "-display", "none", "-monitor", "none"]


def split(data):
    """The frames in `data`."""
    while data:
        size = 4 + int.from_bytes(data[1:4], "big")
        yield data[:size]
        data = data[size:]


def stray(answering, done):
    """Packets that are of no answer to what was asked, the first time."""
    if answering in done:
        return b""
    done.add(answering)
    return b"".join(cobs.encode(frame) for kind, frame in STRAY.items() if kind != answering)


def replies(exchange, arguments):
    """The packets of the answer, damaged as the arguments ask."""
    out = [frame for part in answer(exchange) for frame in split(part)]
    data = [at for at, frame in enumerate(out) if frame[0] == frames.DATA]
    if data and arguments.flip:
        broken = bytearray(out[data[0]])
        broken[len(broken) // 2] ^= 1
        out[data[0]] = bytes(broken)
    if data and arguments.drop:
        del out[data[0]]
    packets = [cobs.encode(frame) for frame in out]
    if data and arguments.noise:
        packets.insert(data[0], NO_FRAME)
    return b"".join(packets)


def serve(line, gateway, key_set, arguments):
    """Exchange after exchange, until the program ends."""
    exchange, done = GatewayExchange(gateway, http=False), set()
    # The end of a packet that began before the program did.
    line.sendall(NO_FRAME)
    pending = line.recv(1)
    if pending != b"\0":
        raise ValueError("a sender that has just started begins with a zero byte")
    while chunk := line.recv(4096):
        *packets, pending = (pending + chunk).split(b"\0")
        for packet in filter(None, packets):
            exchange.feed(cobs.frame_in(packet))
            if exchange.keys_wanted:
                body = key_set.encode()
                keys = bytes([frames.KEYS]) + len(body).to_bytes(3, "big") + body
                out = stray(frames.KEYS, done) + cobs.encode(keys)
            elif exchange.ended:
                out = stray(frames.ACCEPT, done) + replies(exchange, arguments)
            else:
                continue
            line.sendall(out)
            exchange = GatewayExchange(gateway, http=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for fault in ("--flip", "--drop", "--noise", "--other-pin"):
        parser.add_argument(fault, action="store_true")
    parser.add_argument("elf")
    arguments = parser.parse_args()
    gateway, key_set = new_gateway()
    pin = pin_of((new_gateway()[1] if arguments.other_pin else key_set).identity)
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/line")
        listener.listen()
        semihosting = f"enable=on,target=native,arg={pathlib.Path(arguments.elf).name},arg={pin}"
        command = [*QEMU, "-chardev", f"socket,id=line,path={directory}/line", "-serial", "chardev:line"]
        command += ["-semihosting-config", semihosting, "-kernel", arguments.elf]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            listener.settimeout(300)
            line = listener.accept()[0]
            line.settimeout(120)
            try:
                serve(line, gateway, key_set, arguments)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the program ended before it had read everything
            return process.wait(timeout=60)
        finally:
            process.kill()


try:
    code = main()
except Exception:  # not the program's failure, whose code is 1
    traceback.print_exc()
    code = 2
sys.exit(code)
