#!/usr/bin/env python3
"""Runs one program under QEMU, with the gateway of tests/interop at the other end of its serial line.

    host.py [--flip | --drop | --other-pin] ELF

The line is a socket that QEMU connects the board's UART to; frames travel in COBS packets (protocol section 13). The
exit code is that of the program, which QEMU passes on from its semihosting call.

--flip changes one bit of the answer, --drop leaves a frame of it out, --other-pin gives the program another gateway's
pin: each must make the program fail, by a panic, with exit code 1.
"""

import argparse
import pathlib
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

from sealwire_peer import cobs, frames  # noqa: E402
from sealwire_peer.exchange import GatewayExchange  # noqa: E402
from sealwire_peer.keys import pin_of  # noqa: E402
from sealwire_peer.server import answer, new_gateway  # noqa: E402

QEMU = ["qemu-system-arm", "-cpu", "cortex-m4", "-machine", "mps2-an386", "-display", "none", "-monitor", "none"]


def split(data):
    """The frames in `data`."""
    while data:
        size = 4 + int.from_bytes(data[1:4], "big")
        yield data[:size]
        data = data[size:]


def replies(exchange, arguments):
    """The frames of the answer, damaged as the arguments ask."""
    out = [frame for part in answer(exchange) for frame in split(part)]
    data = [at for at, frame in enumerate(out) if frame[0] == frames.DATA]
    if data and arguments.flip:
        broken = bytearray(out[data[0]])
        broken[len(broken) // 2] ^= 1
        out[data[0]] = bytes(broken)
    if data and arguments.drop:
        del out[data[0]]
    return out


def serve(line, gateway, key_set, arguments):
    """Exchange after exchange, until the program ends."""
    exchange = GatewayExchange(gateway, http=False)
    pending = b""
    while chunk := line.recv(4096):
        *packets, pending = (pending + chunk).split(b"\0")
        for packet in filter(None, packets):
            exchange.feed(cobs.frame_in(packet))
            if exchange.keys_wanted:
                body = key_set.encode()
                out = [bytes([frames.KEYS]) + len(body).to_bytes(3, "big") + body]
            elif exchange.ended:
                out = replies(exchange, arguments)
            else:
                continue
            line.sendall(b"".join(cobs.encode(frame) for frame in out))
            exchange = GatewayExchange(gateway, http=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for fault in ("--flip", "--drop", "--other-pin"):
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
            listener.settimeout(30)
            line = listener.accept()[0]
            line.settimeout(60)
            try:
                serve(line, gateway, key_set, arguments)
            except ConnectionResetError:
                pass  # the program ended before it had read everything
            return process.wait(timeout=10)
        finally:
            process.kill()


sys.exit(main())
