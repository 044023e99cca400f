//! JSON in secure memory, held against serde_json and against itself.

use sealwire_core::chat::json::{self, Json, unescape_in_place, unescape_into};
use sealwire_core::chat::{ChatError, JsonFault};
use sealwire_memlock::{Policy, SecureMemory};
use serde::{Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

const MEMORY: SecureMemory = SecureMemory::new(Policy::BestEffort);

/// xorshift64*: the same texts in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Characters of every length in UTF-8, and every one that must be escaped.
    fn text(&mut self) -> String {
        (0..self.below(24))
            .map(|_| {
                let range = match self.below(6) {
                    0 => 0..0x20,
                    1 => 0x20..0x80,
                    2 => u32::from(b'"')..u32::from(b'"') + 1,
                    3 => u32::from(b'\\')..u32::from(b'\\') + 1,
                    4 => 0x80..0x3000,
                    _ => 0x1_0000..0x11_0000,
                };
                let offset = self.below(u64::from(range.end - range.start));
                char::from_u32(range.start + u32::try_from(offset).expect("below a u32"))
                    .expect("no surrogates in these ranges")
            })
            .collect()
    }

    fn value(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.next()),
            3 => json!(f64::from(u32::try_from(self.below(1 << 32)).expect("a u32")) / 4.0),
            4 => json!(self.text()),
            5 => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
            _ => (0..self.below(5))
                .map(|_| (self.text(), self.value(depth - 1)))
                .collect(),
        }
    }
}

/// Reads a value back through [`Json`] alone.
fn rebuild(json: Json<'_>) -> Value {
    let text = |text: json::JsonStr<'_>| {
        let secure = text.to_secure(&MEMORY).expect("memory");
        assert_eq!(secure.len(), text.len());
        assert!(text == secure.expose());
        assert_eq!(text.as_plain().is_some(), !text.raw().contains('\\'));
        secure.expose().to_owned()
    };
    if let Some(string) = json.as_str() {
        json!(text(string))
    } else if json.is_array() {
        json.items().map(rebuild).collect()
    } else if json.is_object() {
        let members = json.members();
        members.map(|(k, v)| (text(k), rebuild(v))).collect()
    } else if let Some(truth) = json.as_bool() {
        json!(truth)
    } else if json.is_null() {
        Value::Null
    } else if json.raw().contains(['.', 'e', 'E', '-']) {
        json!(json.as_f64().expect("a number"))
    } else {
        json!(json.as_u64().expect("a whole number"))
    }
}

#[test]
fn what_serde_json_writes_is_read_and_what_we_write_it_reads() {
    let mut random = Random(1);
    for _ in 0..2_000 {
        let value = random.value(4);
        let theirs = serde_json::to_string_pretty(&value).expect("JSON");
        assert_eq!(rebuild(Json::parse(&theirs).expect("valid")), value);

        let ours = json::to_secure(&MEMORY, &value).expect("written");
        let back: Value = serde_json::from_slice(ours.expose()).expect("valid");
        assert_eq!(back, value);
    }
}

#[test]
fn strings_are_written_byte_for_byte_as_serde_json_does() {
    let mut random = Random(2);
    for _ in 0..5_000 {
        let text = random.text();
        let ours = json::to_secure(&MEMORY, &text).expect("written");
        assert_eq!(ours.expose(), serde_json::to_vec(&text).expect("JSON"));
        // `Display` goes another way.
        let shown = json::to_secure(&MEMORY, &Shown(&text)).expect("written");
        assert_eq!(shown.expose(), ours.expose());
    }
}

struct Shown<'a>(&'a str);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

