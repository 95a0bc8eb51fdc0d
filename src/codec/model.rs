//! The methods of serde's serialisers, as tables that a macro is called with: who wraps all of them says only how.

pub(super) type Name = &'static str;

/// The values that are written in one go.
macro_rules! scalars {
    ($each:ident) => {
        $each! {
            serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
            serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
            serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
            serialize_f32(f32) serialize_f64(f64) serialize_unit_struct(Name)
        }
    };
}

/// How those with parts begin.
macro_rules! compounds {
    ($each:ident) => {
        $each! {
            serialize_seq(length: Option<usize>) -> SerializeSeq;
            serialize_tuple(length: usize) -> SerializeTuple;
            serialize_tuple_struct(name: Name, length: usize) -> SerializeTupleStruct;
            serialize_tuple_variant(name: Name, index: u32, variant: Name, length: usize) -> SerializeTupleVariant;
            serialize_map(length: Option<usize>) -> SerializeMap;
            serialize_struct(name: Name, length: usize) -> SerializeStruct;
            serialize_struct_variant(name: Name, index: u32, variant: Name, length: usize) -> SerializeStructVariant;
        }
    };
}

/// How each part is written, and left out where that can be told.
macro_rules! parts {
    ($each:ident) => {
        $each! {
            SerializeSeq: serialize_element();
            SerializeTuple: serialize_element();
            SerializeTupleStruct: serialize_field();
            SerializeTupleVariant: serialize_field();
            SerializeMap: serialize_key() serialize_value();
            SerializeStruct: serialize_field(key: Name), skip_field;
            SerializeStructVariant: serialize_field(key: Name), skip_field;
        }
    };
}
