//! The message of a type's own `Deserialize` error. postcard drops that text, so the bytes are read once more to get
//! it.
//!
//! Used on the failure path only. Every layer of postcard's deserialiser is wrapped, and the text of the type's own
//! error is put aside while postcard's error is passed on.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt::{self, Display};

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::room::{Room, Source};
use super::strict::Name;

/// Returns why these bytes are rejected, or `None` if they can be read, or if reading them takes more than `room`.
pub(super) fn message<T: DeserializeOwned>(bytes: &[u8], room: Room) -> Option<String> {
    let aside = Cell::new(None);
    let mut postcard = postcard::Deserializer::from_flavor(Source::new(bytes, room));
    let error = T::deserialize(wrap(&aside, &mut postcard)).err()?;
    let refused = postcard.finalize().is_ok_and(|remainder| remainder.refused.is_some());
    (!refused).then_some(error.0)
}

/// An error that keeps its text.
#[derive(Debug)]
struct TextError(String);

impl Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TextError {}

impl de::Error for TextError {
    fn custom<T: Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

/// One layer of a deserialiser, and where an error's text is put while it passes through postcard's.
struct Layer<'a, L> {
    inner: L,
    aside: &'a Cell<Option<String>>,
}

fn wrap<L>(aside: &Cell<Option<String>>, inner: L) -> Layer<'_, L> {
    Layer { inner, aside }
}

/// On the way in: the type's own error becomes one of postcard's.
fn put<E: de::Error>(aside: &Cell<Option<String>>, error: TextError) -> E {
    aside.set(Some(error.0));
    E::custom("")
}

/// On the way out: the text that was put aside, or what postcard itself says.
fn get(aside: &Cell<Option<String>>, error: impl de::Error) -> TextError {
    TextError(aside.take().unwrap_or_else(|| error.to_string()))
}

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, TextError> {
            let visitor = wrap(self.aside, visitor);
            self.inner.$method($($name,)* visitor).map_err(|error| get(self.aside, error))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Layer<'_, D> {
    type Error = TextError;

    forward! {
        deserialize_any() deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_bytes() deserialize_byte_buf() deserialize_option()
        deserialize_unit() deserialize_unit_struct(name: Name) deserialize_newtype_struct(name: Name)
        deserialize_seq() deserialize_tuple(length: usize) deserialize_tuple_struct(name: Name, length: usize)
        deserialize_map() deserialize_struct(name: Name, fields: &'static [Name])
        deserialize_enum(name: Name, variants: &'static [Name]) deserialize_identifier() deserialize_ignored_any()
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($($type:ty)?))*) => {
        $(fn $method<E: de::Error>(self, $(value: $type)?) -> Result<V::Value, E> {
            self.inner.$method($(visit!(@ value $type))?).map_err(|error| put(self.aside, error))
        })*
    };
    (@ $value:ident $type:ty) => { $value };
}

macro_rules! visit_layer {
    ($($method:ident: $layer:ident)*) => {
        $(fn $method<L: $layer<'de>>(self, layer: L) -> Result<V::Value, L::Error> {
            let layer = wrap(self.aside, layer);
            self.inner.$method(layer).map_err(|error| put(self.aside, error))
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Layer<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }
    visit! {
        visit_bool(bool) visit_char(char) visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
        visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128)
        visit_u8(u8) visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>) visit_none() visit_unit()
    }
    visit_layer! {
        visit_some: Deserializer visit_newtype_struct: Deserializer visit_seq: SeqAccess visit_map: MapAccess
        visit_enum: EnumAccess
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Layer<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let layer = wrap(self.aside, deserializer);
        self.inner.deserialize(layer).map_err(|error| put(self.aside, error))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Layer<'_, A> {
    type Error = TextError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TextError> {
        let seed = wrap(self.aside, seed);
        self.inner.next_element_seed(seed).map_err(|error| get(self.aside, error))
    }
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Layer<'_, A> {
    type Error = TextError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TextError> {
        let seed = wrap(self.aside, seed);
        self.inner.next_key_seed(seed).map_err(|error| get(self.aside, error))
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TextError> {
        let seed = wrap(self.aside, seed);
        self.inner.next_value_seed(seed).map_err(|error| get(self.aside, error))
    }
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'a, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Layer<'a, A> {
    type Error = TextError;
    type Variant = Layer<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), TextError> {
        let seed = wrap(self.aside, seed);
        let (value, variant) = self.inner.variant_seed(seed).map_err(|error| get(self.aside, error))?;
        Ok((value, wrap(self.aside, variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Layer<'_, A> {
    type Error = TextError;

    fn unit_variant(self) -> Result<(), TextError> {
        self.inner.unit_variant().map_err(|error| get(self.aside, error))
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, TextError> {
        let seed = wrap(self.aside, seed);
        self.inner.newtype_variant_seed(seed).map_err(|error| get(self.aside, error))
    }
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, TextError> {
        let visitor = wrap(self.aside, visitor);
        self.inner.tuple_variant(length, visitor).map_err(|error| get(self.aside, error))
    }
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [Name], visitor: V) -> Result<V::Value, TextError> {
        let visitor = wrap(self.aside, visitor);
        self.inner.struct_variant(fields, visitor).map_err(|error| get(self.aside, error))
    }
}
