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

    /// Another item for each word.
    fn words(self, (count, table): (u64, &[Word]), words: &str) -> Self {
        words.split_whitespace().fold(self, |script, word| {
            let found = table.iter().find(|(name, ..)| *name == word);
            let (_, index, numbers) = found.expect("a word of the table");
            script.item(*index, count).put(numbers)
        })
    }

    fn finish(mut self) -> Vec<u8> {
        self.back.reverse();
        self.front.extend_from_slice(&[0; 4]);
        self.front.extend_from_slice(&self.back);
        assert!(self.front.len() <= 256, "lengths would be two bytes");
        self.front
    }
}

/// A word of a table below: an action, which variant it is, and the bytes of its numbers.
type Word = (&'static str, u64, &'static [u8]);

/// Actions of `session`.
const ACTIONS: (u64, &[Word]) = (
    22,
    &[
        ("keys", 0, &[]),
        ("strangers-keys", 1, &[]),
        ("key-error", 3, &[]),
        ("no", 4, &[0]),
        ("yes", 4, &[1]),
        ("connected", 5, &[]),
        ("send", 6, &[0, 16]),
        ("send-50", 6, &[50, 0]),
        ("ask", 6, &[5, 0]),
        ("http-502", 7, &[246, 1, 0, 0]),
        ("http-403", 7, &[147, 1, 0, 0]),
        ("reject-key", 8, &[3]),
        ("reject-busy", 8, &[5]),
        ("reject-undecryptable", 8, &[7]),
        ("accept", 9, &[]),
        ("head-200", 10, &[200, 0, 0]),
        ("head-503", 10, &[247, 1, 0]),
        ("head-429-5-s", 10, &[173, 1, 1, 5, 0, 0, 0]),
        ("end", 12, &[]),
        ("error-time", 13, &[3, 1, 0, 0, 0, 0, 1, 0, 0, 0]),
        ("error-replay", 13, &[4, 0]),
        ("error-upstream", 13, &[7, 0]),
        ("event", 15, &[]),
        ("eof", 16, &[]),
        ("connect-fails", 17, &[0]),
        ("reset", 17, &[1]),
        ("tls-fails", 17, &[2]),
        ("gone", 17, &[3]),
        ("timeout", 18, &[]),
        ("2-s", 19, &[2, 0]),
        ("4-s", 19, &[4, 0]),
        ("5-s", 19, &[5, 0]),
        ("9-s", 19, &[9, 0]),
        ("11-s", 19, &[11, 0]),
        ("2313-s", 19, &[9, 9]),
        ("cancel", 20, &[]),
        ("stale", 21, &[]),
    ],
);

/// Name, trust, whether the key is known, actions.
#[rustfmt::skip]
const SESSIONS: &[(&str, u8, u8, &str)] = &[
    ("answered", 0, 0, "ask keys connected send accept head-200 event end event eof event"),
    ("known-key", 0, 1, "connected send accept head-200 event end event eof"),
    ("asked", 2, 0, "ask keys yes send accept head-200 event"),
    ("not-trusted", 2, 0, "ask strangers-keys no send"),
    ("stranger", 1, 1, "ask keys send"),
    ("rejected-key", 3, 1, "send reject-key event ask keys send reject-undecryptable event"),
    ("rejected-busy", 3, 1, "send reject-busy event 2-s send reject-busy event 4-s send"),
    ("wrong-time", 3, 1, "send accept error-time event send accept error-replay event"),
    ("upstream", 3, 1, "send accept error-upstream event 9-s send accept head-200 event error-upstream event"),
    ("429", 3, 1, "send accept head-429-5-s event 5-s send"),
    ("proxy-502", 3, 1, "send http-502 5-s send http-403"),
    ("reset", 3, 1, "connect-fails 5-s send reset 5-s send tls-fails"),
    ("truncated", 3, 1, "send eof 5-s send accept head-200 event eof"),
    ("timeout-connect", 3, 1, "send 11-s timeout"),
    ("timeout-total", 3, 1, "reset 2313-s event"),
    ("key-error", 3, 0, "key-error"),
    ("each-key", 4, 1, "ask keys yes send accept head-200 event end event eof"),
    ("cancelled", 3, 1, "send accept head-200 event cancel send end event eof"),
    ("cancelled-late", 3, 1, "send accept head-200 event end cancel event eof"),
    ("stale", 3, 1, "send stale send stale send accept head-200 event end event eof"),
    ("keys-busy", 3, 0, "ask reject-busy 2-s ask keys send accept head-200 event end event eof"),
    ("stale-keys", 3, 0, "ask stale ask keys send accept head-200 event end event eof"),
    ("retried", 3, 1, "send accept head-503 event end event 9-s send accept head-200 event end event eof"),
    ("rejected-early", 3, 1, "send-50 reject-busy event 9-s send accept head-200 event end event eof"),
    ("gone", 3, 1, "send gone"),
];

