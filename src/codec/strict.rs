//! A serialiser in front of postcard's that lets no field be left out.
//!
//! `#[serde(skip_serializing_if)]` leaves fields out of some values. In a format that is not self-describing nothing
//! shows it, and the reader would take what follows for the field: wrong values without an error. So it is one.
#![forbid(unsafe_code)]

use std::fmt::Display;

use serde::ser::{self, Error as _, Serialize, Serializer};

use super::model::Name;

/// A value that is written with all its fields, or not at all.
pub(super) struct Strict<'a, T: ?Sized>(pub(super) &'a T);

impl<T: ?Sized + Serialize> Serialize for Strict<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Whole(serializer))
    }
}

/// A serialiser, or a part of one, whose values are all strict.
struct Whole<S>(S);

macro_rules! forward {
    ($($method:ident($type:ty))*) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.0.$method(value)
        })*
    };
}

macro_rules! begin {
    ($($method:ident($($argument:ident: $type:ty),*) -> $compound:ident;)*) => {
        $(type $compound = Whole<S::$compound>;)*
        $(fn $method(self, $($argument: $type),*) -> Result<Self::$compound, S::Error> {
            self.0.$method($($argument),*).map(Whole)
        })*
    };
}

impl<S: Serializer> Serializer for Whole<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    scalars!(forward);
    compounds!(begin);

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }
    fn serialize_unit_variant(self, name: Name, index: u32, variant: Name) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_variant(name, index, variant)
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Strict(value))
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, name: Name, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Strict(value))
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        name: Name,
        index: u32,
        variant: Name,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, index, variant, &Strict(value))
    }
    fn collect_str<T: ?Sized + Display>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.collect_str(value)
    }
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! write_parts {
    ($($compound:ident: $($method:ident($($key:ident: $type:ty)?))* $(, $skip:ident)?;)*) => {
        $(impl<C: ser::$compound> ser::$compound for Whole<C> {
            type Ok = C::Ok;
            type Error = C::Error;
            $(fn $method<T: ?Sized + Serialize>(&mut self, $($key: $type,)? value: &T) -> Result<(), C::Error> {
                self.0.$method($($key,)? &Strict(value))
            })*
            $(fn $skip(&mut self, key: Name) -> Result<(), C::Error> {
                Err(C::Error::custom(format_args!(
                    "the field `{key}` is left out of this value, which would garble what follows it: the format is not \
                     self-describing; take `skip_serializing_if` away"
                )))
            })?
            fn end(self) -> Result<C::Ok, C::Error> {
                self.0.end()
            }
        })*
    };
}

parts!(write_parts);
