//! JSON: the scanner accepts what serde_json accepts (but for what its page names: lone surrogates and depth), reads the same values,
//! unescapes to the same text by each of its ways, and what it writes reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire_core::chat::json::{Json, JsonStr, to_secure, unescape_in_place, unescape_into};
use sealwire_core::chat::{ChatError, JsonFault};
use sealwire_fuzz::{World, quotes_nothing};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The value as serde_json would hold it, read through our views; `None` for a number that no double holds.
fn value_of(world: &World, json: Json<'_>) -> Option<Value> {
    Some(if json.is_null() {
        Value::Null
    } else if let Some(truth) = json.as_bool() {
        Value::Bool(truth)
    } else if let Some(text) = json.as_str() {
        Value::String(text_of(world, text))
    } else if json.is_array() {
        let items = json.items().map(|item| value_of(world, item));
        Value::Array(items.collect::<Option<_>>()?)
    } else if json.is_object() {
        let mut map = Map::new();
        for (key, value) in json.members() {
            map.insert(text_of(world, key), value_of(world, value)?);
        }
        Value::Object(map)
    } else {
        let number = json.as_f64()?;
        match json.raw().parse::<u64>() {
            Ok(whole) => {
                assert_eq!(json.as_u64(), Some(whole));
                whole.into()
            }
            Err(_) => match json.raw().parse::<i64>() {
                Ok(whole) if whole != 0 => whole.into(),
                _ => Number::from_f64(number)?.into(),
            },
        }
    })
}

/// The string, by every way there is.
fn text_of(world: &World, text: JsonStr<'_>) -> String {
    let secure = text.to_secure(&world.memory).expect("ordinary memory");
    let read = secure.expose();
    assert_eq!(text.len(), read.len());
    assert_eq!(text.is_empty(), read.is_empty());
    assert!(text == *read);
    assert!(text.as_plain().is_none_or(|plain| plain == read));
    let mut appended = world.memory.string();
    text.append_to(&mut appended).expect("ordinary memory");
    assert_eq!(appended.expose(), read);
    read.into()
}

fn check_document(world: &World, text: &str) {
    let ours = Json::parse(text);
    // It checks the grammar and nothing else.
    let grammar = serde_json::from_str::<&RawValue>(text);
    if let Err(error) = &ours {
        quotes_nothing(error);
    }
    let json = match ours {
        Ok(json) => json,
        Err(ChatError::Json { fault, offset }) => {
            assert!(offset <= text.len());
            let stricter = matches!(fault, JsonFault::LoneSurrogate | JsonFault::TooDeep);
            assert!(stricter || grammar.is_err(), "{fault:?} refused");
            return;
        }
        Err(other) => panic!("{other:?}"),
    };
    let raw = grammar.expect("what we accept is JSON").get();
    assert_eq!(json.raw(), raw);
    assert_eq!(&text[json.offset()..][..raw.len()], raw);
    let (Some(value), Ok(theirs)) = (value_of(world, json), serde_json::from_str::<Value>(text))
    else {
        // Numbers beyond a double, or a depth that only one of the two allows.
        return;
    };
    // Doubles that are close are the same: serde_json reads faster, and not always to the last bit.
    assert!(same(&value, &theirs), "{value:?} is not {theirs:?}");
    let written = to_secure(&world.memory, &value).expect("a plain value");
    let again: Value = serde_json::from_slice(written.expose()).expect("JSON");
    assert!(same(&again, &value), "{again:?} is not {value:?}");
    let raw_again = to_secure(&world.memory, &json).expect("a plain value");
    assert_eq!(raw_again.expose(), raw.as_bytes());
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            _ if a == b => true,
            (Some(a), Some(b)) => (a - b).abs() <= a.abs() * 1e-14,
            _ => false,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let pair = |((a, v), (b, w)): ((&String, _), (&String, _))| a == b && same(v, w);
            a.len() == b.len() && a.iter().zip(b).all(pair)
        }
        _ => a == b,
    }
}

/// The inside of a string.
fn check_unescaping(world: &World, bytes: &[u8]) {
    let mut in_place = bytes.to_vec();
    let len = unescape_in_place(&mut in_place);
    let Ok(raw) = std::str::from_utf8(bytes) else {
        assert!(matches!(len, Err(ChatError::InvalidUtf8 { .. })));
        assert_eq!(in_place, bytes, "changed on an error");
        return;
    };
    let mut out = world.memory.string();
    out.try_push_str("before").expect("ordinary memory");
    let into = unescape_into(raw, &mut out);
    let theirs = serde_json::from_str::<String>(&format!("\"{raw}\""));
    match len {
        Ok(len) => {
            let theirs = theirs.expect("what we accept is a string");
            assert_eq!(&in_place[..len], theirs.as_bytes());
            assert!(in_place[len..].iter().all(|byte| *byte == 0), "not wiped");
            assert_eq!(into, Ok(()));
            assert_eq!(out.expose().strip_prefix("before"), Some(&theirs[..]));
            let quoted = to_secure(&world.memory, &theirs).expect("a string");
            let again = Json::from_bytes(quoted.expose()).expect("a string");
            assert!(again.as_str().expect("a string") == *theirs);
        }
        Err(error) => {
            assert!(theirs.is_err());
            assert_eq!(in_place, bytes, "changed on an error");
            assert_eq!(into, Err(error));
            assert_eq!(out.expose(), "before");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    World::with(|world| {
        match std::str::from_utf8(bytes) {
            Ok(text) => check_document(world, text),
            Err(_) => assert!(matches!(
                Json::from_bytes(bytes),
                Err(ChatError::InvalidUtf8 { .. })
            )),
        }
        check_unescaping(world, bytes);
    });
});