#[test]
fn every_shape_serde_knows_is_written_as_serde_json_does() {
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Newtype(i8);
    #[derive(Serialize)]
    struct Tuple(u8, char);
    #[derive(Serialize)]
    struct Empty {}
    #[derive(Serialize)]
    enum Variant {
        Unit,
        Newtype(bool),
        Tuple(u16, i16),
        Struct { a: u32, b: Option<i64> },
    }
    #[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
    enum Key {
        Word,
    }

    fn assert_same<T: Serialize>(value: T) {
        let ours = json::to_secure(&MEMORY, &value).expect("written");
        let theirs = serde_json::to_vec(&value).expect("JSON");
        assert_eq!(
            String::from_utf8_lossy(ours.expose()),
            String::from_utf8_lossy(&theirs)
        );
    }

    assert_same((Unit, Newtype(-3), Tuple(7, '"'), Empty {}, ()));
    assert_same([Variant::Unit, Variant::Newtype(true)]);
    assert_same((
        Variant::Tuple(1, -1),
        Variant::Struct { a: 1, b: Some(-2) },
        Variant::Struct { a: 1, b: None },
    ));
    assert_same((i64::MIN, u64::MAX, i128::MIN, u128::MAX, i32::MIN, 0_u8));
    assert_same((0.1_f32, 0.1_f64, 1.0, -0.0, f64::MIN_POSITIVE));
    assert_same(BTreeMap::from([(1, "a"), (2, "b")]));
    assert_same(BTreeMap::from([(true, 1), (false, 2)]));
    assert_same(BTreeMap::from([(Key::Word, 1)]));
    assert_same(BTreeMap::from([('"', 1)]));
    assert_same(BTreeMap::<&str, u8>::new());
    assert_same(Vec::<u8>::new());
    let raw = RawValue::from_string(r#"{ "as":  [1, 2] }"#.to_owned()).expect("valid");
    assert_same(("it stands", raw));
    assert_same((
        "before",
        Json::parse(r#" {"é": "\u00e9"} "#).expect("valid"),
        "after",
    ));
}

#[test]
fn numbers_are_written_so_that_they_read_back_the_same() {
    let mut random = Random(4);
    for _ in 0..5_000 {
        let number = f64::from_bits(random.next() << 32 ^ random.next());
        if number.is_finite() {
            let body = json::to_secure(&MEMORY, &number).expect("written");
            let json = Json::from_bytes(body.expose()).expect("valid");
            assert_eq!(json.as_f64(), Some(number));
        }
    }
}

#[test]
fn the_buffer_is_counted_exactly() {
    let mut random = Random(3);
    for _ in 0..200 {
        let value = random.value(3);
        let body = json::to_secure(&MEMORY, &value).expect("written");
        let fresh = MEMORY.with_capacity(body.len()).expect("memory");
        assert_eq!(body.capacity(), fresh.capacity());
    }
}

#[test]
fn what_json_cannot_express_is_refused() {
    use std::cell::Cell;
    use std::collections::BTreeMap;

    /// Writes one more, or one fewer, the second time.
    struct Fickle(Cell<usize>, bool);

    impl Serialize for Fickle {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let len = self.0.get();
            self.0.set(if self.1 { len + 1 } else { len - 1 });
            serializer.collect_seq(vec![0; len])
        }
    }

    /// A type whose own refusal quotes what it is about.
    struct Talkative;

    impl Serialize for Talkative {
        fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("SECRET"))
        }
    }

    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = json::to_secure(&MEMORY, &[number]).expect_err("not JSON");
        assert_eq!(error, ChatError::NotFinite);
    }
    assert_eq!(
        json::to_secure(&MEMORY, &f32::NAN).err(),
        Some(ChatError::NotFinite)
    );
    for grows in [true, false] {
        let fickle = Fickle(Cell::new(5), grows);
        let error = json::to_secure(&MEMORY, &fickle).expect_err("changed");
        assert_eq!(error, ChatError::Unserializable);
    }
    let error = json::to_secure(&MEMORY, &Talkative).expect_err("refused");
    assert!(!format!("{error} {error:?}").contains("SECRET"));
    let error = json::to_secure(&MEMORY, &BTreeMap::from([(vec![1], 1)])).expect_err("no key");
    assert_eq!(error, ChatError::Unserializable);
    let error = json::to_secure(&MEMORY, &BTreeMap::from([((), 1)])).expect_err("no key");
    assert_eq!(error, ChatError::Unserializable);
}

const SAMPLE: &str = r#" {"a":[1,0,-2.5e+3,true,0.1E-2,false,null,{}, []],"b\n":"x\u00e9\ud83d\ude00\/\"", "":{"c":[[{"d":""}]]}} "#;

#[test]
fn every_truncation_is_refused() {
    let trimmed = SAMPLE.trim();
    assert!(Json::parse(SAMPLE).is_ok());
    for end in 0..trimmed.len() {
        match Json::parse(&trimmed[..end]) {
            Err(ChatError::Json { offset, .. }) => assert!(offset <= end),
            other => panic!("{other:?} at {end}"),
        }
    }
}

#[test]
fn every_changed_byte_is_judged_as_by_serde_json() {
    for at in 0..SAMPLE.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            let theirs = serde_json::from_slice::<Value>(&bytes).is_ok();
            let ours = Json::from_bytes(&bytes).is_ok();
            assert_eq!(ours, theirs, "byte {byte:#x} at {at}");
        }
    }
}

