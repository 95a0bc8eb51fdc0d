//! [`write()`]: writes a value as JSON, or says in a sentence why JSON cannot represent it.
#![forbid(unsafe_code)]

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};
use serde_json::{Error, Value};

use super::{BASE64, DEEPEST, TYPE, VALUE};

/// The name of the newtype whose content is the keyword arguments of a task.
pub(crate) const KEYWORDS: &str = "concurrent_futures_celery::Keywords";

/// The structs by which serde_json passes what is JSON already: `RawValue`, and numbers of any length.
const TEXTS: [&str; 2] = ["$serde_json::private::RawValue", "$serde_json::private::Number"];

/// What the outermost layer of a value is, which says how it becomes the arguments of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `()`.
    Unit,
    /// A tuple or an array.
    Tuple,
    /// The content of [`KEYWORDS`].
    Keywords,
    /// Anything else.
    One,
}

/// Writes a value as JSON, and returns what its outermost layer is. Runs user code.
pub(crate) fn write(value: &dyn erased_serde::Serialize) -> Result<(String, Shape), Error> {
    let mut writer = Writer { out: Vec::with_capacity(64), depth: 0, shape: None };
    value.serialize(&mut writer)?;
    let text = String::from_utf8(writer.out).map_err(Error::custom)?;
    Ok((text, writer.shape.unwrap_or(Shape::One)))
}

struct Writer {
    out: Vec<u8>,
    /// How many arrays and objects are open.
    depth: usize,
    /// Set by the first layer that is written.
    shape: Option<Shape>,
}

impl Writer {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Notes the shape of the outermost layer.
    fn layer(&mut self, shape: Shape) {
        self.shape.get_or_insert(shape);
    }

    fn scalar(&mut self, value: &impl Serialize) -> Result<(), Error> {
        self.layer(Shape::One);
        serde_json::to_writer(&mut self.out, value)
    }

    fn open(&mut self, begin: &str, end: &'static str) -> Result<Compound<'_>, Error> {
        self.layer(Shape::One);
        if self.depth == DEEPEST {
            return Err(Error::custom(format_args!(
                "it is nested more than {DEEPEST} levels deep, which readers of JSON refuse"
            )));
        }
        self.depth += 1;
        self.raw(begin);
        Ok(Compound { writer: self, is_first: true, is_text: false, levels: 1, end })
    }

    /// Opens the object of an enum's variant, with its name as the only key.
    fn variant(&mut self, name: &str, begin: &str, end: &'static str) -> Result<Compound<'_>, Error> {
        let object = self.open("{", "}")?.writer;
        object.scalar(&name)?;
        object.raw(":");
        let mut inner = object.open(begin, end)?;
        inner.levels = 2;
        Ok(inner)
    }

    fn float(&mut self, value: f64, written: &impl Serialize) -> Result<(), Error> {
        if !value.is_finite() {
            return Err(Error::custom(format_args!("{value} has no form in JSON")));
        }
        self.scalar(written)
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<(), Error> {
            self.scalar(&value)
        }
    )*};
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = Compound<'w>;
    type SerializeMap = Compound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = Compound<'w>;

    scalars! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_char: char, serialize_str: &str
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.float(value.into(), &value)
    }
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.float(value, &value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.layer(Shape::One);
        let text = STANDARD.encode(value);
        write!(self.out, r#"{{"{TYPE}":"{BASE64}","{VALUE}":"{text}"}}"#).map_err(Error::io)
    }
    fn serialize_none(self) -> Result<(), Error> {
        self.scalar(&())
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        self.layer(Shape::One);
        let start = self.out.len();
        value.serialize(&mut *self)?;
        if self.out[start..] == *b"null" {
            return Err(Error::custom("`Some` of what is null in JSON would be read as `None`"));
        }
        Ok(())
    }
    fn serialize_unit(self) -> Result<(), Error> {
        self.layer(Shape::Unit);
        self.scalar(&())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.scalar(&())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.scalar(&variant)
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, name: &'static str, value: &T) -> Result<(), Error> {
        self.layer(if name == KEYWORDS { Shape::Keywords } else { Shape::One });
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut object = self.open("{", "}")?;
        object.field(variant, value)?;
        object.close();
        Ok(())
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        self.open("[", "]")
    }
    fn serialize_tuple(self, _: usize) -> Result<Compound<'w>, Error> {
        self.layer(Shape::Tuple);
        self.open("[", "]")
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        self.open("[", "]")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.variant(variant, "[", "]}")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        self.open("{", "}")
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        if TEXTS.contains(&name) {
            let end = "";
            return Ok(Compound { is_text: true, end, ..self.open("", end)? });
        }
        self.open("{", "}")
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.variant(variant, "{", "}}")
    }
}

/// An array or an object that is being written.
pub(super) struct Compound<'w> {
    writer: &'w mut Writer,
    is_first: bool,
    /// It is JSON already, as its only field.
    is_text: bool,
    /// How many arrays and objects end with it.
    levels: usize,
    end: &'static str,
}