/// Operations of `operations`; "all" is 2048 bytes.
const OPERATIONS: (u64, &[Word]) = (
    17,
    &[
        ("send-all", 0, &[0, 8]),
        ("send-40", 0, &[40, 0]),
        ("send-7", 0, &[7, 0]),
        ("send-1", 0, &[1, 0]),
        ("bring-all", 1, &[0, 8]),
        ("bring-40", 1, &[40, 0]),
        ("bring-9", 1, &[9, 0]),
        ("bring-3", 1, &[3, 0]),
        ("bring-1", 1, &[1, 0]),
        ("take", 2, &[]),
        ("respond", 3, &[0, 0]),
        ("respond-64", 3, &[64, 0]),
        ("finish", 5, &[]),
        ("fail-upstream", 6, &[7]),
        ("fail-timeout", 6, &[8]),
        ("answer-all", 7, &[0, 8]),
        ("hear-all", 8, &[0, 8]),
        ("cancel", 9, &[]),
        ("server-eof", 10, &[]),
        ("client-eof", 11, &[]),
        ("ask-for-keys", 12, &[]),
        ("change-request", 13, &[99, 0, 1]),
        ("change-answer", 14, &[50, 0, 4]),
        ("cut-request", 15, &[120, 0]),
        ("cut-answer", 16, &[60, 0]),
    ],
);

/// Name, whether over HTTP, operations.
#[rustfmt::skip]
const EXCHANGES: &[(&str, u8, &str)] = &[
    ("left-alone", 1, ""),
    ("left-alone-stream", 0, ""),
    ("by-hand", 1, "send-all bring-all server-eof take respond finish answer-all hear-all client-eof"),
    ("bytes", 0, "send-1 bring-1 send-7 bring-3 bring-9"),
    ("cancel", 0, "send-all cancel send-all bring-all bring-all answer-all hear-all"),
    ("cancel-late", 0, "send-all bring-all respond-64 cancel send-all bring-all"),
    ("fails", 1, "send-all bring-all server-eof respond-64 fail-upstream"),
    ("fails-at-once", 0, "send-all bring-all fail-timeout"),
    ("keys-first", 0, "ask-for-keys bring-9 send-all"),
    ("changed-head", 1, "send-all change-request bring-all"),
    ("changed-answer", 1, "send-all bring-all server-eof respond finish answer-all change-answer"),
    ("cut-request", 0, "send-all cut-request"),
    ("cut-answer", 1, "send-all bring-all server-eof respond answer-all cut-answer"),
    ("early-eof", 1, "send-40 bring-40 server-eof"),
];