#[test]
fn every_deleted_or_doubled_byte_is_judged_as_by_serde_json() {
    for at in 0..SAMPLE.len() {
        let mut deleted = SAMPLE.as_bytes().to_vec();
        let byte = deleted.remove(at);
        let mut doubled = SAMPLE.as_bytes().to_vec();
        doubled.insert(at, byte);
        for bytes in [deleted, doubled] {
            let theirs = serde_json::from_slice::<Value>(&bytes).is_ok();
            assert_eq!(Json::from_bytes(&bytes).is_ok(), theirs, "at {at}");
        }
    }
}

#[test]
fn there_is_no_leniency() {
    for (text, fault, offset) in [
        ("", JsonFault::UnexpectedEnd, 0),
        ("  ", JsonFault::UnexpectedEnd, 2),
        ("\u{feff}1", JsonFault::UnexpectedByte, 0),
        ("NaN", JsonFault::UnexpectedByte, 0),
        ("[1,]", JsonFault::UnexpectedByte, 3),
        ("{\"a\":1,}", JsonFault::UnexpectedByte, 7),
        ("{a:1}", JsonFault::UnexpectedByte, 1),
        ("[1}", JsonFault::UnexpectedByte, 2),
        ("'a'", JsonFault::UnexpectedByte, 0),
        ("/**/1", JsonFault::UnexpectedByte, 0),
        ("1 2", JsonFault::TrailingBytes, 2),
        ("nulls", JsonFault::TrailingBytes, 4),
        ("01", JsonFault::InvalidNumber, 1),
        ("1.x", JsonFault::InvalidNumber, 2),
        ("1.", JsonFault::UnexpectedEnd, 2),
        ("-", JsonFault::UnexpectedEnd, 1),
        ("+1", JsonFault::UnexpectedByte, 0),
        ("\"\t\"", JsonFault::ControlCharacter, 1),
        ("\"\\x\"", JsonFault::InvalidEscape, 1),
        ("\"\\u12g4\"", JsonFault::InvalidEscape, 1),
        ("\"\\ud800\"", JsonFault::LoneSurrogate, 1),
        ("\"\\udc00\"", JsonFault::LoneSurrogate, 1),
        ("\"\\ud800\\ud800\"", JsonFault::LoneSurrogate, 1),
        ("\"\\ud800\\n\"", JsonFault::LoneSurrogate, 1),
        ("{\"\\udfff\":1}", JsonFault::LoneSurrogate, 2),
        // Around the edges of what a pair is made of.
        ("\"\\ud800\\udbff\"", JsonFault::LoneSurrogate, 1),
        ("\"\\ud800\\ue000\"", JsonFault::LoneSurrogate, 1),
        ("\"\\udc00\\udc00\"", JsonFault::LoneSurrogate, 1),
        ("\"\\udbff\\u0041\"", JsonFault::LoneSurrogate, 1),
    ] {
        let error = Json::parse(text).expect_err(text);
        assert_eq!(error, ChatError::Json { fault, offset }, "{text}");
    }
    let error = Json::from_bytes(b"\"\xff\"").expect_err("no UTF-8");
    assert_eq!(error, ChatError::InvalidUtf8 { offset: 1 });
}