impl Compound<'_> {
    fn comma(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.writer.raw(",");
        }
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.is_text {
            let Value::String(text) = serde_json::to_value(value)? else {
                return Err(Error::custom("a value of serde_json has no text"));
            };
            self.writer.raw(&text);
            return Ok(());
        }
        self.comma();
        self.writer.scalar(&name)?;
        self.writer.raw(":");
        value.serialize(&mut *self.writer)
    }

    fn close(self) {
        self.writer.depth -= self.levels;
        self.writer.raw(self.end);
    }
}

macro_rules! sequences {
    ($($trait:ident: $method:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;
            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
                self.element(value)
            }
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

sequences! {
    SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
}

macro_rules! structs {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = Error;
            fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                self.field(name, value)
            }
            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

structs! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        let key = match serde_json::to_value(key)? {
            Value::String(text) => text,
            key @ (Value::Number(_) | Value::Bool(_)) => key.to_string(),
            _ => return Err(Error::custom("a key of a map must be a text or a number to have a form in JSON")),
        };
        self.comma();
        self.writer.scalar(&key)
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.writer.raw(":");
        value.serialize(&mut *self.writer)
    }
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use concurrent_futures::Bytes;
    use serde::Serialize;

    use super::{Shape, write};
    use crate::json::DEEPEST;

    #[derive(Serialize)]
    enum Variant {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Pair(u8, u8);

    fn text(value: &dyn erased_serde::Serialize) -> String {
        write(value).unwrap().0
    }

    fn refused(value: &dyn erased_serde::Serialize) -> String {
        write(value).unwrap_err().to_string()
    }

    #[test]
    fn values_are_written_as_serde_json_writes_them() {
        let map = BTreeMap::from([(1_u8, vec![Some(1.5), None])]);
        let value = (
            (true, -1_i8, u64::MAX, i128::MIN, 'ä', "a\"\n\u{1}", 0.1_f32, 1e300),
            (Variant::Unit, Variant::Newtype(1), Variant::Tuple(1, 2), Variant::Struct { a: 1 }),
            (map, Unit, Pair(1, 2), Some(7), Vec::<u8>::new()),
        );
        assert_eq!(text(&value), serde_json::to_string(&value).unwrap());
    }

    #[test]
    fn the_outermost_layer_has_a_shape() {
        for (value, shape) in [
            (&() as &dyn erased_serde::Serialize, Shape::Unit),
            (&(1, 2), Shape::Tuple),
            (&[1, 2], Shape::Tuple),
            (&Unit, Shape::One),
            (&Pair(1, 2), Shape::One),
            (&vec![(1, 2)], Shape::One),
            (&Some((1, 2)), Shape::One),
            (&Variant::Tuple(1, 2), Shape::One),
            (&Bytes::from(vec![1]), Shape::One),
        ] {
            assert_eq!(write(value).unwrap().1, shape, "{}", text(value));
        }
    }

    #[test]
    fn bytes_have_the_form_that_kombu_reads() {
        assert_eq!(text(&Bytes::from(vec![0, 255])), r#"{"__type__":"base64","__value__":"AP8="}"#);
    }

    #[test]
    fn what_json_lacks_is_refused() {
        assert_eq!(refused(&f64::NAN), "NaN has no form in JSON");
        assert_eq!(refused(&vec![f32::INFINITY]), "inf has no form in JSON");
        assert!(refused(&BTreeMap::from([((1, 2), 3)])).contains("a key of a map must be a text or a number"));
        for lost in [&Some(()) as &dyn erased_serde::Serialize, &Some(None::<u8>), &[Some(Unit)]] {
            assert_eq!(refused(lost), "`Some` of what is null in JSON would be read as `None`");
        }
        assert_eq!(text(&[Some(Some(7)), None]), "[7,null]");
    }

    #[test]
    fn what_is_json_already_is_written_as_it_is() {
        let raw = serde_json::value::RawValue::from_string(r#"{"a": [1]}"#.into()).unwrap();
        assert_eq!(text(&[&*raw]), r#"[{"a": [1]}]"#);
        assert_eq!(write(&&*raw).unwrap(), (r#"{"a": [1]}"#.into(), Shape::One));
    }

    #[test]
    fn only_so_many_levels_are_written() {
        let nested = |levels| (1..levels).fold(serde_json::json!([]), |inner, _| serde_json::json!([inner]));
        assert_eq!(text(&nested(DEEPEST)), nested(DEEPEST).to_string());
        assert!(refused(&nested(DEEPEST + 1)).contains("nested more than"));

        /// Each is two levels.
        #[derive(Serialize)]
        enum Chain {
            Next(u8, Box<Chain>),
            Named { next: Box<Chain> },
            End,
        }
        let chain = |links| {
            (0..links).fold(Chain::End, |next, link| match link % 2 {
                0 => Chain::Next(1, next.into()),
                _ => Chain::Named { next: next.into() },
            })
        };
        let written = text(&chain(DEEPEST / 2));
        assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok());
        assert!(refused(&chain(DEEPEST / 2 + 1)).contains("nested more than"));
    }
}
