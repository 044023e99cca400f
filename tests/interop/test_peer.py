"""Tests of the Python peer: python -m unittest, run from this folder."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import io
import json
import random
import tempfile
import threading
import unittest
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest import mock

from sealwire_peer import cobs, frames, hpke, make, vectors
from sealwire_peer.client import Client, GatewaySaid, InBetween
from sealwire_peer.errors import CannotSend, Malformed, Refused, TooLarge, Truncated, Undecryptable, Untrusted
from sealwire_peer.exchange import ClientExchange, GatewayExchange, Limits, ReplayStore, ResponseReceiver
from sealwire_peer.heads import RequestHead, ResponseHead
from sealwire_peer.keys import (
    Identity,
    KeySet,
    Signed,
    decode_key_set,
    decode_record,
    encode_record,
    key_set_from_json,
    pin_of,
)
from sealwire_peer.make import case
from sealwire_peer.make.exchanges import exchanges
from sealwire_peer.sealing import HYBRID_SUITE, P256_SUITE, Opener, Sealer, Secrets, open_header, request_info
from sealwire_peer.server import CHAT, Server, new_gateway
from sealwire_peer.stream import Line, fetch_keys, receive, serve

VECTORS = Path(__file__).parent.parent / "vectors"
PAGE = Path(__file__).parent.parent.parent / "docs" / "protocol.md"
CHAT_BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "one two"}]}).encode()


class Hpke(unittest.TestCase):
    def test_vectors_of_the_rfc_and_the_draft(self) -> None:
        """One of each KEM with HKDF-SHA256. Each says where it is from; only what is read here is kept of it."""
        encaps = {
            hpke.P256: partial(hpke.encap, hpke.P256),
            # Of the draft's randomness, m and the first candidate for the scalar, which is in range.
            hpke.MLKEM768_P256: lambda public, random: hpke.encap_derand(public, random[:64]),
        }
        published = json.loads((Path(__file__).parent / "hpke-vectors.json").read_text())
        self.assertEqual([vector["kem_id"] for vector in published], list(encaps))
        for vector in published:
            with self.subTest(vector["source"]):
                kem = vector["kem_id"]
                info, ikm_e, ikm_r, enc = (bytes.fromhex(vector[name]) for name in ("info", "ikmE", "ikmR", "enc"))
                private = hpke.derive_key_pair(kem, ikm_r)
                self.assertEqual(private.public.hex(), vector["pkRm"])
                shared = private.decap(enc)
                self.assertEqual(shared.hex(), vector["shared_secret"])
                self.assertEqual(encaps[kem](private.public, ikm_e), (shared, enc))
                context = hpke.key_schedule(kem, vector["kdf_id"], vector["aead_id"], shared, info)
                for export in vector["exports"]:
                    value = context.export(bytes.fromhex(export["exporter_context"]), export["L"])
                    self.assertEqual(value.hex(), export["exported_value"])

    def test_hybrid_agrees_with_itself(self) -> None:
        private = hpke.generate_key_pair(hpke.MLKEM768_P256)
        shared, enc = hpke.encap(hpke.MLKEM768_P256, private.public)
        self.assertEqual((len(private.public), len(enc)), (1249, 1153))
        self.assertEqual(private.decap(enc), shared)
        changed = bytes([enc[0] ^ 1]) + enc[1:]
        self.assertNotEqual(private.decap(changed), shared)
        with self.assertRaises(hpke.KemError):
            private.decap(enc[:-1] + bytes([enc[-1] ^ 1]))


class Layout(unittest.TestCase):
    def test_padme(self) -> None:
        known = {1: 1, 2: 2, 7: 7, 9: 10, 100: 104, 1000: 1024, 1025: 1088, 1 << 20: 1 << 20}
        for length, padded in known.items():
            self.assertEqual(frames.padme(length), padded)
        for length in range(1, 5000):
            padded = frames.padme(length)
            self.assertLessEqual(length, padded)
            self.assertLessEqual(padded, length * 1.13)
            self.assertEqual(frames.padme(padded), padded)

    def test_whole_is_padded_to_a_padme_length(self) -> None:
        for length in (0, 1, 900, 2004, 33_000, 65_537, 1_000_000):
            for limit in (1024, 16_404):
                layout = frames.whole(bytes(120), bytes(length), limit)
                head, *data, end = layout
                self.assertEqual((head.size, end.size), (256, 22))
                total = sum(plain.size for plain in data)
                bare = sum(plain.size for plain in frames.plain_frames(bytes(120), bytes(length), limit)[1:-1])
                self.assertIn(total - frames.padme(bare), range(22))
                self.assertTrue(all(plain.size == limit for plain in data[:-1]))
                self.assertEqual(b"".join(plain.content for plain in data), bytes(length))

    def test_streams_are_uniform(self) -> None:
        uniform = frames.Uniform(16_404)
        layout = [uniform.head(bytes(40), 16_404)]
        for length in (1, 1002, 1003, 5000):
            layout += uniform.piece(bytes(length))
        layout += uniform.last(frames.END, b"")
        self.assertEqual({plain.size for plain in layout}, {1024})
        self.assertEqual(len(layout), frames.padme(len(layout)))

    def test_cobs(self) -> None:
        dice = random.Random(1)
        for length in [*range(520), 1000, 70_000]:
            for data in (dice.randbytes(length), bytes(length), b"\1" * length):
                packet = cobs.encode(data)
                self.assertEqual(packet.index(0), len(packet) - 1)
                self.assertEqual(cobs.decode(packet[:-1]), data)

    def test_a_packet_whose_header_is_malformed_holds_no_frame(self) -> None:
        """RAW-1"""
        good = frames.frame(frames.DATA, bytes(18))
        self.assertEqual(cobs.frame_in(cobs.encode(good)[:-1]), good)
        for bad in (frames.frame(7, b"x"), frames.frame(frames.DATA, bytes(17)), frames.frame(frames.REJECT, bytes(2))):
            with self.assertRaises(Malformed):
                cobs.frame_in(cobs.encode(bad)[:-1])


class KeySets(unittest.TestCase):
    def test_an_array_is_no_object(self) -> None:
        """REC-5"""
        good = json.loads(KeySet(bytes(65), (Signed(b"record", bytes(64)),)).to_json())
        key_set_from_json(json.dumps(good))
        for bad in (list(good.values()), {**good, "keys": [list(good["keys"][0].values())]}, {**good, "keys": {}}):
            with self.assertRaises(Refused):
                key_set_from_json(json.dumps(bad))

    def test_a_long_number_in_a_member_that_is_ignored(self) -> None:
        """REC-5"""
        good = KeySet(bytes(65), (Signed(b"record", bytes(64)),))
        key_set_from_json('{"more": ' + "9" * 5000 + ", " + good.to_json()[1:])

    def test_a_record_is_as_long_as_its_length_can_say(self) -> None:
        """REC-5"""
        longest = KeySet(bytes(65), (Signed(bytes(65_535), bytes(64)),))
        self.assertEqual(key_set_from_json(longest.to_json()), longest)
        self.assertEqual(decode_key_set(longest.encode()), longest)
        with self.assertRaises(Refused):
            key_set_from_json(KeySet(bytes(65), (Signed(bytes(65_536), bytes(64)),)).to_json())

    def test_no_form_has_more_records_than_another(self) -> None:
        most = KeySet(bytes(65), (Signed(b"record", bytes(64)),) * 64)
        self.assertEqual(key_set_from_json(most.to_json()), most)
        self.assertEqual(decode_key_set(most.encode()), most)
        more = KeySet(bytes(65), most.keys * 2)
        with self.assertRaises(Refused):
            key_set_from_json(more.to_json())
        with self.assertRaises(Refused):
            decode_key_set(more.encode())


class Vectors(unittest.TestCase):
    def test_files(self) -> None:
        if not VECTORS.is_dir():
            self.skipTest("no vector files")
        good, problems = vectors.check_directory(VECTORS)
        self.assertEqual(problems, [])
        self.assertGreater(good, 0)

    def test_made_now(self) -> None:
        for vector in make.all_vectors():
            with self.subTest(vector["name"]):
                vectors.check(vector)

    def test_the_files_are_what_this_program_makes(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            made = Path(directory)
            vectors.make_directory(made)
            kept = VECTORS / "python"
            self.assertEqual(sorted(p.name for p in made.iterdir()), sorted(p.name for p in kept.iterdir()))
            for path in made.iterdir():
                self.assertEqual(path.read_bytes(), (kept / path.name).read_bytes(), f"{path.name}: run make-vectors")

    def test_a_changed_vector_does_not_hold(self) -> None:
        vector = exchanges()[0]
        for name in ("request_key", "response_base", "info", "key_id", "enc", "ikm_ephemeral"):
            value = vector[name]
            changed = {**vector, name: value[:-1] + ("0" if value[-1] != "0" else "1")}
            with self.assertRaises((vectors.Wrong, hpke.KemError), msg=name):
                vectors.check(changed)


class WorkedExchange(unittest.TestCase):
    """Section 15 of the page, computed again from its private keys and random values alone."""

    def test_the_page(self) -> None:
        values: dict[str, bytes] = {}
        name, inside = "", False
        for line in PAGE.read_text().splitlines():
            inside = line != "<!-- example:end -->" and (inside or line == "<!-- example:begin -->")
            if inside and line.startswith("    "):
                values[name] += bytes.fromhex(line)
            elif inside and line and not line.startswith(("`", "<")):
                name = line
                values[name] = b""
        identity = Identity(hpke.scalar_key(int.from_bytes(values.pop("identity, private"), "big")))
        private = hpke.derive_key_pair(hpke.P256, values.pop("epoch key, ikm of DeriveKeyPair"))
        encoded = encode_record(hpke.P256, private.public, case.NOW - 3_600_000, case.NOW + 82_800_000)
        record = decode_record(encoded)
        assert record
        ikm = values.pop("ephemeral key, ikm of DeriveKeyPair")
        shared, enc = hpke.encap(hpke.P256, private.public, ikm)
        header = open_header(P256_SUITE, record.key_id)
        secrets = Secrets.derive(P256_SUITE, shared, request_info(header))
        head = RequestHead.decode(values["request HEAD, content"])
        answer = ResponseHead.decode(values["response HEAD, content"])
        self.assertEqual((head.method, head.path, answer.status), ("POST", "/v1/chat/completions", 200))
        self.assertEqual(head.exchange_id, answer.exchange_id)
        nonce = values["ACCEPT, frame"][4:]
        key, base = secrets.response(enc, nonce)
        client, gateway = Sealer(secrets.request_key, secrets.request_nonce), Sealer(key, base)
        computed = {
            "identity, public": identity.public,
            "pin": bytes.fromhex(pin_of(identity.public).removeprefix("sha256:")),
            "epoch key, private": private.secret.private_numbers().private_value.to_bytes(32, "big"),
            "record": encoded,
            "signature": identity.sign(encoded),
            "key_id": record.key_id,
            "OPEN, frame": frames.frame(frames.OPEN, header + enc),
            "info": request_info(header),
            "request_key": secrets.request_key,
            "request_nonce": secrets.request_nonce,
            "response_secret": secrets.response_secret,
            "request HEAD, content": head.encode(),
            "ACCEPT, frame": frames.frame(frames.ACCEPT, nonce),
            "response_key": key,
            "response_base": base,
            "response HEAD, content": answer.encode(),
        }
        for direction, sealer in (("request", client), ("response", gateway)):
            for kind, name in ((frames.HEAD, "HEAD"), (frames.DATA, "DATA"), (frames.END, "END")):
                content = values.get(f"{direction} {name}, content", b"")
                computed[f"{direction} {name}, frame"] = sealer.seal(frames.Plain(kind, content))
        for direction in ("request", "response"):
            computed[f"{direction} DATA, content"] = values[f"{direction} DATA, content"]
            self.assertIn("messages" if direction == "request" else "choices", json.loads(values[f"{direction} DATA, content"]))
        self.assertEqual({k: v.hex() for k, v in values.items()}, {k: v.hex() for k, v in computed.items()})


class Exchanges(unittest.TestCase):
    """Both ends, without HTTP."""

    def setUp(self) -> None:
        self.gateway, self.keys = new_gateway()

    def client(self, kem: int = hpke.P256, body: bytes = CHAT_BODY, http: bool = True) -> ClientExchange:
        held = next(key for key in self.gateway.keys if key.record.kem == kem)
        head = case.request_head(time=self.gateway.clock())
        suite = P256_SUITE if kem == hpke.P256 else HYBRID_SUITE
        return ClientExchange(held.record, suite, head, body, http=http)

    def test_every_changed_bit_is_noticed(self) -> None:
        client = self.client(body=b"short")
        answer = self._answer(client.request)
        for changed in self._changed(client.request):
            end = GatewayExchange(self.gateway)
            end.feed(changed)
            end.finish()
            self.assertIsNotNone(end.refusal, changed.hex())
        for changed in self._changed(answer):
            receiver = self._fresh(client)
            with self.assertRaises((Malformed, Truncated, TooLarge, Undecryptable), msg=changed.hex()):
                receiver.receive(changed)

    @staticmethod
    def _changed(wire: bytes) -> Iterator[bytes]:
        for at in range(len(wire)):
            for bit in range(8):
                yield wire[:at] + bytes([wire[at] ^ 1 << bit]) + wire[at + 1 :]

    def _answer(self, request: bytes) -> bytes:
        end = GatewayExchange(self.gateway)
        end.feed(request)
        end.finish()
        assert end.head and not end.refusal
        return end.writer().whole(ResponseHead(200, end.head.exchange_id), b"fine")

    @staticmethod
    def _fresh(client: ClientExchange) -> ResponseReceiver:
        old = client.receiver
        return ResponseReceiver(old._secrets, old._enc, old._exchange_id, old._max_frame)

    def test_every_cut_is_noticed(self) -> None:
        client = self.client()
        answer = self._answer(client.request)
        for at in range(len(answer)):
            with self.assertRaises(Truncated):
                self._fresh(client).receive(answer[:at])
        done, body = self._fresh(client).receive(answer)
        self.assertEqual((done.name, body), ("complete", b"fine"))

    def test_random_bytes_never_do_anything_else(self) -> None:
        dice = random.Random(2)
        for _ in range(300):
            noise = dice.randbytes(dice.randrange(200))
            if dice.random() < 0.5:
                noise = b"\x03\x00\x00\x50\x01\x00\x10\x00\x01\x00\x02" + noise
            end = GatewayExchange(self.gateway)
            end.feed(noise)
            end.finish()
            self.assertTrue(end.refusal and end.refusal.kind == "reject")

    def test_what_can_be_followed_is_read_to_its_end(self) -> None:
        """ORDER-3: refused by its content, its order or its size, a request goes on; by its framing, or the limit of reading on, it does not."""
        end = frames.frame(frames.END, bytes(18))
        first = frames.frame(frames.OPEN, self.client().open_body)
        many = frames.frame(frames.DATA, bytes(996))
        self.gateway.limits = Limits(request_wire=2000)
        for wire, refusal, goes_on in (
            (first + frames.frame(frames.HEAD, bytes(18)), "reject:undecryptable", True),
            (first + many, "reject:malformed", True),
            (first + frames.frame(frames.HEAD, bytes(20_000)), "reject:too large", False),  # above both limits
            (first + frames.frame(frames.HEAD, bytes(2500)), "reject:too large", True),  # above the first
            (many, "reject:malformed", True),
            (many * 5, "reject:malformed", False),
            (first + first, "reject:malformed", False),
            (first + bytes.fromhex("10000011"), "reject:malformed", False),
        ):
            with self.subTest(refusal=refusal, length=len(wire)):
                exchange = GatewayExchange(self.gateway, http=False)
                exchange.feed(wire)
                self.assertEqual((exchange.ended, exchange.stopped), (not goes_on, not goes_on))
                exchange.feed(end)
                self.assertEqual((exchange.ended, exchange.stopped), (True, not goes_on))
                self.assertEqual(exchange.refusal and exchange.refusal.name, refusal)

    def test_a_refused_end_is_the_end(self) -> None:
        """ORDER-3"""
        request = self.client(http=False).request
        exchange = GatewayExchange(self.gateway, http=False)
        exchange.feed(request[:-1] + bytes([request[-1] ^ 1]))
        self.assertTrue(exchange.ended and not exchange.stopped)
        self.assertEqual(exchange.refusal and exchange.refusal.name, "error:malformed")

    def test_the_time_is_told_when_the_error_is_sealed(self) -> None:
        """Section 8.1; and 9.2: its size is 1024, though the client asked for none."""
        held, clock = self.gateway.keys[0], self.gateway.clock()
        head = dataclasses.replace(case.request_head(time=clock - 300_001), padding=0)
        client = ClientExchange(held.record, P256_SUITE, head, b"", pad=False)
        self.gateway.clock = lambda: clock
        exchange = GatewayExchange(self.gateway)
        exchange.feed(client.request)
        self.gateway.clock = lambda: clock + 5
        answer = exchange.refuse()
        self.assertEqual(len(answer), 36 + 1024)
        done, _ = client.receiver.receive(answer)
        self.assertEqual((done.name, int.from_bytes(done.detail, "big")), ("error:time", clock + 5))

    def test_a_clock_that_is_set_back_forgets_nothing(self) -> None:
        """Section 11"""
        store = ReplayStore(1)
        self.assertIsNone(store.admit(b"one", 1000, 900))
        self.assertIsNone(store.admit(b"two", 3000, 2000))
        self.assertEqual(store.admit(b"one", 1000, 900), "time")
        self.assertEqual(store.admit(b"two", 3000, 900), "replay")
        self.assertEqual(store.admit(b"three", 2000, 900), "busy")

    def test_a_body_above_what_the_record_promises_is_not_sealed(self) -> None:
        """Section 5.1"""
        record = dataclasses.replace(self.gateway.keys[0].record, max_request=3)
        with self.assertRaises(CannotSend):
            ClientExchange(record, P256_SUITE, case.request_head(), b"four")

    def test_one_frame_too_many_is_malformed(self) -> None:
        """SEAL-6"""
        opener = Opener(bytes(32), bytes(12))
        opener.sequence = 1 << 32
        with self.assertRaises(Malformed):
            opener.open(frames.Frame(frames.DATA, b"", bytes(18)))

    def test_what_closes_a_stream_is_answered_first(self) -> None:
        """ORDER-4, 13.2"""
        whole = self.client(http=False).request
        for wire, kinds in (
            (whole[:-22], [frames.ACCEPT, frames.ERROR]),
            (whole[:-1], [frames.ACCEPT, frames.ERROR]),
            (whole[:2], [frames.REJECT]),
            (b"\x07\x00\x00\x01", [frames.REJECT]),
            (b"", []),
        ):
            self.gateway.replays = ReplayStore()
            back = io.BytesIO()
            serve(Line(io.BytesIO(wire), back), self.gateway, self.keys)
            answers = Line(io.BytesIO(back.getvalue()), io.BytesIO())
            self.assertEqual([frame[0] for frame in iter(answers.next, None)], kinds)

    def test_cancel_on_a_stream(self) -> None:
        client = self.client(http=False)
        end = GatewayExchange(self.gateway, http=False)
        end.feed(client.request)
        self.assertTrue(end.ended and not end.refusal)
        end.feed(client.cancel())
        done, _ = client.receiver.receive(end.refuse())
        self.assertEqual(done.name, "error:cancelled")

    def test_a_line_that_cannot_be_closed(self) -> None:
        """RAW-1, RAW-4: whoever begins anew is heard, in the middle of a request, after noise, and after a frame of nothing."""
        lost, found = self.client(http=False), self.client(http=False)
        there = io.BytesIO()
        line = Line(io.BytesIO(), there, packets=True)
        line.send(frames.frame(frames.DATA, bytes(18)))
        line.send(lost.request[:-22])  # without END
        there.write(b"\x09\x01noise\0")
        line.send(frames.frame(frames.HEAD, bytes(18)))  # of what was forgotten
        line.send(lost.request[:-22])
        line.send(frames.frame(frames.KEYS_REQUEST, b"\x01"))
        line.send(frames.frame(frames.END, bytes(18)))
        line.send(self.client(http=False).request[:-22])
        line.send(found.request)
        line.send(found.cancel())  # late
        back = io.BytesIO()
        serve(Line(io.BytesIO(there.getvalue()), back, packets=True), self.gateway, self.keys)
        stale = b"\0\x03no\0" + cobs.encode(frames.frame(frames.DATA, bytes(18)))
        answers = Line(io.BytesIO(stale + back.getvalue()), io.BytesIO(), packets=True)
        with self.assertRaises(Malformed):  # it may have been KEYS
            fetch_keys(answers)
        self.assertEqual(fetch_keys(answers), self.keys)
        done, body = receive(answers, found)
        self.assertEqual(done.name, "complete")
        self.assertIn(b"choices", body)
        self.assertIsNone(answers.next())


class Http(unittest.TestCase):
    def setUp(self) -> None:
        self.gateway, keys = new_gateway()
        self.server = Server(("127.0.0.1", 0), self.gateway, keys)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"

    def tearDown(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def test_answers(self) -> None:
        for suite in (P256_SUITE, HYBRID_SUITE):
            for stream in (False, True):
                request = {**json.loads(CHAT_BODY), "stream": stream}
                client = Client(self.base, suite, self.server.pin)
                head, *body = client.send("POST", CHAT, "application/json", json.dumps(request).encode())
                assert isinstance(head, ResponseHead)
                self.assertEqual(head.status, 200)
                text = b"".join(piece for piece in body if isinstance(piece, bytes))
                self.assertIn(b"[DONE]" if stream else b"one two", text)

    def test_a_wrong_clock_is_set_right_once(self) -> None:
        behind = Client(self.base, P256_SUITE, self.server.pin, clock=lambda: self.gateway.clock() - 400_000)
        with self.assertRaises(Refused):  # to this client the record is not valid yet (TIME-1)
            list(behind.send("POST", CHAT, None, CHAT_BODY))
        ahead = Client(self.base, P256_SUITE, self.server.pin, clock=lambda: self.gateway.clock() + 400_000)
        self.assertGreater(len(list(ahead.send("POST", CHAT, None, CHAT_BODY))), 1)
        self.assertEqual(ahead.tries, 2)

    def test_each_try_looks_at_the_clock(self) -> None:
        """TIME-1: a cached record that has run out is not used."""
        now = self.gateway.clock()
        client = Client(self.base, P256_SUITE, self.server.pin, clock=lambda: now)
        list(client.send("POST", CHAT, None, CHAT_BODY))
        now += 86_400_000
        with self.assertRaises(Refused):
            list(client.send("POST", CHAT, None, CHAT_BODY))
        self.assertEqual(client.tries, 1)

    def test_time_and_replay_are_one_kind_of_again(self) -> None:
        """Section 8.1"""
        client = Client(self.base, P256_SUITE, self.server.pin, clock=lambda: self.gateway.clock() + 400_000)
        with (
            mock.patch.object(self.gateway.replays, "admit", return_value="replay"),
            self.assertRaises(GatewaySaid) as caught,
        ):
            list(client.send("POST", CHAT, None, CHAT_BODY))
        self.assertEqual((caught.exception.answer.name, client.tries), ("error:replay", 2))

    def test_a_key_set_of_another_content_type_is_none(self) -> None:
        """HTTP-3"""
        client = Client(self.base, P256_SUITE, self.server.pin)
        with mock.patch("sealwire_peer.client._content_type", return_value="text/html"), self.assertRaises(InBetween):
            client.keys()

    def test_a_body_that_breaks_behind_end_loses_nothing(self) -> None:
        """ORDER-5, HTTP-5"""
        read1 = http.client.HTTPResponse.read1

        def broken(reply: http.client.HTTPResponse, n: int = -1) -> bytes:
            data = read1(reply, n)
            if not data:
                raise ConnectionResetError
            return data

        client = Client(self.base, P256_SUITE, self.server.pin)
        with mock.patch.object(http.client.HTTPResponse, "read1", broken):
            self.assertGreater(len(list(client.send("POST", CHAT, None, CHAT_BODY))), 1)

    def test_new_keys_are_fetched_once(self) -> None:
        client = Client(self.base, P256_SUITE, self.server.pin)
        list(client.send("POST", CHAT, None, CHAT_BODY))
        self.gateway.keys.clear()
        with self.assertRaises(GatewaySaid) as caught:
            list(client.send("POST", CHAT, None, CHAT_BODY))
        self.assertEqual(caught.exception.answer.name, "reject:key")  # SUITE-2: what is offered needs no key
        self.assertEqual(client.tries, 3)

    def test_another_identity_stops_the_client(self) -> None:
        pin = "sha256:" + hashlib.sha256(b"another").hexdigest()
        with self.assertRaises(Untrusted):
            list(Client(self.base, P256_SUITE, pin).send("POST", CHAT, None, CHAT_BODY))

    def test_a_path_that_is_not_served(self) -> None:
        with self.assertRaises(GatewaySaid) as caught:
            list(Client(self.base, P256_SUITE, self.server.pin).send("GET", "/metrics", None, b""))
        self.assertEqual(caught.exception.answer.name, "error:forbidden")


if __name__ == "__main__":
    unittest.main()
