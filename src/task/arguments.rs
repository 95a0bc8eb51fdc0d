//! [`ArgumentWriter`]: how the arguments of a task are written, each way of it one format.
//!
//! A call knows the types of its arguments, and passes them to whichever writer it is given. Writers are passed by type,
//! so they cost nothing.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::codec;
use crate::error::{Error, Part};

/// Writes the arguments of a task in one format. Its methods know their types.
pub(crate) trait ArgumentWriter {
    type Written;
    fn one<A: Serialize + 'static>(self, argument: &A) -> Result<Self::Written, Error>;
    fn chunk<A: Serialize + 'static>(self, arguments: &[A]) -> Result<Self::Written, Error>;
    /// Writes the context of the function and the argument as a pair, or the argument alone if the context is sent on its
    /// own.
    fn one_with<C: Serialize, A: Serialize + 'static>(self, context: &C, argument: &A) -> Result<Self::Written, Error>;
    /// As `one_with`, for the arguments of a chunk.
    fn chunk_with<C: Serialize, A: Serialize + 'static>(
        self,
        context: &C,
        arguments: &[A],
    ) -> Result<Self::Written, Error>;
}

/// The argument of a task as bytes, in postcard's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub(crate) argument: Vec<u8>,
    pub(crate) items: Option<usize>,
}

impl Encoded {
    /// Returns the encoded argument.
    pub fn argument(&self) -> &[u8] {
        &self.argument
    }

    /// Converts into the encoded argument without a copy.
    pub fn into_argument(self) -> Vec<u8> {
        self.argument
    }

    /// Returns how many calls the task consists of, if it is a chunk of a map.
    ///
    /// The argument of a chunk is a sequence of this many arguments. Complete the chunk by
    /// [`Job::complete_items`](crate::Job::complete_items), with the encoding of one result for each of them, or by
    /// [`Job::complete`](crate::Job::complete), with the encoding of a sequence of as many `Result<R, String>`.
    pub fn items(&self) -> Option<usize> {
        self.items
    }
}

/// Writes arguments in postcard's format, those of a chunk as a sequence.
pub(crate) struct Encoder;

impl ArgumentWriter for Encoder {
    type Written = Encoded;
    fn one<A: Serialize>(self, argument: &A) -> Result<Encoded, Error> {
        Ok(Encoded { argument: codec::encode(Part::Argument, argument)?, items: None })
    }
    fn chunk<A: Serialize>(self, arguments: &[A]) -> Result<Encoded, Error> {
        Ok(Encoded { argument: codec::encode(Part::Argument, &arguments)?, items: Some(arguments.len()) })
    }
    fn one_with<C: Serialize, A: Serialize>(self, context: &C, argument: &A) -> Result<Encoded, Error> {
        Ok(Encoded { argument: codec::encode(Part::Argument, &(context, argument))?, items: None })
    }
    fn chunk_with<C: Serialize, A: Serialize>(self, context: &C, arguments: &[A]) -> Result<Encoded, Error> {
        let pairs: Vec<_> = arguments.iter().map(|argument| (context, argument)).collect();
        Ok(Encoded { argument: codec::encode(Part::Argument, &pairs)?, items: Some(pairs.len()) })
    }
}
