//! A `serde` serializer that writes JSON to a [`Sink`].

use core::fmt;

use serde::ser::{self, Serialize};

use super::RAW_TOKEN;
use super::sink::{FmtSink, KeySink, Sink, put_escaped};
use crate::chat::ChatError;

/// Writes one value. It dispatches at run time so that a map key can be written through a [`KeySink`] without a new
/// type, and new code, for each level.
pub(super) struct Writer<'a> {
    sink: &'a mut dyn Sink,
    /// The next string is JSON already.
    raw: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, raw: false }
    }

    fn put(&mut self, text: &str) -> Result<(), ChatError> {
        self.sink.put(text.as_bytes())
    }

    /// Numbers: `fmt` formats them in a buffer on the stack and needs no heap.
    fn display(&mut self, value: impl fmt::Display) -> Result<(), ChatError> {
        self.format(format_args!("{value}"), false)
    }

    fn format(&mut self, arguments: fmt::Arguments<'_>, escape: bool) -> Result<(), ChatError> {
        let mut adapter = FmtSink::new(self.sink, escape);
        match fmt::write(&mut adapter, arguments) {
            Ok(()) => Ok(()),
            // Either the sink refused, or the value itself did.
            Err(fmt::Error) => adapter.result.and(Err(ChatError::Unserializable)),
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ChatError> {
        value.serialize(Writer::new(self.sink))
    }

    /// `{"variant":`
    fn variant(&mut self, variant: &str) -> Result<(), ChatError> {
        self.put("{")?;
        self.element(variant)?;
        self.put(":")
    }

    fn open(mut self, open: &str, close: &'static str) -> Result<Compound<'a>, ChatError> {
        self.put(open)?;
        Ok(Compound {
            writer: self,
            is_first: true,
            close,
        })
    }
}

/// An open array or object.
pub(super) struct Compound<'a> {
    writer: Writer<'a>,
    is_first: bool,
    close: &'static str,
}

impl Compound<'_> {
    fn separate(&mut self) -> Result<(), ChatError> {
        match core::mem::replace(&mut self.is_first, false) {
            true => Ok(()),
            false => self.writer.put(","),
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ChatError> {
        self.separate()?;
        self.writer.element(value)
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ChatError> {
        self.separate()?;
        let mut sink = KeySink::new(self.writer.sink);
        key.serialize(Writer::new(&mut sink))?;
        sink.finish()?;
        self.writer.put(":")
    }

    fn finish(mut self) -> Result<(), ChatError> {
        self.writer.put(self.close)
    }
}

macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method(mut self, value: $number) -> Result<(), ChatError> {
            self.display(value)
        })*
    };
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = ChatError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    numbers! {
        serialize_bool: bool,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_f32(mut self, value: f32) -> Result<(), ChatError> {
        match value.is_finite() {
            true => self.format(format_args!("{value:?}"), false),
            false => Err(ChatError::NotFinite),
        }
    }

    /// `Debug` writes the shortest digits that read back as the same number, and keeps `1.0` apart from `1`.
    fn serialize_f64(mut self, value: f64) -> Result<(), ChatError> {
        match value.is_finite() {
            true => self.format(format_args!("{value:?}"), false),
            false => Err(ChatError::NotFinite),
        }
    }

    fn serialize_char(self, value: char) -> Result<(), ChatError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(mut self, value: &str) -> Result<(), ChatError> {
        if self.raw {
            return self.put(value);
        }
        self.put("\"")?;
        put_escaped(self.sink, value)?;
        self.put("\"")
    }

    /// An array of numbers, as in serde_json.
    fn serialize_bytes(self, value: &[u8]) -> Result<(), ChatError> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), ChatError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ChatError> {
        value.serialize(self)
    }

    fn serialize_unit(mut self) -> Result<(), ChatError> {
        self.put("null")
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), ChatError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), ChatError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), ChatError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ChatError> {
        self.variant(variant)?;
        self.element(value)?;
        self.put("}")
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Compound<'a>, ChatError> {
        self.open("[", "]")
    }

    fn serialize_tuple(self, _len: usize) -> Result<Compound<'a>, ChatError> {
        self.open("[", "]")
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, ChatError> {
        self.open("[", "]")
    }

    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, ChatError> {
        self.variant(variant)?;
        self.open("[", "]}")
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Compound<'a>, ChatError> {
        self.open("{", "}")
    }

    fn serialize_struct(
        mut self,
        name: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, ChatError> {
        if name == RAW_TOKEN {
            self.raw = true;
            return self.open("", "");
        }
        self.open("{", "}")
    }

    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Compound<'a>, ChatError> {
        self.variant(variant)?;
        self.open("{", "}}")
    }

    /// The provided method would collect the text in a `String` first.
    fn collect_str<T: fmt::Display + ?Sized>(mut self, value: &T) -> Result<(), ChatError> {
        self.put("\"")?;
        self.format(format_args!("{value}"), true)?;
        self.put("\"")
    }
}

macro_rules! compound {
    ($($name:ident { fn $method:ident($($key:ident: $key_type:ty)?) })*) => {
        $(impl ser::$name for Compound<'_> {
            type Ok = ();
            type Error = ChatError;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: $key_type,)?
                value: &T,
            ) -> Result<(), ChatError> {
                compound!(@body self value $($key)?)
            }

            fn end(self) -> Result<(), ChatError> {
                self.finish()
            }
        })*
    };
    (@body $self:ident $value:ident) => { $self.item($value) };
    (@body $self:ident $value:ident $key:ident) => { $self.field($key, $value) };
}

compound! {
    SerializeSeq { fn serialize_element() }
    SerializeTuple { fn serialize_element() }
    SerializeTupleStruct { fn serialize_field() }
    SerializeTupleVariant { fn serialize_field() }
    SerializeStruct { fn serialize_field(key: &'static str) }
    SerializeStructVariant { fn serialize_field(key: &'static str) }
}

impl Compound<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ChatError> {
        if self.writer.raw {
            let raw = Writer {
                sink: self.writer.sink,
                raw: true,
            };
            return value.serialize(raw);
        }
        self.key(name)?;
        self.writer.element(value)
    }
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = ChatError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ChatError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ChatError> {
        self.writer.element(value)
    }

    fn end(self) -> Result<(), ChatError> {
        self.finish()
    }
}
