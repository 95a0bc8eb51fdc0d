//! [`Text`]: JSON that any type can be read from.
//!
//! Most text has none of kombu's `__type__` objects, and is read by serde_json in place. Otherwise it becomes a
//! [`Value`] first, and [`Reader`] replaces these objects by what they represent.
#![forbid(unsafe_code)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Map, Value};

use super::{BASE64, BYTES, TYPE, VALUE};

/// A value of a message, in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

type Name = &'static str;

macro_rules! read_text {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            if self.0.contains(TYPE) {
                return Reader(serde_json::from_str(self.0)?).$method($($name,)* visitor);
            }
            let mut reader = serde_json::Deserializer::from_str(self.0);
            let value = reader.$method($($name,)* visitor)?;
            reader.end()?;
            Ok(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    read_text! {
        deserialize_any() deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_bytes() deserialize_byte_buf() deserialize_option()
        deserialize_unit() deserialize_unit_struct(name: Name) deserialize_newtype_struct(name: Name)
        deserialize_seq() deserialize_tuple(length: usize) deserialize_tuple_struct(name: Name, length: usize)
        deserialize_map() deserialize_struct(name: Name, fields: &'static [Name])
        deserialize_enum(name: Name, variants: &'static [Name]) deserialize_identifier()
        deserialize_ignored_any()
    }
}

/// A value in which objects may represent what JSON lacks.
struct Reader(Value);

/// What an object with kombu's two keys represents.
enum Special {
    Bytes(Vec<u8>),
    Text(String),
}

impl Special {
    /// Returns what the value represents, if it is one of kombu's objects.
    fn of(value: &Value) -> Result<Option<Self>, Error> {
        let Value::Object(object) = value else { return Ok(None) };
        let (2, Some(Value::String(kind)), Some(value)) = (object.len(), object.get(TYPE), object.get(VALUE)) else {
            return Ok(None);
        };
        Ok(Some(match (&**kind, value) {
            (BYTES, Value::String(text)) => Self::Bytes(text.clone().into_bytes()),
            (BASE64, Value::String(text)) => Self::Bytes(
                STANDARD
                    .decode(text)
                    .map_err(|error| Error::custom(format_args!("bytes that are not written in base64: {error}")))?,
            ),
            ("uuid", Value::Object(uuid)) => match uuid.get("hex") {
                Some(Value::String(hex)) => Self::Text(hex.clone()),
                _ => return Ok(None),
            },
            (_, Value::String(text)) => Self::Text(text.clone()),
            _ => return Ok(None),
        }))
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Special::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            Special::Text(text) => visitor.visit_string(text),
        }
    }
}

impl IntoDeserializer<'_, Error> for Reader {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// Passes the outermost layer to serde_json, which knows what each type accepts.
macro_rules! plain {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match Special::of(&self.0)? {
                Some(special) => special.visit(visitor),
                None => self.0.$method(visitor),
            }
        }
    )*};
}

/// Reads the outermost layer as an array or an object, whose values are readers again.
macro_rules! compound {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $type,)* visitor: V) -> Result<V::Value, Error> {
            self.deserialize_any(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(special) = Special::of(&self.0)? {
            return special.visit(visitor);
        }
        match self.0 {
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Reader));
                let value = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(value)
            }
            Value::Object(object) => {
                let mut entries = entries(object);
                let value = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(value)
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    plain! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_i8 deserialize_i16
        deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_bytes deserialize_byte_buf
        deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    compound! {
        deserialize_seq() deserialize_tuple(length: usize) deserialize_tuple_struct(name: Name, length: usize)
        deserialize_map() deserialize_struct(name: Name, fields: &'static [Name]) deserialize_unit_struct(name: Name)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: Name, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: Name, _: &'static [Name], visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.into_deserializer()),
            Value::Object(object) if object.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(entries(object)))
            }
            _ => Err(Error::custom("a variant must be a text or an object with one key")),
        }
    }
}

type Entries<'de> = MapDeserializer<'de, Box<dyn Iterator<Item = (Key, Reader)>>, Error>;

fn entries<'de>(object: Map<String, Value>) -> Entries<'de> {
    MapDeserializer::new(Box::new(object.into_iter().map(|(key, value)| (Key(key), Reader(value)))))
}

/// A key of an object, which may be a number or a truth value in text.
struct Key(String);