#[test]
fn nesting_is_limited_and_uses_no_stack() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let mixed = |depth: usize| format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
    assert!(Json::parse(&nested(128)).is_ok());
    assert!(Json::parse(&mixed(64)).is_ok());
    for text in [nested(129), mixed(65), "[".repeat(5_000_000)] {
        let error = Json::parse(&text).expect_err("too deep");
        assert!(
            matches!(
                error,
                ChatError::Json {
                    fault: JsonFault::TooDeep,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    // Brackets are matched by their kind, all the way down.
    let crossed = nested(128).replacen("]", "}", 1);
    assert!(Json::parse(&crossed).is_err());
}

#[test]
fn values_know_where_they_stand() {
    let text = " {\"a\" : [ 1 , \"b\" ] } ";
    let json = Json::parse(text).expect("valid");
    let mut pending = vec![json];
    while let Some(json) = pending.pop() {
        assert!(text[json.offset()..].starts_with(json.raw()));
        pending.extend(json.items());
        pending.extend(json.members().map(|(_, value)| value));
    }
}

#[test]
fn numbers_are_read_by_value() {
    let number = |text| Json::parse(text).expect("valid");
    assert_eq!(number("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(number("1.7e9").as_u64(), Some(1_700_000_000));
    assert_eq!(number("12.0").as_u64(), Some(12));
    for none in [
        "-1",
        "0.5",
        "1e300",
        "18446744073709551616",
        "\"1\"",
        "null",
    ] {
        assert_eq!(number(none).as_u64(), None, "{none}");
    }
    assert_eq!(number("-2.5e-1").as_f64(), Some(-0.25));
    assert_eq!(number("1e999").as_f64(), None);
}

/// Unescapes in both ways, and checks that they agree.
fn unescape(raw: &str) -> Result<String, ChatError> {
    let mut bytes = raw.as_bytes().to_vec();
    let in_place = unescape_in_place(&mut bytes).map(|len| {
        assert!(bytes[len..].iter().all(|byte| *byte == 0), "not wiped");
        String::from_utf8(bytes[..len].to_vec()).expect("UTF-8")
    });
    if in_place.is_err() {
        assert_eq!(bytes, raw.as_bytes(), "changed in spite of the error");
    }

    let mut appended = MEMORY.string();
    appended.try_push_str("before ").expect("memory");
    let result = unescape_into(raw, &mut appended);
    match &in_place {
        Ok(text) => assert_eq!(appended.expose(), format!("before {text}")),
        Err(_) => assert_eq!(appended.expose(), "before "),
    }
    assert_eq!(result.err(), in_place.as_ref().err().cloned());
    in_place
}

#[test]
fn every_short_escape_is_known_and_no_other() {
    for byte in 0..0x80_u8 {
        let raw = format!("\\{}", char::from(byte));
        let expected = match byte {
            b'"' | b'\\' | b'/' => Some(byte),
            b'b' => Some(8),
            b'f' => Some(12),
            b'n' => Some(10),
            b'r' => Some(13),
            b't' => Some(9),
            _ => None,
        };
        let expected = expected.map(|byte| char::from(byte).to_string());
        assert_eq!(unescape(&raw).ok(), expected, "{raw:?}");
    }
}

#[test]
fn every_code_unit_is_a_character_or_refused() {
    for unit in 0..=0xFFFF_u32 {
        let raw = format!("<\\u{unit:04x}>");
        let expected = char::from_u32(unit).map(|character| format!("<{character}>"));
        assert_eq!(unescape(&raw).ok(), expected);
    }
}

#[test]
fn every_surrogate_has_its_pair() {
    let halves = |start: u32, step: usize| (start..start + 0x400).step_by(step);
    let all_high =
        halves(0xD800, 1).flat_map(|high| halves(0xDC00, 73).map(move |low| (high, low)));
    let all_low = halves(0xD800, 73).flat_map(|high| halves(0xDC00, 1).map(move |low| (high, low)));
    for (high, low) in all_high.chain(all_low) {
        let scalar = 0x1_0000 + ((high - 0xD800) * 0x400) + (low - 0xDC00);
        let character = char::from_u32(scalar).expect("a scalar value");
        let text = unescape(&format!("\\u{high:04X}\\u{low:04x}"));
        assert_eq!(text, Ok(character.to_string()));
    }
}

#[test]
fn every_truncation_of_an_escape_is_refused() {
    for escape in ["\\n", "\\u00e9", "\\ud83d\\ude00"] {
        for end in 1..escape.len() {
            let raw = format!("é{}", &escape[..end]);
            match unescape(&raw) {
                Err(ChatError::Json { offset: 2, .. }) => {}
                other => panic!("{raw:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_ends_a_string_is_no_part_of_it() {
    for raw in ["a\"b", "a\nb", "a\u{1f}"] {
        assert!(matches!(
            unescape(raw),
            Err(ChatError::Json { offset: 1, .. })
        ));
    }
    let mut bytes = *b"a\xC3";
    let error = unescape_in_place(&mut bytes).expect_err("no UTF-8");
    assert_eq!(error, ChatError::InvalidUtf8 { offset: 1 });
    assert_eq!(unescape("\u{7f}\u{2028}"), Ok("\u{7f}\u{2028}".to_owned()));
}

#[test]
fn strings_compare_by_what_they_mean() {
    let text = |raw| Json::parse(raw).expect("valid").as_str().expect("a string");
    assert!(text(r#""\u0061bc""#) == "abc");
    assert!(text(r#""abc""#) != "ab");
    assert!(text(r#""ab""#) != "abc");
    assert!(text(r#""""#).is_empty() && text(r#""""#) != "a");
    let json = Json::parse(r#"{"\u0061": 1, "b": 2}"#).expect("valid");
    assert_eq!(json.get("a").and_then(Json::as_u64), Some(1));
}

#[test]
fn debug_shows_no_content() {
    let json = Json::parse(r#""SECRET\n""#).expect("valid");
    let string = json.as_str().expect("a string");
    let text = string.to_text(&MEMORY).expect("memory");
    assert_eq!(text.expose(), "SECRET\n");
    assert!(!format!("{json:?} {string:?} {text:?}").contains("SECRET"));
}