pub(crate) fn write(seeds: &mut Seeds) {
    for (name, trust, knows_key, actions) in SESSIONS {
        for (wire, http) in [("http", 1), ("stream", 0)] {
            let plan = Script::default().put(&[*trust, *knows_key, http, 1]);
            let plan = plan.words(ACTIONS, actions);
            seeds.add("session", &format!("{name}-{wire}"), &plan.finish());
        }
    }
    let body = |script: Script| script.slice(b"{}");
    for (name, http, operations) in EXCHANGES {
        for (variant, hybrid, given_out) in [("0", 0, 0), ("1", 1, 0), ("given-out", 0, 1)] {
            // Body, suite, wire, small frames, Padmé, no skew, whether it is given out; one exchange; its operations.
            let plan = body(Script::default()).put(&[hybrid, *http, 0, 0, 0, given_out, 1]);
            let plan = plan.words(OPERATIONS, operations);
            seeds.add("operations", &format!("{name}-{variant}"), &plan.finish());
        }
    }
    let three = body(Script::default()).put(&[0, 0, 1, 1, 64, 0, 0, 0, 1, 0, 1, 0, 1, 0]);
    seeds.add("operations", "three-exchanges", &three.finish());
    let late = body(Script::default()).put(&[0, 1, 0, 0, 255, 0, 1, 0]);
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

/// What a call of `memlock` is about: no size, a small one, or that of the seed.
enum Of {
    Nothing,
    Small,
    Its,
}

/// Variant of 13, what stands before its size, its size, what stands behind it.
#[rustfmt::skip]
const CALLS: &[(u64, &[u8], Of, &[u8])] = &[
    (0, &[], Of::Its, &[7]),       // allocate
    (2, &[], Of::Its, &[8]),       // copy
    (5, &[0], Of::Its, &[9]),      // extend
    (3, &[1], Of::Nothing, &[]),   // drop
    (0, &[], Of::Its, &[1]),
    (7, &[0], Of::Small, &[]),     // resize
    (7, &[0], Of::Its, &[]),
    (9, &[0], Of::Small, &[]),     // drain the front
    (8, &[1], Of::Small, &[]),     // truncate
    (12, &[0], Of::Nothing, &[]),  // unlock
    (11, &[0], Of::Nothing, &[]),  // lock
    (4, &[], Of::Nothing, &[]),    // drop all
    (0, &[], Of::Its, &[1]),
];

fn memlock(seeds: &mut Seeds) {
    let size = |kind: u64, len: u16| -> Vec<u8> {
        let number = (kind << 32).div_ceil(3) as u32;
        let len = len.to_le_bytes();
        let len = if kind == 0 { &len[..1] } else { &len[..] };
        [&number.to_le_bytes()[..], len].concat()
    };
    for (name, kind, len) in [("tiny", 0, 32), ("class", 1, 784), ("large", 2, 20_000)] {
        for secret in [0, 1] {
            let start = Script::default().put(&[1, secret]);
            let script = CALLS
                .iter()
                .fold(start, |script, (call, before, of, after)| {
                    let script = script.item(*call, 13).put(before);
                    let script = match of {
                        Of::Nothing => script,
                        Of::Small => script.put(&size(0, 5)),
                        Of::Its => script.put(&size(kind, len)),
                    };
                    script.put(after)
                });
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

/// A part of a structure: a text, the variant of a value that has 6, or numbers.
enum Part {
    Text(&'static [u8]),
    Said(u64),
    Numbers(&'static [u8]),
}
use Part::{Numbers, Said, Text};

/// Name, then: model, what was said, temperature, seed, stop, bias, metadata, tool, stream, json_object, options, extra.
#[rustfmt::skip]
const REQUESTS: &[(&str, &[Part])] = &[
    ("plain", &[Text(b"m"), Said(1), Text(b"Hello"), Numbers(&[0; 10])]),
    ("full", &[
        Text("m\u{e9}".as_bytes()),
        Said(0), Text(b"sys\"tem\n"),
        Said(1), Text(b"user"), Numbers(&[1]), Text(b"ada"),
        Said(2), Text(b"part"), Text(b"https://x/"),
        Said(3), Text(b"id"), Text(b"f"), Text(b"{}"), Numbers(&[0]),
        Said(4), Text(b"id"), Text(b"result"),
        Said(5), Text(b"refused"), Numbers(&[0]),
        Numbers(&[1]), Numbers(&0.5_f64.to_le_bytes()),
        Numbers(&[1]), Numbers(&7_i64.to_le_bytes()),
        Numbers(&[1, 1]), Text(b"stop"), Numbers(&[0]),
        Numbers(&[1, 5, 0, 0, 0]), Numbers(&1.5_f64.to_le_bytes()), Numbers(&[0]),
        Numbers(&[1]), Text(b"k"), Text(b"v"), Numbers(&[0]),
        Numbers(&[1]), Text(b"tool"), Text(b"does"), Numbers(&[1]),
        Numbers(&[1, 1]),
        Numbers(&[1]), Text(b"word"), Numbers(&7_u32.to_le_bytes()), Numbers(&0.25_f64.to_le_bytes()), Numbers(&[1]), Text(b"[]"),
        Numbers(&[1]), Text(b"extra"), Text(b"{\"a\":1}"),
    ]),
    ("extra-known", &[Text(b"m"), Numbers(&[0; 10]), Numbers(&[1]), Text(b"model"), Text(b"\"x\"")]),
    ("extra-number", &[Text(b"m"), Numbers(&[0; 10]), Numbers(&[1]), Text(b"model"), Text(b"1e999")]),
];

fn requests(seeds: &mut Seeds) {
    for (name, parts) in REQUESTS {
        let script = parts
            .iter()
            .fold(Script::default(), |script, part| match part {
                Text(text) => script.slice(text),
                Said(variant) => script.item(*variant, 6),
                Numbers(bytes) => script.put(bytes),
            });
        seeds.add("request", name, &script.finish());
    }
}
