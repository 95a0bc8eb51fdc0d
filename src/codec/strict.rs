//! A serialiser in front of postcard's that lets no field be left out, and keeps the text of a type's own error.
//!
//! `#[serde(skip_serializing_if)]` leaves fields out of some values. In a format that is not self-describing, the
//! reader cannot notice that, and would read what follows as the field: wrong values without an error. So leaving a
//! field out is an error.
//!
//! postcard's error has no room for a text. A value within another is written by postcard's serialiser, which is called
//! by this one and calls this one: on its way out through postcard's, the text is put into [`ErrorText`], and taken out
//! again behind it.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fmt::{self, Debug, Display};

use serde::ser::{self, Serialize, Serializer};

use crate::bytes;

/// The name of a type, a field or a variant, as serde passes it.
pub(super) type Name = &'static str;

/// The text of the type's own error, while postcard's serialiser passes its own error on.
pub(super) type ErrorText = Cell<Option<String>>;

/// A value that is written with all its fields, or not at all.
pub(super) struct Strict<'a, T: ?Sized>(pub(super) &'a T, pub(super) &'a ErrorText);

impl<T: ?Sized + Serialize> Serialize for Strict<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Whole(serializer, self.1)).map_err(|unwritten| unwritten.into_format(self.1))
    }
}

/// Why a value is not written. A pointer, to be small, because every call returns it.
pub(super) struct Unwritten<E>(Box<Cause<E>>);

#[derive(Debug)]
enum Cause<E> {
    /// The type's own error.
    Text(String),
    /// An error of the format.
    Format(E),
}

impl<E: ser::Error> Unwritten<E> {
    #[cold]
    fn from_format(error: E, kept: &ErrorText) -> Self {
        Self(Box::new(kept.take().map_or(Cause::Format(error), Cause::Text)))
    }

    #[cold]
    fn into_format(self, kept: &ErrorText) -> E {
        match *self.0 {
            Cause::Text(text) => {
                kept.set(Some(text));
                E::custom("")
            }
            Cause::Format(error) => error,
        }
    }
}

impl<E: ser::Error> ser::Error for Unwritten<E> {
    #[cold]
    fn custom<T: Display>(text: T) -> Self {
        Self(Box::new(Cause::Text(text.to_string())))
    }
}

impl<E: Debug> Debug for Unwritten<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: Display> Display for Unwritten<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Text(text) => f.write_str(text),
            Cause::Format(error) => Display::fmt(error, f),
        }
    }
}

impl<E: Debug + Display> std::error::Error for Unwritten<E> {}

/// A serialiser, or a part of one, whose values are all strict.
struct Whole<'a, S>(S, &'a ErrorText);

macro_rules! scalars {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, Self::Error> {
            self.0.$method(value).map_err(|error| Unwritten::from_format(error, self.1))
        })*
    };
}

macro_rules! compounds {
    ($($compound:ident: $method:ident($($argument:ident: $type:ty),*);)*) => {
        $(type $compound = Whole<'a, S::$compound>;)*
        $(fn $method(self, $($argument: $type),*) -> Result<Self::$compound, Self::Error> {
            match self.0.$method($($argument),*) {
                Ok(compound) => Ok(Whole(compound, self.1)),
                Err(error) => Err(Unwritten::from_format(error, self.1)),
            }
        })*
    };
}

impl<'a, S: Serializer> Serializer for Whole<'a, S> {
    type Ok = S::Ok;
    type Error = Unwritten<S::Error>;

    scalars! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64) serialize_unit_struct(Name)
    }
    compounds! {
        SerializeSeq: serialize_seq(length: Option<usize>);
        SerializeTuple: serialize_tuple(length: usize);
        SerializeTupleStruct: serialize_tuple_struct(name: Name, length: usize);
        SerializeTupleVariant: serialize_tuple_variant(name: Name, index: u32, variant: Name, length: usize);
        SerializeMap: serialize_map(length: Option<usize>);
        SerializeStruct: serialize_struct(name: Name, length: usize);
        SerializeStructVariant: serialize_struct_variant(name: Name, index: u32, variant: Name, length: usize);
    }

    fn serialize_none(self) -> Result<S::Ok, Self::Error> {
        self.0.serialize_none().map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn serialize_unit(self) -> Result<S::Ok, Self::Error> {
        self.0.serialize_unit().map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn serialize_unit_variant(self, name: Name, index: u32, variant: Name) -> Result<S::Ok, Self::Error> {
        let written = self.0.serialize_unit_variant(name, index, variant);
        written.map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, Self::Error> {
        let written = self.0.serialize_some(&Strict(value, self.1));
        written.map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, name: Name, value: &T) -> Result<S::Ok, Self::Error> {
        let write = || self.0.serialize_newtype_struct(name, &Strict(value, self.1));
        let written = if name == bytes::NAME { bytes::as_own(write) } else { write() };
        written.map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: Name,
        index: u32,
        variant: Name,
        value: &T,
    ) -> Result<S::Ok, Self::Error> {
        let written = self.0.serialize_newtype_variant(name, index, variant, &Strict(value, self.1));
        written.map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Result<S::Ok, Self::Error> {
        self.0.collect_str(value).map_err(|error| Unwritten::from_format(error, self.1))
    }
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! parts {
    ($($compound:ident: $($method:ident($($key:ident: $type:ty)?))* $(, $skip:ident)?;)*) => {
        $(impl<C: ser::$compound> ser::$compound for Whole<'_, C> {
            type Ok = C::Ok;
            type Error = Unwritten<C::Error>;
            $(fn $method<T: ?Sized + Serialize>(&mut self, $($key: $type,)? value: &T) -> Result<(), Self::Error> {
                let written = self.0.$method($($key,)? &Strict(value, self.1));
                written.map_err(|error| Unwritten::from_format(error, self.1))
            })*
            $(fn $skip(&mut self, key: Name) -> Result<(), Self::Error> {
                Err(ser::Error::custom(format_args!(
                    "the field `{key}` is left out of this value, which would garble what follows it: the format is not \
                     self-describing; take `skip_serializing_if` away"
                )))
            })?
            fn end(self) -> Result<C::Ok, Self::Error> {
                self.0.end().map_err(|error| Unwritten::from_format(error, self.1))
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key() serialize_value();
    SerializeStruct: serialize_field(key: Name), skip_field;
    SerializeStructVariant: serialize_field(key: Name), skip_field;
}
