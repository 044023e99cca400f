//! JSON in which the first of two members of one name counts, as in the core; serde_json keeps the last.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value, read so.
struct First(Value);

/// Reads a text, if serde_json does.
pub fn read_first(text: &[u8]) -> Option<Value> {
    let first: First = serde_json::from_slice(text).ok()?;
    Some(first.0)
}

/// Whether a body or chunk tells of an error in a form that is known.
pub fn tells_of_an_error(body: &Value) -> bool {
    let body = match body {
        Value::Array(items) => items.first().unwrap_or(body),
        body => body,
    };
    let error_in = |object: &Value| match &object["error"] {
        Value::Object(members) => !members.is_empty(),
        error => is_text(error),
    };
    if body["choices"].is_null() {
        let forms = [
            !body["detail"].is_null(),
            is_text(&body["message"]),
            body["object"] == "error",
        ];
        return error_in(body) || forms.contains(&true);
    }
    let choices = body["choices"].as_array().into_iter().flatten();
    error_in(body) || error_in(&body["x_groq"]) || choices.into_iter().any(error_in)
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(First(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, First(value))) = members.next_entry::<String, _>()? {
            all.entry(name).or_insert(value);
        }
        Ok(all.into())
    }
}
