// An exchange between two instances of the module, a client and a gateway, with Node carrying the bytes.
//
//     node drive.mjs MODULE.wasm

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { randomFillSync } from 'node:crypto';

const module = new WebAssembly.Module(readFileSync(process.argv[2]));

class End {
  constructor({ random = (view) => randomFillSync(view) } = {}) {
    const host = {
      unix_millis: () => Date.now(),
      monotonic_millis: () => performance.now(),
      random: (at, len) => (random(this.view(at, len)) ? 0 : 1),
      panicked: (at, len) => { this.panic = Buffer.from(this.view(at, len)).toString(); },
    };
    this.exports = new WebAssembly.Instance(module, { host }).exports;
    this.buffer = this.exports.buffer();
  }
  // A new view each time: growing memory detaches the old ones.
  view(at, len) { return new Uint8Array(this.exports.memory.buffer, at, len); }
  put(bytes) { this.view(this.buffer, bytes.length).set(bytes); return bytes.length; }
  taken(len) { return Buffer.from(this.view(this.buffer, len)); }
  copies(text) {
    const memory = Buffer.from(this.exports.memory.buffer);
    let count = 0;
    for (let at = memory.indexOf(text); at >= 0; at = memory.indexOf(text, at + 1)) count += 1;
    return count;
  }
}

// Carries bytes until neither end has any, in pieces of at most `piece` bytes; returns what crossed.
function carry(client, gateway, piece, change = (bytes) => bytes) {
  const crossed = [];
  const pump = (out, into, bytes = Buffer.concat([...drain(out)])) => {
    for (let at = 0; at < bytes.length; at += piece) into(bytes.subarray(at, at + piece));
    crossed.push(bytes);
    return bytes.length;
  };
  function* drain([end, output]) { for (let len; (len = end.exports[output]()) > 0;) yield end.taken(len); }
  let moved;
  do {
    moved = pump([client, 'client_output'], (bytes) => gateway.exports.gateway_input(gateway.put(bytes)));
    const back = change(Buffer.concat([...drain([gateway, 'gateway_output'])]), crossed.length);
    moved += pump(null, (bytes) => client.exports.client_input(client.put(bytes)), back);
  } while (moved > 0);
  return Buffer.concat(crossed);
}

const prompt = 'how is the patient in bed 4?';
const body = Buffer.from(JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: prompt }] }));

function pair(options) {
  const [client, gateway] = [new End(options), new End()];
  gateway.exports.gateway_start();
  client.pin = gateway.taken(32);
  return [client, gateway];
}

function start(client, suite, pin = client.pin) {
  client.put(Buffer.concat([pin, body]));
  client.exports.client_start(body.length, suite);
}

function fails(client, run, message) {
  assert.throws(run, WebAssembly.RuntimeError);
  assert.match(client.panic, message);
}

for (const suite of [0, 1]) {
  for (const piece of [1, 1000, 60000]) {
    const [client, gateway] = pair();
    start(client, suite);
    const crossed = carry(client, gateway, piece);
    const length = client.exports.client_answer();
    assert.deepEqual(client.taken(length), body, 'the answer repeats the request');
    assert.equal(crossed.indexOf(prompt), -1, 'the prompt crossed in the clear');
    assert.ok(client.copies(prompt) > 0, 'the search finds what is there');
    client.exports.client_end();
    assert.equal(client.copies(prompt), 0, 'a copy of the prompt is left');
    assert.ok(gateway.exports.reports_zeroing_only());
  }
}

// What must fail does.
{
  const [client, gateway] = pair();
  start(client, 0);
  const flip = (bytes, round) => {
    if (round > 2 && bytes.length > 1000) bytes[bytes.length - 1000] ^= 1;
    return bytes;
  };
  fails(client, () => carry(client, gateway, 1000, flip), /did not authenticate|decrypt/i);
}
{
  const [client, gateway] = pair();
  start(client, 0, Buffer.alloc(32, 7));
  fails(client, () => carry(client, gateway, 1000), /not the pinned one/);
}
{
  const [client, gateway] = pair({ random: () => false });
  start(client, 0);
  fails(client, () => carry(client, gateway, 1000), /random/i);
}
{
  const [client, gateway] = pair();
  start(client, 0);
  carry(client, gateway, 1000, (bytes, round) => (round > 2 ? bytes.subarray(0, -1) : bytes));
  assert.equal(client.exports.client_answer(), 0, 'an answer that was cut is not whole');
}
console.log('wasm: 6 exchanges, 4 refusals');
