//! Seeds of targets whose input is a structure: written as `arbitrary` reads it, numbers from the front, lengths of slices from the back.
//! `cargo fuzz fmt TARGET FILE` shows what one says.

use crate::Seeds;

/// The bytes of a structure. At most 256, so that a length is one byte.
#[derive(Clone, Default)]
struct Script {
    front: Vec<u8>,
    back: Vec<u8>,
}

impl Script {
    /// Numbers, little-endian; `bool` is a number too.
    fn put(mut self, bytes: &[u8]) -> Self {
        self.front.extend_from_slice(bytes);
        self
    }

    fn slice(mut self, bytes: &[u8]) -> Self {
        self.back.push(bytes.len() as u8);
        self.put(bytes)
    }

    /// Another item of a list, which is variant `index` of `count`.
    fn item(self, index: u64, count: u64) -> Self {
        let number = (index << 32).div_ceil(count) as u32;
        self.put(&[1]).put(&number.to_le_bytes())
    }

    fn finish(mut self) -> Vec<u8> {
        self.back.reverse();
        self.front.extend_from_slice(&[0; 4]);
        self.front.extend_from_slice(&self.back);
        assert!(self.front.len() <= 256, "lengths would be two bytes");
        self.front
    }
}

/// The start of a plan, for another seed of it.
fn session(trust: u8, knows_key: u8, http: u8) -> Script {
    Script::default().put(&[trust, knows_key, http, 1])
}

/// An action of `session` and the bytes of its numbers.
fn act(script: Script, (index, numbers): &(u64, &[u8])) -> Script {
    script.item(*index, 20).put(numbers)
}

fn op(script: Script, (index, numbers): &(u64, &[u8])) -> Script {
    script.item(*index, 17).put(numbers)
}

type Steps = &'static [(u64, &'static [u8])];

const SEND: (u64, &[u8]) = (6, &[0, 16]);
const OK: (u64, &[u8]) = (10, &[200, 0, 0]);
const EVENT: (u64, &[u8]) = (15, &[]);

const SESSIONS: &[(&str, u8, u8, Steps)] = &[
    (
        "answered",
        0,
        0,
        &[
            (0, &[]),
            (5, &[]),
            SEND,
            (9, &[]),
            OK,
            EVENT,
            (12, &[]),
            EVENT,
            (16, &[]),
            EVENT,
        ],
    ),
    (
        "known-key",
        0,
        1,
        &[
            (5, &[]),
            SEND,
            (9, &[]),
            OK,
            EVENT,
            (12, &[]),
            EVENT,
            (16, &[]),
        ],
    ),
    (
        "asked",
        2,
        0,
        &[(0, &[]), (4, &[1]), SEND, (9, &[]), OK, EVENT],
    ),
    ("not-trusted", 2, 0, &[(1, &[]), (4, &[0]), SEND]),
    ("stranger", 1, 1, &[(0, &[]), SEND]),
    (
        "rejected-key",
        3,
        1,
        &[SEND, (8, &[3]), EVENT, (0, &[]), SEND, (8, &[7]), EVENT],
    ),
    (
        "rejected-busy",
        3,
        1,
        &[
            SEND,
            (8, &[5]),
            EVENT,
            (19, &[2, 0]),
            SEND,
            (8, &[5]),
            EVENT,
            (19, &[4, 0]),
            SEND,
        ],
    ),
    (
        "wrong-time",
        3,
        1,
        &[
            SEND,
            (9, &[]),
            (13, &[3, 1, 0, 0, 0, 0, 1, 0, 0, 0]),
            EVENT,
            SEND,
            (9, &[]),
            (13, &[4, 0]),
            EVENT,
        ],
    ),
    (
        "upstream",
        3,
        1,
        &[
            SEND,
            (9, &[]),
            (13, &[7, 0]),
            EVENT,
            (19, &[9, 0]),
            SEND,
            (9, &[]),
            OK,
            EVENT,
            (13, &[7, 0]),
            EVENT,
        ],
    ),
    (
        "429",
        3,
        1,
        &[
            SEND,
            (9, &[]),
            (10, &[173, 1, 1, 5, 0, 0, 0]),
            EVENT,
            (19, &[5, 0]),
            SEND,
        ],
    ),
    (
        "proxy-502",
        3,
        1,
        &[
            SEND,
            (7, &[246, 1, 0, 0]),
            (19, &[5, 0]),
            SEND,
            (7, &[147, 1, 0, 0]),
        ],
    ),
    (
        "reset",
        3,
        1,
        &[
            (17, &[0]),
            (19, &[5, 0]),
            SEND,
            (17, &[1]),
            (19, &[5, 0]),
            SEND,
            (17, &[2]),
        ],
    ),
    (
        "truncated",
        3,
        1,
        &[
            SEND,
            (16, &[]),
            (19, &[5, 0]),
            SEND,
            (9, &[]),
            OK,
            EVENT,
            (16, &[]),
        ],
    ),
    ("timeout-connect", 3, 1, &[SEND, (19, &[11, 0]), (18, &[])]),
    ("timeout-total", 3, 1, &[(17, &[1]), (19, &[9, 9]), EVENT]),
    ("key-error", 3, 0, &[(3, &[])]),
];

