//! The types that known members of an answer must have, as tables.
//!
//! An answer is accepted or refused whole: once checked against its table, reading it cannot fail, and no member can be
//! read in two ways. Members without an entry may be anything.

use crate::chat::ChatError;
use crate::chat::json::Json;

/// The known members of an object.
pub(in crate::chat) type Members = &'static [(&'static str, Shape)];

/// What a member must be; `null` is always taken for absence.
#[derive(Clone, Copy)]
pub(in crate::chat) enum Shape {
    /// Nothing rests on it: a getter of the wrong type has nothing. It is still there once at most.
    Any,
    String,
    /// A string, or an array of objects that each hold what their `type` names, one of these members. One that may be anything says
    /// nothing, and need not be there.
    Parts(Members),
    Unsigned,
    Object(Members),
    ArrayOf(Members),
}

impl Shape {
    fn expected(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Any => "a value",
            Self::Parts(_) => "a string or an array",
            Self::Unsigned => "a whole number",
            Self::ArrayOf(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    fn admits(self, value: Json<'_>) -> bool {
        match self {
            Self::String => value.as_str().is_some(),
            Self::Any => true,
            Self::Parts(_) => value.as_str().is_some() || value.is_array(),
            Self::Unsigned => value.as_u64().is_some(),
            Self::ArrayOf(_) => value.is_array(),
            Self::Object(_) => value.is_object(),
        }
    }
}

/// Checks one object, named `member` in errors. It recurses as deep as the tables are nested, whatever the answer.
pub(in crate::chat) fn check(
    member: &'static str,
    object: Json<'_>,
    members: Members,
) -> Result<(), ChatError> {
    if !object.is_object() {
        return Err(ChatError::Unexpected {
            member,
            expected: "an object",
            offset: object.offset(),
        });
    }
    // One bit for each entry: no table has more than a dozen.
    let mut seen = 0_u32;
    for (key, value) in object.members() {
        let Some(at) = members.iter().position(|(name, _)| key == *name) else {
            continue;
        };
        let (member, shape) = members[at];
        if seen & 1 << at != 0 {
            return Err(ChatError::Duplicate { member });
        }
        seen |= 1 << at;
        if !value.is_null() {
            check_value(member, value, shape)?;
        }
    }
    Ok(())
}

fn check_value(member: &'static str, value: Json<'_>, shape: Shape) -> Result<(), ChatError> {
    if !shape.admits(value) {
        return Err(ChatError::Unexpected {
            member,
            expected: shape.expected(),
            offset: value.offset(),
        });
    }
    match shape {
        Shape::Object(members) => check(member, value, members),
        Shape::ArrayOf(members) => value
            .items()
            .try_for_each(|item| check(member, item, members)),
        Shape::Parts(members) => value
            .items()
            .try_for_each(|part| check_part(member, part, members)),
        _ => Ok(()),
    }
}

/// A part whose type is not known would be left out of the answer.
fn check_part(name: &'static str, part: Json<'_>, members: Members) -> Result<(), ChatError> {
    check(name, part, members)?;
    let kind = member(part, "type").ok_or(ChatError::Missing { member: "type" })?;
    let named = |member: &str| kind.as_str().is_some_and(|kind| kind == member);
    let known = members
        .iter()
        .find(|(member, _)| *member != "type" && named(member));
    let (holds, shape) = known.ok_or(ChatError::Unexpected {
        member: "type",
        expected: "that of a part that is known",
        offset: kind.offset(),
    })?;
    match (member(part, holds), shape) {
        (Some(_), _) | (None, Shape::Any) => Ok(()),
        (None, _) => Err(ChatError::Missing { member: holds }),
    }
}

/// Members that are there and not `null`, all found in one pass.
pub(in crate::chat) fn members<'a, const N: usize>(
    object: Json<'a>,
    names: [&str; N],
) -> [Option<Json<'a>>; N] {
    let mut found = [None; N];
    for (key, value) in object.members() {
        if let Some(at) = names.iter().position(|name| key == **name) {
            found[at] = found[at].or(Some(value));
        }
    }
    found.map(|value| value.filter(|value| !value.is_null()))
}

/// A member that is there and not `null`.
pub(in crate::chat) fn member<'a>(object: Json<'a>, name: &str) -> Option<Json<'a>> {
    object.get(name).filter(|value| !value.is_null())
}
