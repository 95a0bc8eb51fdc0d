//! How one argument of Rust becomes the arguments of a Celery task, and back.
//!
//! A function has one parameter, and a task has any number of arguments, by position or by name:
//!
//! | the argument | the task's arguments |
//! |---|---|
//! | `()` | none |
//! | a tuple or an array of n | n by position; only the outermost layer counts |
//! | `Keywords` of a struct or a map, written | its fields by name |
//! | anything else | one by position |
//! | a struct or a map, read | one by position, or its fields by name |
//! | what may have any shape, such as an untagged enum, read | the same, or none as null, or several as a list |
#![forbid(unsafe_code)]

use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

use crate::json::{self, KEYWORDS, Shape, Text};

/// The arguments of a task, in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// An array.
    pub(crate) args: String,
    /// An object.
    pub(crate) kwargs: String,
}

impl Written {
    /// Writes the argument of a function as the arguments of a task. Runs user code.
    pub(crate) fn new(argument: &dyn erased_serde::Serialize) -> Result<Self, Error> {
        let (text, shape) = json::write(argument)?;
        Ok(match shape {
            Shape::Unit => Self { args: "[]".into(), kwargs: "{}".into() },
            Shape::Tuple => Self { args: text, kwargs: "{}".into() },
            Shape::Keywords if text.starts_with('{') => Self { args: "[]".into(), kwargs: text },
            Shape::Keywords => {
                return Err(<Error as serde::ser::Error>::custom(
                    "only a struct with named fields, or a map, can be keyword arguments",
                ));
            }
            Shape::One => Self { args: format!("[{text}]"), kwargs: "{}".into() },
        })
    }
}

/// The arguments of a task in a message, to be read as a function's argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    /// An array.
    pub(crate) args: &'a str,
    /// An object.
    pub(crate) kwargs: &'a str,
}

type Name = &'static str;

/// Returns the error for a number of arguments that the function does not take.
fn mismatch(came: &Count<'_>, wanted: &str) -> Error {
    let by_name = if came.by_name == 0 { String::new() } else { format!(" and {} keyword", came.by_name) };
    let plural = if came.by_position.len() + came.by_name == 1 { "" } else { "s" };
    Error::custom(format_args!(
        "{} positional{by_name} argument{plural} for a function of {wanted}",
        came.by_position.len()
    ))
}

struct Count<'a> {
    by_position: Vec<&'a RawValue>,
    by_name: usize,
}

impl<'a> Arguments<'a> {
    fn count(&self) -> Result<Count<'a>, Error> {
        let by_name: std::collections::HashMap<String, IgnoredAny> = serde_json::from_str(self.kwargs)?;
        Ok(Count { by_position: serde_json::from_str(self.args)?, by_name: by_name.len() })
    }

    /// Returns the only positional argument, or all keyword arguments as one object.
    fn one(&self) -> Result<Text<'a>, Error> {
        let count = self.count()?;
        match (&*count.by_position, count.by_name) {
            ([only], 0) => Ok(Text(only.get())),
            ([], 1..) => Ok(Text(self.kwargs)),
            _ => Err(mismatch(&count, "one")),
        }
    }

    /// Returns the only argument, or all keyword arguments as one, even if there are none.
    fn fields(&self) -> Result<Text<'a>, Error> {
        let count = self.count()?;
        if count.by_position.is_empty() { Ok(Text(self.kwargs)) } else { self.one() }
    }

    /// Returns the arguments as a value that was written whatever shape it has.
    fn any(&self) -> Result<Text<'a>, Error> {
        let count = self.count()?;
        match (count.by_position.len(), count.by_name) {
            (0, 0) => Ok(Text("null")),
            (2.., 0) => Ok(Text(self.args)),
            _ => self.one(),
        }
    }
}