const EXCHANGES: &[(&str, u8, Steps)] = &[
    ("left-alone", 1, &[]),
    ("left-alone-stream", 0, &[]),
    (
        "by-hand",
        1,
        &[
            (0, &[0, 8]),
            (1, &[0, 8]),
            (10, &[]),
            (2, &[]),
            (3, &[0, 0]),
            (5, &[]),
            (7, &[0, 8]),
            (8, &[0, 8]),
            (11, &[]),
        ],
    ),
    (
        "bytes",
        0,
        &[
            (0, &[1, 0]),
            (1, &[1, 0]),
            (0, &[7, 0]),
            (1, &[3, 0]),
            (1, &[9, 0]),
        ],
    ),
    (
        "cancel",
        0,
        &[
            (0, &[0, 8]),
            (9, &[]),
            (0, &[0, 8]),
            (1, &[0, 8]),
            (1, &[0, 8]),
            (7, &[0, 8]),
            (8, &[0, 8]),
        ],
    ),
    (
        "cancel-late",
        0,
        &[
            (0, &[0, 8]),
            (1, &[0, 8]),
            (3, &[64, 0]),
            (9, &[]),
            (0, &[0, 8]),
            (1, &[0, 8]),
        ],
    ),
    (
        "fails",
        1,
        &[
            (0, &[0, 8]),
            (1, &[0, 8]),
            (10, &[]),
            (3, &[64, 0]),
            (6, &[7]),
        ],
    ),
    ("fails-at-once", 0, &[(0, &[0, 8]), (1, &[0, 8]), (6, &[8])]),
    ("keys-first", 0, &[(12, &[]), (1, &[9, 0]), (0, &[0, 8])]),
    (
        "changed-head",
        1,
        &[(0, &[0, 8]), (13, &[99, 0, 1]), (1, &[0, 8])],
    ),
    (
        "changed-answer",
        1,
        &[
            (0, &[0, 8]),
            (1, &[0, 8]),
            (10, &[]),
            (3, &[0, 0]),
            (5, &[]),
            (7, &[0, 8]),
            (14, &[50, 0, 4]),
        ],
    ),
    ("cut-request", 0, &[(0, &[0, 8]), (15, &[120, 0])]),
    (
        "cut-answer",
        1,
        &[
            (0, &[0, 8]),
            (1, &[0, 8]),
            (10, &[]),
            (3, &[0, 0]),
            (7, &[0, 8]),
            (16, &[60, 0]),
        ],
    ),
    ("early-eof", 1, &[(0, &[40, 0]), (1, &[40, 0]), (10, &[])]),
];

pub(crate) fn write(seeds: &mut Seeds) {
    for (name, trust, knows_key, steps) in SESSIONS {
        for (wire, http) in [("http", 1), ("stream", 0)] {
            let script = steps.iter().fold(session(*trust, *knows_key, http), act);
            seeds.add("session", &format!("{name}-{wire}"), &script.finish());
        }
    }
    let body = |script: Script| script.slice(b"{}");
    for (name, http, steps) in EXCHANGES {
        for hybrid in [0, 1] {
            // Body, suite, wire, small frames, Padmé, no skew; one exchange; its operations.
            let plan = body(Script::default()).put(&[hybrid, *http, 0, 0, 0, 1]);
            let script = steps.iter().fold(plan, op);
            seeds.add("operations", &format!("{name}-{hybrid}"), &script.finish());
        }
    }
    let three = body(Script::default()).put(&[0, 0, 1, 1, 64, 0, 0, 1, 0, 1, 0, 1, 0]);
    seeds.add("operations", "three-exchanges", &three.finish());
    let late = body(Script::default()).put(&[0, 1, 0, 0, 255, 1, 0]);
    seeds.add("operations", "wrong-clock", &late.finish());
    for (name, answer) in [
        ("padme", &[0][..]),
        ("uniform-64", &[1, 64, 0]),
        ("uniform-1024", &[1, 0, 4]),
    ] {
        for (fails, pieces) in [(0, &[][..]), (0, &[100_u16, 1]), (1, &[4000, 0, 7])] {
            let mut script = Script::default()
                .put(&[9; 16])
                .put(&[0, 1, 0, 4])
                .put(answer);
            for piece in pieces {
                script = script.put(&[1]).put(&piece.to_le_bytes());
            }
            let name = format!("{name}-{}-{fails}", pieces.len());
            seeds.add("padding", &name, &script.put(&[0, fails]).finish());
        }
    }
    memlock(seeds);
    records(seeds);
    requests(seeds);
}