impl IntoDeserializer<'_, Error> for Key {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident: $type:ty, $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_string(self.0),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key {
    type Error = Error;

    parsed! {
        deserialize_bool: bool, visit_bool
        deserialize_i8: i8, visit_i8
        deserialize_i16: i16, visit_i16
        deserialize_i32: i32, visit_i32
        deserialize_i64: i64, visit_i64
        deserialize_i128: i128, visit_i128
        deserialize_u8: u8, visit_u8
        deserialize_u16: u16, visit_u16
        deserialize_u32: u32, visit_u32
        deserialize_u64: u64, visit_u64
        deserialize_u128: u128, visit_u128
        deserialize_f32: f32, visit_f32
        deserialize_f64: f64, visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: Name, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(self, _: Name, _: &'static [Name], visitor: V) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use concurrent_futures::Bytes;
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use super::Text;
    use crate::json::write;

    fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        T::deserialize(Text(text)).map_err(|error| error.to_string())
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Variant {
        Unit,
        Newtype(Bytes),
        Tuple(u8, Bytes),
        Struct { a: Option<Bytes> },
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newtype(u64);

    type Everything = (
        (bool, i8, u64, char, String, f32, f64, (), Newtype),
        Vec<Variant>,
        BTreeMap<u16, BTreeMap<String, Option<i64>>>,
        (Bytes, Result<u8, String>, [u8; 2]),
    );

    #[test]
    fn what_was_written_is_read_with_bytes_or_without() {
        let bytes = Bytes::from(vec![0, 159, 146, 150]);
        let everything: Everything = (
            (true, -1, u64::MAX, 'ä', "a\"\n".into(), 0.1, 1e300, (), Newtype(7)),
            vec![
                Variant::Unit,
                Variant::Newtype(bytes.clone()),
                Variant::Tuple(1, bytes.clone()),
                Variant::Struct { a: None },
                Variant::Struct { a: Some(bytes.clone()) },
            ],
            BTreeMap::from([(1, BTreeMap::from([("x".into(), Some(-1)), ("y".into(), None)]))]),
            (bytes, Err("no".into()), [1, 2]),
        );
        let text = write(&everything).unwrap().0;
        assert_eq!(read::<Everything>(&text).unwrap(), everything);
        let without = (everything.0, everything.2);
        assert_eq!(read(&write(&without).unwrap().0), Ok(without));
    }

    #[test]
    fn large_integers_are_read_in_place() {
        assert_eq!(read(&i128::MIN.to_string()), Ok(i128::MIN));
    }

    #[test]
    fn what_kombu_writes_for_python_types_is_read() {
        assert_eq!(read(r#"{"__type__": "bytes", "__value__": "abc"}"#), Ok(Bytes::from(b"abc".to_vec())));
        assert_eq!(read(r#"{"__type__": "base64", "__value__": "AP8="}"#), Ok(Bytes::from(vec![0, 255])));
        assert_eq!(
            read(r#"[{"__type__": "datetime", "__value__": "2026-01-02T03:04:05"}]"#),
            Ok(["2026-01-02T03:04:05".to_owned()])
        );
        assert_eq!(read(r#"{"__type__": "decimal", "__value__": "1.50"}"#), Ok("1.50".to_owned()));
        assert_eq!(read(r#"{"__type__": "uuid", "__value__": {"hex": "00ff"}}"#), Ok("00ff".to_owned()));
        let wrong = read::<Bytes>(r#"{"__type__": "base64", "__value__": "?"}"#).unwrap_err();
        assert!(wrong.contains("base64"), "{wrong}");
    }

    #[test]
    fn an_object_of_the_programs_own_with_such_a_key_is_left_alone() {
        let text = r#"{"__type__": "x", "__value__": 1, "more": 2}"#;
        assert_eq!(read::<BTreeMap<String, serde_json::Value>>(text).unwrap().len(), 3);
    }

    #[test]
    fn what_follows_the_value_and_what_is_too_deep_is_refused() {
        assert!(read::<u8>("1 2").is_err());
        assert!(read::<u8>("1]").is_err());
        assert!(read::<serde_json::Value>(&"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
        let deep = format!(r#"{}{{"__type__": 1}}"#, "[".repeat(100_000));
        assert!(read::<serde_json::Value>(&deep).unwrap_err().contains("recursion limit"));
    }
}