macro_rules! read_by {
    ($find:ident: $($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            self.$find()?.$method($($name,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Arguments<'de> {
    type Error = Error;

    read_by! {
        any: deserialize_any() deserialize_ignored_any()
    }

    read_by! {
        fields: deserialize_map() deserialize_struct(name: Name, fields: &'static [Name])
    }

    read_by! {
        one: deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_bytes() deserialize_byte_buf() deserialize_option()
        deserialize_unit_struct(name: Name)
        deserialize_seq() deserialize_tuple_struct(name: Name, length: usize)
        deserialize_enum(name: Name, variants: &'static [Name]) deserialize_identifier()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: Name, visitor: V) -> Result<V::Value, Error> {
        match name {
            KEYWORDS => visitor.visit_newtype_struct(self),
            _ => self.one()?.deserialize_newtype_struct(name, visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let count = self.count()?;
        if count.by_position.len() != length || count.by_name > 0 {
            return Err(mismatch(&count, &length.to_string()));
        }
        Text(self.args).deserialize_tuple(length, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let count = self.count()?;
        if !count.by_position.is_empty() || count.by_name > 0 {
            return Err(mismatch(&count, "none"));
        }
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use super::{Arguments, Written};
    use crate::Keywords;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Resize {
        path: String,
        width: u32,
    }

    fn written(argument: &dyn erased_serde::Serialize) -> (String, String) {
        let Written { args, kwargs } = Written::new(argument).unwrap();
        (args, kwargs)
    }

    fn read<T: DeserializeOwned>(args: &str, kwargs: &str) -> Result<T, String> {
        T::deserialize(Arguments { args, kwargs }).map_err(|error| error.to_string())
    }

    fn resize() -> Resize {
        Resize { path: "a.png".into(), width: 3 }
    }

    #[test]
    fn the_outermost_layer_becomes_arguments() {
        let pair = |args: &str, kwargs: &str| (args.to_owned(), kwargs.to_owned());
        assert_eq!(written(&()), pair("[]", "{}"));
        assert_eq!(written(&(2, "a")), pair(r#"[2,"a"]"#, "{}"));
        assert_eq!(written(&[1, 2]), pair("[1,2]", "{}"));
        assert_eq!(written(&((1, 2),)), pair("[[1,2]]", "{}"));
        assert_eq!(written(&vec![1, 2]), pair("[[1,2]]", "{}"));
        assert_eq!(written(&7), pair("[7]", "{}"));
        assert_eq!(written(&resize()), pair(r#"[{"path":"a.png","width":3}]"#, "{}"));
        assert_eq!(written(&Keywords(resize())), pair("[]", r#"{"path":"a.png","width":3}"#));
        let refused = Written::new(&Keywords(7)).unwrap_err().to_string();
        assert!(refused.contains("only a struct with named fields, or a map"), "{refused}");
    }

    #[test]
    fn arguments_become_what_the_function_takes() {
        assert_eq!(read("[]", "{}"), Ok(()));
        assert_eq!(read("[1, 2]", "{}"), Ok((1, 2)));
        assert_eq!(read("[[1, 2]]", "{}"), Ok(vec![1, 2]));
        assert_eq!(read("[null]", "{}"), Ok(None::<u8>));
        assert_eq!(read(r#"[{"path": "a.png", "width": 3}]"#, "{}"), Ok(resize()));
        assert_eq!(read("[]", r#"{"path": "a.png", "width": 3}"#), Ok(resize()));
        assert_eq!(
            read("[]", r#"{"path": "a.png", "width": 3}"#).map(|Keywords(order): Keywords<Resize>| order),
            Ok(resize())
        );
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Any {
        None,
        Text(String),
        Two(u8, u8),
        Named { a: u8 },
    }

    #[test]
    fn what_may_have_any_shape_is_read_as_it_was_written() {
        for any in [Any::None, Any::Text("x".into()), Any::Two(1, 2), Any::Named { a: 1 }] {
            let (args, kwargs) = written(&any);
            assert_eq!(read(&args, &kwargs), Ok(any));
        }
        use serde_json::{Value, json};
        for value in [Value::Null, json!([]), json!([1, 2]), json!({}), json!({"a": [null]}), json!(7)] {
            let (args, kwargs) = written(&value);
            assert_eq!(read(&args, &kwargs), Ok(value));
        }
        let none = std::collections::BTreeMap::<String, u8>::new();
        let (args, kwargs) = written(&Keywords(&none));
        assert_eq!(read(&args, &kwargs).map(|Keywords(map)| map), Ok(none));
    }

    #[test]
    fn a_wrong_count_is_said() {
        let said = |result: Result<(), String>| result.unwrap_err();
        assert_eq!(said(read::<u8>("[1, 2]", "{}").map(drop)), "2 positional arguments for a function of one");
        assert_eq!(said(read::<u8>("[]", "{}").map(drop)), "0 positional arguments for a function of one");
        assert_eq!(said(read::<(u8, u8)>("[1]", "{}").map(drop)), "1 positional argument for a function of 2");
        assert_eq!(said(read::<()>("[1]", "{}")), "1 positional argument for a function of none");
        let mixed = said(read::<u8>("[1]", r#"{"a": 1}"#).map(drop));
        assert_eq!(mixed, "1 positional and 1 keyword arguments for a function of one");
    }
}