fn memlock(seeds: &mut Seeds) {
    // Alloc(Size, u8), WithCapacity, Copy, Drop(u8), DropAll, Extend(u8, Size, u8), Reserve, Resize, Truncate, DrainFront, Clear, Lock, Unlock
    let size = |kind: u64, len: u16| -> Vec<u8> {
        let number = (kind << 32).div_ceil(3) as u32;
        let len = len.to_le_bytes();
        let len = if kind == 0 { &len[..1] } else { &len[..] };
        [&number.to_le_bytes()[..], len].concat()
    };
    for (name, kind, len) in [("tiny", 0, 32), ("class", 1, 784), ("large", 2, 20_000)] {
        for secret in [0, 1] {
            let s = size(kind, len);
            let small = size(0, 5);
            let script = Script::default()
                .put(&[1, secret])
                .item(0, 13)
                .put(&s)
                .put(&[7])
                .item(2, 13)
                .put(&s)
                .put(&[8])
                .item(5, 13)
                .put(&[0])
                .put(&s)
                .put(&[9])
                .item(3, 13)
                .put(&[1])
                .item(0, 13)
                .put(&s)
                .put(&[1])
                .item(7, 13)
                .put(&[0])
                .put(&small)
                .item(7, 13)
                .put(&[0])
                .put(&s)
                .item(9, 13)
                .put(&[0])
                .put(&small)
                .item(8, 13)
                .put(&[1])
                .put(&small)
                .item(12, 13)
                .put(&[0])
                .item(11, 13)
                .put(&[0])
                .item(4, 13)
                .item(0, 13)
                .put(&s)
                .put(&[1]);
            seeds.add("memlock", &format!("{name}-{secret}"), &script.finish());
        }
    }
}

fn records(seeds: &mut Seeds) {
    for hybrid in [0, 1] {
        for (name, frames) in [
            ("whole", &[0_u8, 1, 2][..]),
            ("error", &[0, 3]),
            ("no-head", &[1]),
            ("after-end", &[0, 2, 1]),
        ] {
            let mut script = Script::default().put(&[hybrid]);
            for (kind, content) in [(0, &b"head"[..]), (1, b"data")] {
                script = script.put(&[1, kind]).slice(content).put(&[0, 0, 0, 4]);
            }
            script = script.put(&[0, 1]);
            for kind in frames {
                let content: &[u8] = if *kind == 2 { b"" } else { b"x" };
                script = script.put(&[1, *kind]).slice(content).put(&[3]);
            }
            seeds.add(
                "records",
                &format!("{name}-{hybrid}"),
                &script.put(&[0]).finish(),
            );
        }
    }
}

fn requests(seeds: &mut Seeds) {
    // model, said, temperature, seed, stop, bias, metadata, tool, stream, json_object, options, extra
    let plain = Script::default()
        .slice(b"m")
        .item(1, 6)
        .slice(b"Hello")
        .put(&[0])
        .put(&[0; 9]);
    seeds.add("request", "plain", &plain.finish());
    let full = Script::default()
        .slice("m\u{e9}".as_bytes())
        .item(0, 6)
        .slice(b"sys\"tem\n")
        .item(1, 6)
        .slice(b"user")
        .put(&[1])
        .slice(b"ada")
        .item(2, 6)
        .slice(b"part")
        .slice(b"https://x/")
        .item(3, 6)
        .slice(b"id")
        .slice(b"f")
        .slice(b"{}")
        .put(&[0])
        .item(4, 6)
        .slice(b"id")
        .slice(b"result")
        .item(5, 6)
        .slice(b"refused")
        .put(&[0])
        .put(&[1])
        .put(&0.5_f64.to_le_bytes())
        .put(&[1])
        .put(&7_i64.to_le_bytes())
        .put(&[1, 1])
        .slice(b"stop")
        .put(&[0])
        .put(&[1, 5, 0, 0, 0])
        .put(&1.5_f64.to_le_bytes())
        .put(&[0])
        .put(&[1])
        .slice(b"k")
        .slice(b"v")
        .put(&[0])
        .put(&[1])
        .slice(b"tool")
        .slice(b"does")
        .put(&[1, 1, 1])
        .put(&[1])
        .slice(b"word")
        .put(&7_u32.to_le_bytes())
        .put(&0.25_f64.to_le_bytes())
        .put(&[1])
        .slice(b"[]")
        .put(&[1])
        .slice(b"extra")
        .slice(b"{\"a\":1}");
    seeds.add("request", "full", &full.finish());
    for (name, text) in [("extra-known", &b"\"x\""[..]), ("extra-number", b"1e999")] {
        let script = Script::default()
            .slice(b"m")
            .put(&[0; 10])
            .put(&[1])
            .slice(b"model")
            .slice(text);
        seeds.add("request", name, &script.finish());
    }
}
